// Masks: any set of pixels of an image, as run lengths in rows from the top left; the first run is outside. Pure.
// Sets, shifts, growth and outlines here; the soft edge as pixels is in edges.ts. The kernel's Mask (stimulus/mask.py) means the same.
import type { Rect } from "./geometry";
import type { Mask, Point } from "./protocol";

/** Cells of a mask within its box, row by row: 1 is inside. `step` is the side of a cell, `x` and `y` its place, in pixels of the image. */
export interface Cells {
  x: number;
  y: number;
  columns: number;
  rows: number;
  step: number;
  inside: Uint8Array;
}

export const sameSize = (a: Mask, b: Mask): boolean => a.size[0] === b.size[0] && a.size[1] === b.size[1];

/** Calls with each piece of a row that is inside: row, first column, and the column after the last. */
export function eachSpan({ size: [width], runs }: Mask, call: (y: number, from: number, to: number) => void): void {
  let at = 0;
  runs.forEach((run, i) => {
    const end = at + run;
    if (i % 2) {
      for (let start = at; start < end; ) {
        const y = Math.floor(start / width);
        const stop = Math.min(end, (y + 1) * width);
        call(y, start - y * width, stop - y * width);
        start = stop;
      }
    }
    at = end;
  });
}

/** Runs that grow pixel by pixel. */
class Runs {
  readonly runs: number[] = [0];
  add(length: number, inside: boolean): void {
    if (length === 0) return;
    if ((this.runs.length % 2 === 0) === inside) this.runs[this.runs.length - 1] = (this.runs.at(-1) ?? 0) + length;
    else this.runs.push(length);
  }
}

/** The mask of pixels that are not 0, row by row. */
export function encoded(size: Mask["size"], inside: Uint8Array, feather = 0): Mask {
  return placed(size, { x: 0, y: 0, columns: size[0], rows: size[1], step: 1, inside }, feather);
}

/** All pixels of the image, row by row: 1 is inside. */
export function decoded(mask: Mask): Uint8Array {
  const inside = new Uint8Array(mask.size[0] * mask.size[1]);
  eachSpan(mask, (y, from, to) => inside.fill(1, y * mask.size[0] + from, y * mask.size[0] + to));
  return inside;
}

/** The mask of cells of one pixel; what lies beyond the image is cut off. */
export function placed([width, height]: Mask["size"], { x, y, columns, rows, inside }: Cells, feather: number): Mask {
  const made = new Runs();
  const [left, top, right, bottom] = [Math.max(0, x), Math.max(0, y), Math.min(width, x + columns), Math.min(height, y + rows)];
  if (right <= left || bottom <= top) return { size: [width, height], runs: [width * height], feather };
  made.add(top * width, false);
  for (let row = top; row < bottom; row++) {
    made.add(left, false);
    const line = (row - y) * columns - x;
    for (let from = left; from < right; ) {
      const value = inside[line + from];
      let to = from + 1;
      while (to < right && inside[line + to] === value) to++;
      made.add(to - from, value === 1);
      from = to;
    }
    made.add(width - right, false);
  }
  made.add((height - bottom) * width, false);
  return { size: [width, height], runs: made.runs, feather };
}

/** Made once for a mask. */
const kept = <T>(make: (mask: Mask) => T): ((mask: Mask) => T) => {
  const known = new WeakMap<Mask, T>();
  return (mask) => {
    let found = known.get(mask);
    if (found === undefined) known.set(mask, (found = make(mask)));
    return found;
  };
};

/** The smallest rectangle around what is inside; all 0 where nothing is. */
export const boxOf: (mask: Mask) => Rect = /* @__PURE__ */ kept((mask) => {
  let [left, top, right, bottom] = [Infinity, Infinity, 0, 0];
  eachSpan(mask, (y, from, to) => {
    [left, right, top, bottom] = [Math.min(left, from), Math.max(right, to), Math.min(top, y), y + 1];
  });
  return right ? { x: left, y: top, width: right - left, height: bottom - top } : { x: 0, y: 0, width: 0, height: 0 };
});

/** Number of pixels inside. */
export const areaOf: (mask: Mask) => number = /* @__PURE__ */ kept(({ runs }) => runs.reduce((sum, run, i) => (i % 2 ? sum + run : sum), 0));

/** Where each run ends, counted in pixels from the top left. */
const endsOf: (mask: Mask) => number[] = /* @__PURE__ */ kept(({ runs }) => {
  let at = 0;
  return runs.map((run) => (at += run));
});

