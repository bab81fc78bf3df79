// How large widget.js may be: every notebook saves it, once per widget, and every page is sent it. For js/build.mjs.
import { gzipSync } from "node:zlib";

// 33,000 gzipped, and 1 % for zlib: its versions do not all compress alike.
export const LIMIT = { bytes: 90_000, gzip: 33_330 };

export const sizeOf = (contents) => ({ bytes: contents.length, gzip: gzipSync(contents, { level: 9 }).length });

/** What is wrong with the size of a module, in words; empty if nothing is. */
export function tooLarge(contents) {
  const size = sizeOf(contents);
  return Object.keys(LIMIT)
    .filter((unit) => size[unit] > LIMIT[unit])
    .map((unit) => `has ${size[unit]} ${unit}, over the limit of ${LIMIT[unit]}: move what a page can do without at first to the editor (js/src/editor.tsx)`);
}
