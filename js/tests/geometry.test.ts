import { describe, expect, it } from "vitest";
import * as geometry from "../src/geometry";
import * as shapes from "../src/shapes";
import type { Drawing, Point } from "../src/protocol";

const IMAGE = { width: 800, height: 600 };
const g = { ...geometry, ...shapes };
const STYLE: shapes.Style = { color: "#ff0000", fill: true, width: 3, size: 16, sigma: 0.2, radius: 8, block: 16, erase: "mean" };

function* points(seed: number, n: number, size = IMAGE): Generator<Point> {
  let state = seed;
  const next = (): number => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  for (let i = 0; i < n; i++) yield [next() * size.width, next() * size.height];
}

function samples(): Drawing[] {
  const made: Drawing[] = [];
  const all = [...points(7, 60)];
  for (let i = 0; i + 1 < all.length; i += 2) {
    const tool = (["box", "ellipse", "line", "arrow", "noise"] as const)[(i / 2) % 5] ?? "box";
    const [a, b] = [all[i], all[i + 1]];
    const d = a && b && g.drawn(tool, a, b, IMAGE, { ...STYLE, fill: i % 4 === 0 }, 5);
    if (d) made.push(d);
  }
  made.push({ op: "text", x: 50, y: 60, text: "a cat", size: 20, color: "#000000" });
  return made;
}

describe("transforms", () => {
  it("are inverse for every fit", () => {
    for (const [width, height] of points(3, 50)) {
      const t = g.fit({ width: 300, height: 200 }, { width: width + 1, height: height + 1 });
      for (const p of points(11, 20)) {
        const [x, y] = g.toImage(t, g.toScreen(t, p));
        expect(x).toBeCloseTo(p[0], 6);
        expect(y).toBeCloseTo(p[1], 6);
      }
    }
  });

  it("fit shows the whole image, centred", () => {
    const t = g.fit({ width: 400, height: 400 }, IMAGE);
    expect(t).toEqual({ scale: 0.5, x: 0, y: 50 });
    expect(g.fit({ width: 0, height: 100 }, IMAGE)).toEqual({ scale: 1, x: 0, y: 0 });
  });
});

describe("drawing", () => {
  it("makes whole pixels inside the image, whichever way it is dragged", () => {
    for (const from of points(5, 30, { width: 1000, height: 900 })) {
      for (const to of points(9, 10, { width: 1000, height: 900 })) {
        const d = g.drawn("box", [from[0] - 100, from[1] - 100], to, IMAGE, STYLE, 1);
        if (d?.op !== "box") continue;
        for (const v of [d.x, d.y, d.width, d.height]) expect(Number.isInteger(v)).toBe(true);
        expect(d.x).toBeGreaterThanOrEqual(0);
        expect(d.y).toBeGreaterThanOrEqual(0);
        expect(d.x + d.width).toBeLessThanOrEqual(IMAGE.width);
        expect(d.y + d.height).toBeLessThanOrEqual(IMAGE.height);
        expect(d.width).toBeGreaterThan(0);
      }
    }
  });

  it("gives exactly the kernel's operations", () => {
    expect(g.drawn("box", [100.4, 80], [20, 30.2], IMAGE, STYLE, 1)).toEqual({ op: "box", x: 20, y: 30, width: 80, height: 50, color: "#ff0000", fill: true, line_width: 3 });
    expect(g.drawn("arrow", [5, 5], [60, 70], IMAGE, STYLE, 1)).toEqual({ op: "arrow", start: [5, 5], end: [60, 70], color: "#ff0000", width: 3 });
    expect(g.drawn("noise", [0, 0], [10, 20], IMAGE, STYLE, 42)).toEqual({ op: "noise", sigma: 0.2, seed: 42, region: [0, 0, 10, 20] });
    expect(g.drawn("line", [5, 5], [5.2, 5], IMAGE, STYLE, 1)).toBeNull();
    expect(g.drawn("box", [5, 5], [90, 5.3], IMAGE, STYLE, 1)).toBeNull();
  });

  it("constrains to squares and to 45 degrees", () => {
    expect(g.drawn("box", [10, 10], [60, 30], IMAGE, STYLE, 1, true)).toMatchObject({ width: 50, height: 50 });
    expect(g.drawn("line", [10, 10], [60, 14], IMAGE, STYLE, 1, true)).toMatchObject({ end: [60, 10] });
    const diagonal = g.constrain([0, 0], [50, 40], "line");
    expect(diagonal[0]).toBeCloseTo(diagonal[1]);
  });
});