/** Whether a pixel is inside. */
export function covers(mask: Mask, [x, y]: Point): boolean {
  const [width, height] = mask.size;
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (column < 0 || row < 0 || column >= width || row >= height) return false;
  const ends = endsOf(mask);
  let [low, high] = [0, ends.length];
  // The first run that ends after the pixel.
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? 0) > row * width + column) high = middle;
    else low = middle + 1;
  }
  return low % 2 === 1;
}

/** What is inside of both, of either, or of the first but not of the second. The soft edge is that of the first. */
export function combined(a: Mask, b: Mask, how: "and" | "or" | "minus"): Mask {
  if (!sameSize(a, b)) throw new RangeError(`masks of ${a.size.join(" x ")} and ${b.size.join(" x ")} pixels cannot be combined`);
  const [ones, others] = [endsOf(a), endsOf(b)];
  const made = new Runs();
  let [at, i, j] = [0, 0, 0];
  while (i < ones.length && j < others.length) {
    const end = Math.min(ones[i] ?? 0, others[j] ?? 0);
    const [one, other] = [i % 2 === 1, j % 2 === 1];
    made.add(end - at, how === "and" ? one && other : how === "or" ? one || other : one && !other);
    if (ones[i] === end) i++;
    if (others[j] === end) j++;
    at = Math.max(at, end);
  }
  return { size: a.size, runs: made.runs, feather: a.feather };
}

/** The mask moved by whole pixels; pixels that leave the image are dropped. */
export function moved(mask: Mask, dx: number, dy: number): Mask {
  const cells = cellsOf(mask, 1);
  return placed(mask.size, { ...cells, x: cells.x + Math.round(dx), y: cells.y + Math.round(dy) }, mask.feather);
}

/** The mask within its box, in cells of `step` by `step` pixels; a cell with any pixel of it is inside, so that nothing small is lost. */
export function cellsOf(mask: Mask, step: number): Cells {
  const box = boxOf(mask);
  const [left, top] = [Math.floor(box.x / step), Math.floor(box.y / step)];
  const columns = box.width ? Math.ceil((box.x + box.width) / step) - left : 0;
  const rows = box.height ? Math.ceil((box.y + box.height) / step) - top : 0;
  const inside = new Uint8Array(columns * rows);
  eachSpan(mask, (y, from, to) => {
    const line = (Math.floor(y / step) - top) * columns - left;
    inside.fill(1, line + Math.floor(from / step), line + Math.ceil(to / step));
  });
  return { x: left * step, y: top * step, columns, rows, step, inside };
}

/** The lines along the edges of cells, as closed corners in pixels of the image: what is inside lies on their right. Diagonal neighbours stay apart. */
export function traced({ x: left, y: top, columns, rows, step, inside }: Cells): Point[][] {
  const is = (x: number, y: number): boolean => x >= 0 && y >= 0 && x < columns && y < rows && inside[y * columns + x] === 1;
  // The upper edges that a line has gone along; each line goes along one at least.
  const seen = new Uint8Array(columns * rows);
  const lines: Point[][] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!is(column, row) || is(column, row - 1) || seen[row * columns + column]) continue;
      const line: Point[] = [];
      // Along the edges: to the right, down, to the left, up.
      let [x, y, dx, dy] = [column, row, 1, 0];
      do {
        if (dx === 1) seen[y * columns + x] = 1;
        [x, y] = [x + dx, y + dy];
        // The cells ahead of the corner, on the right hand and on the left one.
        const [ax, ay] = [x + Math.min(dx - dy, 0), y + Math.min(dx + dy, 0)];
        const [bx, by] = [x + Math.min(dx + dy, 0), y + Math.min(dy - dx, 0)];
        if (!is(ax, ay)) [dx, dy] = [-dy, dx];
        else if (is(bx, by)) [dx, dy] = [dy, -dx];
        else continue;
        line.push([left + x * step, top + y * step]);
      } while (x !== column || y !== row || dx !== 1);
      lines.push(line);
    }
  }
  return lines;
}

const paths = new WeakMap<Mask, Map<number, string>>();

/** The outline as the path of an SVG, in pixels of the image; coarser by `step`. */
export function outlinePath(mask: Mask, step = 1): string {
  let known = paths.get(mask);
  if (!known) paths.set(mask, (known = new Map<number, string>()));
  let path = known.get(step);
  if (path === undefined) {
    const [width, height] = mask.size;
    const at = ([x, y]: Point): string => `${Math.min(x, width)} ${Math.min(y, height)}`;
    path = traced(cellsOf(mask, step)).map((line) => `M${line.map(at).join("L")}Z`).join("");
    known.set(step, path);
  }
  return path;
}
