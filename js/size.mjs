// How large the modules that anywidget loads may be: every notebook saves them, once per widget, and every page is sent them. For js/build.mjs.
import { gzipSync } from "node:zlib";

// In gzip: 33,000 and 18,000, and 1 % for zlib: its versions do not all compress alike.
export const LIMITS = { "widget.js": { bytes: 90_000, gzip: 33_330 }, "study.js": { bytes: 48_000, gzip: 18_180 } };
const INSTEAD = { "widget.js": "move what a page can do without at first to the editor (js/src/editor.tsx)", "study.js": "a view of a study is saved with each of its displays" };

export const sizeOf = (contents) => ({ bytes: contents.length, gzip: gzipSync(contents, { level: 9 }).length });

/** What is wrong with the size of a module, in words; empty if nothing is. */
export function tooLarge(contents, name) {
  const limit = LIMITS[name] ?? {};
  const size = sizeOf(contents);
  return Object.keys(limit)
    .filter((unit) => size[unit] > limit[unit])
    .map((unit) => `has ${size[unit]} ${unit}, over the limit of ${limit[unit]}: ${INSTEAD[name]}`);
}
