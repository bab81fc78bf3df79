// Serves the repository to a browser on this machine, for js/dev.html. Not part of the package.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const server = createServer((request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname));
  readFile(join(root, path === "/" ? "js/dev.html" : path)).then(
    (data) => response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/html" }).end(data),
    () => response.writeHead(404).end(),
  );
});
server.listen(Number(process.env.PORT ?? 8765), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/js/dev.html`));
