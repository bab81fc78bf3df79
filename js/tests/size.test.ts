import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { LIMIT, sizeOf, tooLarge } from "../size.mjs";

test("the page's module is within both limits", () => {
  expect(tooLarge(readFileSync("isi_widget/static/widget.js"))).toEqual([]);
});

test("each limit is enforced, and alone", () => {
  expect(tooLarge(new Uint8Array(LIMIT.bytes))).toEqual([]);
  expect(tooLarge(new Uint8Array(LIMIT.bytes + 1))).toEqual([expect.stringContaining("90001 bytes, over the limit of 90000")]);
  const noise = randomBytes(LIMIT.gzip); // does not get smaller
  expect(noise.length).toBeLessThan(LIMIT.bytes);
  expect(tooLarge(noise)).toEqual([expect.stringContaining(`${sizeOf(noise).gzip} gzip, over the limit of ${LIMIT.gzip}`)]);
  expect(tooLarge(randomBytes(LIMIT.bytes + 1))).toHaveLength(2);
});
