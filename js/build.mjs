// Builds js/src into isi_widget/static/ (one ES module and one style sheet). `--check` rebuilds to memory and compares bytes.
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT = 90 * 1000; // bytes of widget.js: it is saved with every notebook, once per widget
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "isi_widget", "static");
const check = process.argv.includes("--check");

const result = await build({
  absWorkingDir: root,
  entryPoints: [
    { in: "js/src/widget.tsx", out: "widget" },
    { in: "js/src/style.css", out: "widget" },
  ],
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  // The project's own tsconfig.json asks for the automatic run-time, which is better checked but longer.
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment", useDefineForClassFields: false } },
  inject: ["js/src/jsx.ts"],
  define: { "process.env.NODE_ENV": '"production"' },
  write: false,
});

let failed = false;
await mkdir(out, { recursive: true });
for (const { path, contents } of result.outputFiles) {
  const name = path.slice(root.length + 1);
  if (check) {
    const there = await readFile(path).catch(() => new Uint8Array());
    if (Buffer.compare(Buffer.from(there), Buffer.from(contents)) !== 0) {
      console.error(`${name} is not what js/src builds to: run "npm run build" and commit it`);
      failed = true;
    }
  } else {
    await writeFile(path, contents);
  }
  console.log(`${name}  ${contents.length} bytes, ${gzipSync(contents, { level: 9 }).length} gzip`);
  if (path.endsWith(".js") && contents.length > LIMIT) {
    console.error(`${name} is over ${LIMIT} bytes`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
