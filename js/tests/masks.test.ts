// Masks on the page: sets, outlines, hits, growth and soft edges, compared with what Python makes of the same masks (masks.json).
import { describe, expect, it } from "vitest";
import { coverage, grower, reachOf, squaredDistances } from "../src/edges";
import { areaOf, boxOf, cellsOf, combined, covers, decoded, encoded, moved, outlinePath, traced } from "../src/masks";
import type { Mask, Noise, Point } from "../src/protocol";
import { readOperation } from "../src/read";
import { bounds, extent, handles, hits, move, shifted } from "../src/shapes";
import records from "./masks.json";

/** A mask of rows of text: # is inside. */
function drawn(...rows: string[]): Mask {
  const text = rows.join("");
  return encoded([rows[0]?.length ?? 0, rows.length], Uint8Array.from(text, (c) => Number(c === "#")));
}
const noise = (mask: Mask): Noise => ({ op: "noise", sigma: 0.1, seed: 1, region: { mask } });
const plain = (mask: Mask): unknown => ({ size: mask.size, runs: mask.runs, feather: mask.feather });

describe.each(records.map((record) => [`${record.a.size.join(" x ")} pixels`, record] as const))("as Python: %s", (_, record) => {
  const [a, b] = [record.a, record.b] as unknown as [Mask, Mask];

  it("decodes and encodes", () => {
    expect(decoded(a).join("")).toBe(record.inside);
    expect(plain(encoded(a.size, decoded(a)))).toEqual(record.a);
  });

  it("area, box and what the soft edge reaches", () => {
    const { x, y, width, height } = boxOf(a);
    expect([areaOf(a), [x, y, width, height]]).toEqual([record.area, record.box]);
    const reach = reachOf({ ...a, feather: 2.5 });
    expect([reach.x, reach.y, reach.x + reach.width, reach.y + reach.height]).toEqual(record.bounds);
  });

  it.each(["or", "and", "minus"] as const)("%s", (how) => {
    expect(plain(combined(a, b, how))).toEqual(record[how]);
  });

  it("grows and shrinks, in any order of a slider", () => {
    const grow = grower(a);
    for (const [by, expected] of [...Object.entries(record.grown), ...Object.entries(record.grown).reverse()]) expect(plain(grow(Number(by))), by).toEqual(expected);
  });

  it("has the same soft edge where a pixel is shown as one", () => {
    const soft = coverage({ ...a, feather: 2.5 }, ...a.size);
    record.alpha.forEach((alpha, i) => expect(Math.abs((soft[i] ?? 0) - alpha)).toBeLessThanOrEqual(1));
  });
});

