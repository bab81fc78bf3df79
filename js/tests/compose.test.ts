// What the page draws itself between a gesture and the kernel's rendering, seen through a recording context.
import { filled } from "../src/canvas/things";
import { afterEach, describe, expect, it, vi } from "vitest";
import { compose } from "../src/canvas/compose";
import { coverage } from "../src/edges";
import type { Mask, Operation } from "../src/protocol";
import type { Picture } from "../src/state/picture";

const base: Picture = { source: {} as ImageBitmap, width: 400, height: 300, image: { width: 800, height: 600 }, key: "" };

/** Calls in order, and pixels of a grey picture that noise can change. */
function record(operations: Operation[]): { calls: [string, ...unknown[]][]; pixels: Uint8ClampedArray; at: number[] } {
  const calls: [string, ...unknown[]][] = [];
  let pixels = new Uint8ClampedArray();
  const at: number[] = [];
  const state: Record<string, unknown> = {};
  const context = new Proxy(state, {
    get(target, name: string) {
      if (name === "canvas") return canvas;
      if (name === "getImageData")
        return (x: number, y: number, w: number, h: number) => {
          at.push(x, y, w, h);
          pixels = new Uint8ClampedArray(4 * w * h).fill(128);
          return { data: pixels };
        };
      if (name === "createImageData") return (w: number, h: number) => ({ data: new Uint8ClampedArray(4 * w * h) });
      return target[name] ?? ((...args: unknown[]) => calls.push([name, ...args]));
    },
    set(target, name: string, value) {
      target[name] = value;
      calls.push([`${name}=`, value]);
      return true;
    },
  });
  const canvas = { width: 0, height: 0, getContext: () => context } as unknown as HTMLCanvasElement;
  // Copies and masks are recorded, too.
  vi.spyOn(document, "createElement").mockReturnValue(canvas);
  compose(canvas, base, operations);
  return { calls, pixels, at };
}

afterEach(() => vi.restoreAllMocks());

describe("a hole, until the kernel has filled it", () => {
  /** Pixels of grey values; a hole where they are negative. */
  const fill = (rows: number[][]): number[][] => {
    const columns = rows[0]?.length ?? 0;
    const pixels = new Uint8ClampedArray(rows.flat().flatMap((v) => [v, v, v, 255]));
    filled(pixels, columns, rows.length, (i) => (rows.flat()[i] ?? 0) < 0);
    return rows.map((row, y) => row.map((_, x) => pixels[4 * (y * columns + x)] ?? 0));
  };

  it("goes from one side to the other, and nothing else changes", () => {
    expect(fill([[10, -1, -1, 40]])).toEqual([[10, 20, 30, 40]]);
    expect(fill([[10], [-1], [30]])).toEqual([[10], [20], [30]]);
    expect(fill([[7, 8, 9]])).toEqual([[7, 8, 9]]);
  });

  it("has the colours around it, the nearer ones most, and at the edge of the picture those of the one side", () => {
    expect(fill([[50, 50, 50], [50, -1, 50], [50, 50, 50]])[1]?.[1]).toBe(50);
    expect(fill([[-1, -1, 60]])).toEqual([[60, 60, 60]]);
    expect(fill([[-1, -1]])).toEqual([[0, 0]]); // nothing is known of it
    // Across it is one pixel, along it three: (3 * 100 + 1 * 20) / 4.
    expect(fill([[0, 100, 100, 100, 0], [20, -1, -1, -1, 20], [0, 100, 100, 100, 0]])[1]?.slice(1, 4)).toEqual([80, 80, 80]);
  });
});

