// The floors of js/src: pure modules know no DOM and nothing of state, canvas or panels; each floor imports only from those below it.
// And the size of a file: one that grows past the limit is asked whether it is two rooms.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = "js/src";
/** Lines of a file; one that needs more says why in its first lines ("lines:"). */
const LONGEST = 450;
/** From the ground up; a module that is not named is of the top floor. */
const FLOORS: [name: string, modules: RegExp][] = [
  ["pure", /^(operations|protocol|messages|numbers|readers|read|study\/read|answers|document|geometry|masks|edges|regions|objects|shapes|inside|records|settings|keys|state\/(pace|requests))$/],
  ["state", /^state\/|^(live|canvas\/font)$/],
  ["view", /^(view|pointer|float|fetch|focus|theme|notebook|clipboard|upload|kept|jsx)$/],
  ["charts", /^charts\//],
  ["canvas and panels", /^(canvas|panels)\/|^keyboard$/],
];
/** Upward imports that are meant: types, which are gone when the page is built. */
const TYPE = /^import type /;
const DOM = /\b(document|window|navigator|localStorage)\.|\bHTML\w*Element\b|\baddEventListener\("(?!abort)/;

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => /\.tsx?$/.test(file) && !file.endsWith(".d.ts"));
const name = (file: string): string => file.replace(/\\/g, "/").replace(/\.tsx?$/, "");
const floor = (module: string): number => {
  const found = FLOORS.findIndex(([, modules]) => modules.test(module));
  return found < 0 ? FLOORS.length : found;
};
const text = (file: string): string => readFileSync(join(SRC, file), "utf8");
const code = (file: string): string => text(file).replace(/\/\*[^]*?\*\/|\/\/[^\n]*/g, "");
const imports = (file: string): string[] =>
  Array.from(text(file).matchAll(/^(import[^;]*?from )"(\.[^"]+)";/gm)).flatMap(([, how = "", from = ""]) => (TYPE.test(how) ? [] : normalize(join(dirname(name(file)), from)).replace(/\\/g, "/")));

describe("the floors of js/src", () => {
  it.each(files)("%s imports only from its own floor and those below", (file) => {
    const here = floor(name(file));
    expect(imports(file).filter((module) => !module.endsWith(".json") && floor(module) > here)).toEqual([]);
  });

  it.each(files.filter((file) => floor(name(file)) === 0))("%s is pure: it knows no DOM", (file) => {
    expect(DOM.exec(code(file))?.[0]).toBeUndefined();
  });

  it("are told apart: a wrong import would be found", () => {
    expect(floor("document")).toBeLessThan(floor("state/store"));
    expect(floor("state/store")).toBeLessThan(floor("panels/results"));
    expect(floor("panels/results")).toBeLessThan(floor("widget"));
    expect(imports("state/store.ts")).toContain("state/edits");
    expect(DOM.test('document.createElement("p")')).toBe(true);
  });

  it.each(files)("%s is not too long, or says why", (file) => {
    const lines = text(file).split("\n");
    if (!lines.slice(0, 4).some((line) => line.includes("lines:"))) expect(lines.length).toBeLessThanOrEqual(LONGEST);
  });
});
