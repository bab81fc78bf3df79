// Edits of things as shapes: where each takes its pixels from and puts them to, hits, moves, sizes. Numbers by hand, as the kernel has them.
import { describe, expect, it } from "vitest";
import { encoded } from "../src/masks";
import { bare, factorTo, holesOf, isUnpainted, middlePlace, piecesOf, sameEdits } from "../src/objects";
import type { Drawing, Insert, Mask, ObjectEdit, Rectangle } from "../src/protocol";
import { readOperation } from "../src/read";
import { wholeBox } from "../src/regions";
import { bounds, handles, hits, resize, shifted } from "../src/shapes";

const SIZE: [number, number] = [80, 60];
function mask(x: number, y: number, width: number, height: number): { mask: Mask } {
  const inside = new Uint8Array(SIZE[0] * SIZE[1]);
  for (let row = y; row < y + height; row++) inside.fill(1, SIZE[0] * row + x, SIZE[0] * row + x + width);
  return { mask: encoded(SIZE, inside) };
}
const A = mask(10, 10, 20, 10);
const B = mask(50, 30, 10, 20);
const EDITS: Record<string, ObjectEdit> = {
  remove: { op: "remove", region: A },
  move: { op: "move", region: A, to: [40, 20] },
  resize: { op: "resize", region: A, factor: 1.5 },
  swap: { op: "swap", region: A, other: B },
  mirror: { op: "mirror", region: A, direction: "horizontal" },
  insert: { op: "insert", image: "a1", place: [5, 6, 40, 20], source: A, feather: 2 },
  recolor: { op: "recolor", region: A, color: "#e41a1c" },
  retexture: { op: "retexture", region: A, image: null, source: B },
};
const box = (d: Drawing): Rectangle | null => {
  const r = bounds(d);
  return r && [r.x, r.y, r.width, r.height];
};