describe("every drawing", () => {
  it("is hit on its own handles' shape and missed far away", () => {
    for (const d of samples()) {
      for (const { at } of g.handles(d)) {
        if (d.op === "ellipse") continue; // its corners are outside of it
        expect(g.hits(d, at, 1), JSON.stringify(d)).toBe(true);
      }
      expect(g.hits(d, [-500, -500], 5)).toBe(false);
    }
  });

  it("moves by whole pixels, keeps its size, and stays inside", () => {
    for (const d of samples()) {
      for (const [dx, dy] of points(13, 20)) {
        const moved = g.move(d, dx - 400, dy - 300, IMAGE);
        const [r, s] = [g.extent(d), g.extent(moved)];
        if (!r || !s) throw new Error("no extent");
        expect(s.width).toBeCloseTo(r.width);
        expect(s.height).toBeCloseTo(r.height);
        expect(s.x).toBeGreaterThanOrEqual(0);
        expect(s.y).toBeGreaterThanOrEqual(0);
        expect(s.x + s.width).toBeLessThanOrEqual(IMAGE.width + 1e-9);
        expect(s.y + s.height).toBeLessThanOrEqual(IMAGE.height + 1e-9);
      }
    }
  });

  it("resizes so that the dragged handle is at the pointer", () => {
    for (const d of samples()) {
      if (d.op === "text") continue;
      for (const { name } of g.handles(d)) {
        for (const to of points(17, 8)) {
          const resized = g.resize(d, name, to, IMAGE);
          const p: Point = [Math.round(to[0]), Math.round(to[1])];
          const near = g.handles(resized).some(({ at }) => {
            const x = name === "n" || name === "s" || Math.abs(at[0] - p[0]) <= 1;
            const y = name === "e" || name === "w" || Math.abs(at[1] - p[1]) <= 1;
            return x && y;
          });
          expect(near, `${name} ${JSON.stringify(d)} -> ${JSON.stringify(resized)}`).toBe(true);
          const r = g.extent(resized);
          if (d.op !== "line" && d.op !== "arrow") expect(Math.min(r?.width ?? 0, r?.height ?? 0)).toBeGreaterThanOrEqual(1);
        }
      }
    }
  });
});

describe("details", () => {
  const outline: Drawing = { op: "box", x: 100, y: 100, width: 200, height: 100, color: "#000000", fill: false, line_width: 4 };

  it("an outline is hit on its line only", () => {
    expect(g.hits(outline, [100, 150], 2)).toBe(true);
    expect(g.hits(outline, [200, 150], 2)).toBe(false);
    expect(g.hits({ ...outline, fill: true }, [200, 150], 2)).toBe(true);
    expect(g.hits({ ...outline, op: "ellipse" }, [102, 150], 2)).toBe(true);
    expect(g.hits({ ...outline, op: "ellipse" }, [200, 150], 2)).toBe(false);
    expect(g.hits({ ...outline, op: "ellipse", fill: true }, [101, 101], 2)).toBe(false);
  });

  it("noise over the whole image has no extent, no handles, and does not move", () => {
    const whole: Drawing = { op: "noise", sigma: 0.2, seed: 1, region: null };
    expect(g.extent(whole)).toBeNull();
    expect(g.handles(whole)).toEqual([]);
    expect(g.move(whole, 5, 5, IMAGE)).toBe(whole);
    expect(g.hits(whole, [5, 5], 5)).toBe(false);
  });

  it("text grows by its corner", () => {
    const text: Drawing = { op: "text", x: 0, y: 0, text: "abcd", size: 20, color: "#000000" };
    expect(g.resize(text, "se", [96, 40], IMAGE)).toMatchObject({ size: 40 });
    expect(g.resize(text, "se", [0, 0], IMAGE)).toMatchObject({ size: 4 });
  });

  it("an arrow's head is 5 widths by 4, or the whole arrow", () => {
    const { neck, left, right } = g.arrowHead([0, 0], [100, 0], 4);
    expect(neck).toEqual([80, 0]);
    expect(Math.abs(left[1] - right[1])).toBeCloseTo(16);
    expect(g.arrowHead([0, 0], [10, 0], 4).neck).toEqual([0, 0]);
  });

  it("a corner dragged with Shift keeps the other corner and makes a square", () => {
    expect(g.resize(outline, "se", [180, 400], IMAGE, true)).toMatchObject({ x: 100, y: 100, width: 300, height: 300 });
    expect(g.resize(outline, "nw", [50, 190], IMAGE, true)).toMatchObject({ x: 50, y: -50, width: 250, height: 250 });
  });
});