describe("a mask", () => {
  const ring = drawn("......", ".####.", ".#..#.", ".####.", "......");

  it("knows its pixels, and has none beyond the image", () => {
    const inside = decoded(ring);
    for (let y = 0; y < 5; y++) for (let x = 0; x < 6; x++) expect(covers(ring, [x + 0.5, y + 0.5])).toBe(inside[6 * y + x] === 1);
    for (const at of [[-1, 1], [6, 1], [1, -1], [1, 5]] as Point[]) expect(covers(ring, at)).toBe(false);
  });

  it("is outlined along the edges of its pixels, holes too, with the inside on the right", () => {
    expect(outlinePath(ring)).toBe("M5 1L5 4L1 4L1 1ZM4 3L4 2L2 2L2 3Z");
    expect(outlinePath(drawn("#.", ".#"))).toBe("M1 0L1 1L0 1L0 0ZM2 1L2 2L1 2L1 1Z"); // diagonal neighbours stay apart
    expect(outlinePath(drawn("..", ".."))).toBe("");
  });

  it("has outlines that enclose as many pixels as it has, whatever its shape", () => {
    for (const { a } of records) {
      const mask = a as unknown as Mask;
      // Gauss's area formula; holes count against.
      const area = traced(cellsOf(mask, 1)).map((line) => line.reduce((sum, [x, y], i) => sum + x * (line[(i + 1) % line.length] ?? [0, 0])[1] - y * (line[(i + 1) % line.length] ?? [0, 0])[0], 0) / 2);
      expect(area.reduce((x, y) => x + y, 0)).toBe(areaOf(mask));
    }
  });

  it("is outlined coarsely where pixels are small: nothing small is lost, nothing leaves the image", () => {
    const dot = drawn(".......", ".......", "......#");
    expect(outlinePath(dot, 4)).toBe("M7 0L7 3L4 3L4 0Z");
  });

  it("moves by whole pixels; what leaves the image is gone", () => {
    expect(plain(moved(drawn("#..", "##."), 1, 0))).toEqual(plain(drawn(".#.", ".##")));
    expect(plain(moved(drawn("#..", "##."), 2, -1))).toEqual(plain(drawn("..#", "...")));
    expect(areaOf(moved(ring, 100, 0))).toBe(0);
  });

  it("of another size is not combined", () => {
    expect(() => combined(ring, drawn("#"), "or")).toThrow("6 x 5 and 1 x 1");
  });

  it("shown smaller is averaged, and its soft edge is as wide as in the picture", () => {
    expect([...coverage(drawn("##..", "##..", "#...", "...."), 2, 2)]).toEqual([255, 0, 64, 0]);
    const wide = encoded([40, 4], Uint8Array.from({ length: 160 }, (_, i) => Number(i % 40 < 20)));
    const soft = coverage({ ...wide, feather: 10 }, 20, 2);
    expect([soft[9], soft[15], soft[16]]).toEqual([255, 0, 0]); // edge at 20, its end at 30: cells of 2 pixels
    expect(soft[12]).toBeGreaterThan(50);
    expect(soft[12]).toBeLessThan(200);
  });
});

describe("distances", () => {
  it("are those of a search over all pixels", () => {
    for (const record of records) {
      const [columns, rows] = record.a.size as [number, number];
      const inside = decoded(record.a as unknown as Mask);
      const found = squaredDistances(columns, rows, inside);
      found.forEach((squared, i) => {
        let nearest = Infinity;
        inside.forEach((value, j) => {
          if (value) nearest = Math.min(nearest, ((i % columns) - (j % columns)) ** 2 + (Math.floor(i / columns) - Math.floor(j / columns)) ** 2);
        });
        expect(squared).toBe(nearest);
      });
    }
  });

  it("of nothing are far", () => {
    expect(Math.min(...squaredDistances(3, 2, new Uint8Array(6)))).toBeGreaterThan(1e9);
  });
});

describe("a drawing with a mask as its region", () => {
  const mask = drawn("........", "..###...", "..#.....", "........");
  const drawing = noise(mask);

  it("is read, and kept as it came", () => {
    expect(readOperation(structuredClone(drawing))).toEqual(drawing);
  });

  it.each([
    ["no size", { runs: [6] }],
    ["runs that are no numbers", { size: [2, 3], runs: [1, "5"] }],
    ["runs below 0", { size: [2, 3], runs: [7, -1] }],
    ["runs that are not as many as the pixels", { size: [2, 3], runs: [0, 5] }],
    ["a size of nothing", { size: [0, 3], runs: [0] }],
  ])("with %s is kept, but not drawn", (_, bad) => {
    expect(readOperation({ ...drawing, region: { mask: bad } })).toMatchObject({ op: "foreign", name: "noise" });
  });

  it("has the extent of the mask, is hit on its pixels, and has no handles", () => {
    expect(extent(drawing)).toEqual({ x: 2, y: 1, width: 3, height: 2 });
    expect(bounds(drawing)).toEqual({ x: 2, y: 1, width: 3, height: 2 });
    expect([hits(drawing, [4.5, 1.5], 0), hits(drawing, [4.5, 2.5], 0), hits(drawing, [4.5, 2.5], 1)]).toEqual([true, false, true]);
    expect(handles(drawing)).toEqual([]);
  });

  it("moves with its pixels, and no farther than the image", () => {
    const next = move(drawing, 100, 1, { width: 8, height: 4 });
    expect(next).toEqual(noise(drawn("........", "........", ".....###", ".....#..")));
    expect(shifted(next, [-3, -1])).toEqual(drawing);
  });
});
