// Builds js/src into isi_widget/static/: the module that anywidget loads for a probe, the editor that it fetches (js/src/fetch.ts), the module of a
// study (js/src/study), and a style sheet for each of the two.
// `--check` rebuilds to memory and compares bytes.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sizeOf, tooLarge } from "./size.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const source = join(root, "js", "src");
const out = join(root, "isi_widget", "static");
const check = process.argv.includes("--check");

/** What the editor takes from the module that fetched it instead of bringing its own: state must exist once. */
const SHARED = [
  "preact",
  "preact/hooks",
  "@preact/signals-core",
  ...["charts/bars", "charts/matrix", "document", "live", "panels/icons", "panels/answer", "panels/inside", "panels/parts", "panels/thumbnail", "protocol", "read", "state/requests", "state/screen", "state/store", "view"].map((name) => join(source, name)),
];
const name = (path) => path.replace(`${source}/`, "");

/** "isi:core": the shared modules by name, for the module that fetches. */
const offers = {
  name: "offers",
  setup(on) {
    on.onResolve({ filter: /^isi:core$/ }, () => ({ path: "core", namespace: "offers" }));
    on.onLoad({ filter: /.*/, namespace: "offers" }, () => ({
      contents: [
        ...SHARED.map((path, i) => `import * as m${i} from ${JSON.stringify(path)};`),
        `export const core = {${SHARED.map((path, i) => `${JSON.stringify(name(path))}: m${i}`).join(", ")}};`,
      ].join("\n"),
      resolveDir: root,
    }));
  },
};

/** The same modules, for the editor: read from the `core` it is given. */
const takes = {
  name: "takes",
  setup(on) {
    on.onResolve({ filter: /.*/ }, ({ path, resolveDir }) => {
      const full = path.startsWith(".") ? join(resolveDir, path) : path;
      return SHARED.includes(full) ? { path: name(full), namespace: "takes" } : undefined;
    });
    on.onLoad({ filter: /.*/, namespace: "takes" }, ({ path }) => ({ contents: `module.exports = core[${JSON.stringify(path)}];`, loader: "js" }));
  },
};

const options = {
  absWorkingDir: root,
  outdir: out,
  bundle: true,
  minify: true,
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  // The project's own tsconfig.json asks for the automatic run-time, which is better checked but longer.
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment", useDefineForClassFields: false } },
  inject: ["js/src/jsx.ts"],
  write: false,
};

const editor = await build({
  ...options,
  entryPoints: [{ in: "js/src/editor.tsx", out: "editor" }],
  format: "iife",
  globalName: "part",
  plugins: [takes],
  banner: { js: "export default function(core){" },
  footer: { js: "return part.editor}" },
});
const version = createHash("sha256").update(editor.outputFiles[0].contents).digest("hex").slice(0, 16);

const page = await build({
  ...options,
  entryPoints: [
    { in: "js/src/main.ts", out: "widget" },
    { in: "js/src/style.css", out: "widget" },
  ],
  format: "esm",
  plugins: [offers],
  define: { EDITOR: JSON.stringify(version) },
});

const study = await build({
  ...options,
  entryPoints: [
    { in: "js/src/study/main.ts", out: "study" },
    { in: "js/src/study/study.css", out: "study" },
  ],
  format: "esm",
});

let failed = false;
await mkdir(out, { recursive: true });
for (const { path, contents } of [...page.outputFiles, ...editor.outputFiles, ...study.outputFiles]) {
  const file = path.slice(root.length + 1);
  if (check) {
    const there = await readFile(path).catch(() => new Uint8Array());
    if (Buffer.compare(Buffer.from(there), Buffer.from(contents)) !== 0) {
      console.error(`${file} is not what js/src builds to: run "npm run build" and commit it`);
      failed = true;
    }
  } else {
    await writeFile(path, contents);
  }
  const size = sizeOf(contents);
  console.log(`${file}  ${size.bytes} bytes, ${size.gzip} gzip`);
  for (const reason of tooLarge(contents, basename(path))) {
    console.error(`${file} ${reason}`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