describe("edits of things", () => {
  it.each(Object.entries(EDITS))("%s is read as it was written, and what lacks its place is not", (op, edit) => {
    expect(readOperation(JSON.parse(JSON.stringify(edit)))).toEqual(edit);
    const needed = { move: "to", resize: "factor", swap: "other", mirror: "direction", insert: "place", recolor: "color" }[op];
    if (needed) expect(readOperation({ ...edit, [needed]: { not: "it" } }).op).toBe("foreign");
    expect(readOperation({ ...edit, region: [1, 2], source: [1, 2] }).op).toBe("foreign");
  });

  it("are where their pieces are put", () => {
    expect(Object.fromEntries(Object.entries(EDITS).map(([name, edit]) => [name, box(edit)]))).toEqual({
      remove: [10, 10, 20, 10],
      move: [40, 20, 20, 10],
      resize: [5, 8, 30, 15],
      swap: [15, 5, 50, 40],
      mirror: [10, 10, 20, 10],
      insert: [5, 6, 40, 20],
      recolor: [10, 10, 20, 10],
      retexture: [10, 10, 20, 10],
    });
    expect(box({ op: "mirror", region: null, direction: "vertical" })).toBeNull();
    expect(box({ op: "insert", image: "a1", place: [3, 4], source: null })).toBeNull(); // its size is not known here
    expect(box({ op: "insert", image: null, place: [3, 4], source: A })).toEqual([3, 4, 20, 10]);
  });

  it("swap the centres of their boxes, each with its size", () => {
    const [first, second] = piecesOf(EDITS.swap as ObjectEdit);
    expect(first?.to).toEqual({ x: 45, y: 35, width: 20, height: 10 });
    expect(second?.to).toEqual({ x: 15, y: 5, width: 10, height: 20 });
  });

  it("are hit where they are seen, not where they were", () => {
    const move = EDITS.move as ObjectEdit;
    expect([hits(move, [45, 25], 0), hits(move, [15, 15], 0)]).toEqual([true, false]);
    // An L: its mirror image is hit where the corner is now.
    const inside = new Uint8Array(SIZE[0] * SIZE[1]);
    for (let row = 10; row < 30; row++) inside.fill(1, SIZE[0] * row + 10, SIZE[0] * row + (row < 26 ? 14 : 30));
    const mirror: ObjectEdit = { op: "mirror", region: { mask: encoded(SIZE, inside) }, direction: "horizontal" };
    expect([hits(mirror, [12, 15], 0), hits(mirror, [28, 15], 0)]).toEqual([false, true]);
    // Twice as wide as its source: half the way in the picture that it is from.
    expect([hits(EDITS.insert as ObjectEdit, [44, 25], 0), hits(EDITS.insert as ObjectEdit, [46, 25], 0)]).toEqual([true, false]);
  });

  it("in-paint what they leave, and are painted once the kernel has written the pixels", () => {
    expect(Object.entries(EDITS).flatMap(([name, edit]) => (holesOf(edit).length ? [[name, holesOf(edit).length]] : []))).toEqual([["remove", 1], ["move", 1], ["resize", 1], ["swap", 2], ["mirror", 1]]);
    expect(holesOf({ op: "mirror", region: [1, 2, 3, 4], direction: "horizontal" })).toEqual([]);
    const painted = { ...EDITS.move, pixels: "p", beneath: "b" } as ObjectEdit;
    expect([isUnpainted(EDITS.move as ObjectEdit), isUnpainted(painted), isUnpainted(EDITS.recolor as ObjectEdit)]).toEqual([true, false, false]);
    expect(bare(painted)).toEqual(EDITS.move);
    expect(sameEdits([painted], [EDITS.move as ObjectEdit])).toBe(true);
    expect(sameEdits([painted], [{ ...painted, to: [1, 1] } as ObjectEdit])).toBe(false);
  });

  it("that put something somewhere are moved; of the others the place stays, and the pixels with it", () => {
    const painted = { ...EDITS.move, pixels: "p", beneath: "b" } as ObjectEdit;
    expect(shifted(painted, [3, -2])).toEqual({ ...painted, to: [43, 18] });
    expect(shifted(EDITS.insert as ObjectEdit, [3, -2])).toMatchObject({ place: [8, 4, 40, 20], source: A });
    for (const name of ["remove", "resize", "swap", "mirror", "recolor", "retexture"]) expect(shifted(EDITS[name] as ObjectEdit, [3, -2])).toBe(EDITS[name]);
  });

  it("are resized by their corners", () => {
    expect(handles(EDITS.resize as ObjectEdit).map(({ name }) => name)).toEqual(["nw", "ne", "se", "sw"]);
    expect(handles(EDITS.insert as ObjectEdit)).toHaveLength(8);
    expect(handles(EDITS.recolor as ObjectEdit)).toEqual([]);
    expect(resize(EDITS.resize as ObjectEdit, "se", [40, 20], { width: 80, height: 60 })).toMatchObject({ factor: 2 });
    expect(factorTo({ x: 10, y: 10, width: 20, height: 10 }, [20, 15])).toBe(0.05);
    const place = (name: "se" | "e" | "nw", to: [number, number], free = false): unknown => (resize(EDITS.insert as ObjectEdit, name, to, { width: 80, height: 60 }, free) as Insert).place;
    expect(place("se", [25, 20])).toEqual([5, 6, 28, 14]); // in proportion
    expect(place("se", [25, 20], true)).toEqual([5, 6, 20, 14]);
    expect(place("e", [25, 20])).toEqual([5, 6, 20, 20]);
    expect(place("nw", [25, 16])).toEqual([25, 16, 20, 10]);
  });

  it("stand in the middle at first, at most half as large as the picture", () => {
    expect(middlePlace({ width: 160, height: 40 }, { width: 80, height: 60 })).toEqual([20, 25, 40, 10]);
    expect(middlePlace({ width: 10, height: 8 }, { width: 80, height: 60 })).toEqual([35, 26, 10, 8]);
  });

  it("boxes of regions are rounded as the kernel rounds them", () => {
    expect(wholeBox([1.5, 2.4, 3, 3.2])).toEqual({ x: 2, y: 2, width: 3, height: 4 });
    expect(wholeBox([[1.4, 1], [5.6, 1], [3, 7.5]])).toEqual({ x: 1, y: 1, width: 5, height: 7 });
    expect(wholeBox(A)).toEqual({ x: 10, y: 10, width: 20, height: 10 });
  });
});