describe("an effect on a mask", () => {
  // The left half of the lower half; its soft edge reaches 20 pixels of the image, 10 of the preview.
  const mask: Mask = { size: [800, 600], runs: [800 * 300, ...Array.from({ length: 300 }, () => [400, 400]).flat()], feather: 20 };

  it("goes to a copy of the picture in the box that the soft edge reaches, is cut out by the mask, and laid over the picture", () => {
    const { calls } = record([{ op: "erase", fill: "#00ff00", region: { mask } }]);
    expect(calls).toContainEqual(["fillRect", 0, 140, 210, 160]);
    const names = calls.map(([name, value]) => (typeof value === "string" ? `${name}${value}` : name));
    const [filled, cut] = [names.indexOf("fillRect"), names.indexOf("globalCompositeOperation=destination-in")];
    expect(filled).toBeGreaterThan(-1);
    expect(cut).toBeGreaterThan(filled);
    expect(names.slice(cut).filter((name) => name === "drawImage")).toHaveLength(2);
  });

  it("the mask is opaque inside, clear outside, and between them as soft as in the picture", () => {
    const alpha = coverage(mask, 400, 300);
    const at = (x: number, y: number): number => alpha[400 * y + x] ?? -1;
    expect([at(0, 299), at(199, 150), at(300, 299), at(0, 100)]).toEqual([255, 255, 0, 0]);
    expect(at(204, 299)).toBeGreaterThan(100);
    expect(at(204, 299)).toBeLessThan(160);
  });
});

describe("compose", () => {
  it("works in pixels of the original image, at the size of the preview", () => {
    const { calls } = record([{ op: "box", x: 10, y: 20, width: 30, height: 40, color: "#ff0000", fill: true, line_width: 3 }]);
    expect(calls).toContainEqual(["drawImage", base.source, 0, 0, 400, 300]);
    expect(calls).toContainEqual(["scale", 0.5, 0.5]);
    expect(calls).toContainEqual(["rect", 10, 20, 30, 40]);
    expect(calls.at(-1)).toEqual(["fill"]);
  });

  it("keeps outlines inside their extent, as the kernel does", () => {
    const { calls } = record([{ op: "box", x: 10, y: 20, width: 30, height: 40, color: "#ff0000", fill: false, line_width: 4 }]);
    expect(calls).toContainEqual(["rect", 12, 22, 26, 36]);
    expect(calls).toContainEqual(["lineWidth=", 4]);
  });

  it("draws an arrow's head at its end", () => {
    const { calls } = record([{ op: "arrow", start: [0, 0], end: [100, 0], color: "#000000", width: 4 }]);
    expect(calls).toContainEqual(["lineTo", 80, 0]);
    expect(calls).toContainEqual(["moveTo", 100, 0]);
  });

  it("adds noise of about the wanted strength, in its region only, the same for the same seed", () => {
    const noise = (seed: number) => record([{ op: "noise", sigma: 0.2, seed, region: [100, 100, 160, 120] }]);
    const { pixels, at } = noise(3);
    expect(at).toEqual([50, 50, 80, 60]);
    const values = [...pixels].filter((_, i) => i % 4 !== 3);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    expect(mean).toBeGreaterThan(126);
    expect(mean).toBeLessThan(130);
    // 0.2 * 255, halved because the preview is half the size
    expect(deviation).toBeGreaterThan(23);
    expect(deviation).toBeLessThan(28);
    expect([...pixels].every((v, i) => i % 4 !== 3 || v === 128)).toBe(true);
    expect(noise(3).pixels).toEqual(pixels);
    expect(noise(4).pixels).not.toEqual(pixels);
  });

  it("keeps the order of the operations and skips what is no drawing", () => {
    const { calls } = record([
      { op: "context", text: "x", preset: null },
      { op: "ellipse", x: 0, y: 0, width: 10, height: 10, color: "#111111", fill: true, line_width: 1 },
      { op: "text", x: 5, y: 5, text: "a\nb", size: 10, color: "#222222" },
    ]);
    const names = calls.map(([name]) => name);
    expect(names.indexOf("ellipse")).toBeLessThan(names.indexOf("fillText"));
    expect(calls.filter(([name]) => name === "fillText").map(([, text]) => text)).toEqual(["a", "b"]);
  });
});
