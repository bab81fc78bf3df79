import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { LIMITS, sizeOf, tooLarge } from "../size.mjs";

const NAMES = Object.keys(LIMITS) as (keyof typeof LIMITS)[];

test.each(NAMES)("%s is within both limits", (name) => {
  expect(tooLarge(readFileSync(`isi_widget/static/${name}`), name)).toEqual([]);
});

test.each(NAMES)("each limit of %s is enforced, and alone", (name) => {
  const { bytes, gzip } = LIMITS[name];
  expect(tooLarge(new Uint8Array(bytes), name)).toEqual([]);
  expect(tooLarge(new Uint8Array(bytes + 1), name)).toEqual([expect.stringContaining(`${bytes + 1} bytes, over the limit of ${bytes}`)]);
  const noise = randomBytes(gzip); // does not get smaller
  expect(noise.length).toBeLessThan(bytes);
  expect(tooLarge(noise, name)).toEqual([expect.stringContaining(`${sizeOf(noise).gzip} gzip, over the limit of ${gzip}`)]);
  expect(tooLarge(randomBytes(bytes + 1), name)).toHaveLength(2);
});

test("other files have no limit", () => {
  expect(tooLarge(new Uint8Array(10 ** 6), "editor.js")).toEqual([]);
});
