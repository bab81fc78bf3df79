// Distances from a mask: growing and shrinking it, and its soft edge. Pure. The kernel's Mask (stimulus/mask.py) means the same.
import type { Rect } from "./geometry";
import { boxOf, eachSpan, placed, type Cells } from "./masks";
import type { Mask } from "./protocol";

/** Farther than any pixel from another one of an image. */
const FAR = 2 ** 30;

/** Squared distance of each cell to the nearest one inside, in cells; FAR where there is none (Felzenszwalb & Huttenlocher, 2012). */
export function squaredDistances(columns: number, rows: number, inside: Uint8Array): Int32Array {
  const found = new Int32Array(columns * rows).fill(FAR);
  // Down and up: how far the nearest one in the same column is.
  const above = new Int32Array(columns);
  for (const upwards of [false, true]) {
    above.fill(-1);
    for (let i = 0; i < rows; i++) {
      const y = upwards ? rows - 1 - i : i;
      for (let x = 0; x < columns; x++) {
        const at = y * columns + x;
        if (inside[at]) above[x] = y;
        const from = above[x] ?? -1;
        if (from < 0) continue;
        const squared = (y - from) * (y - from);
        if (squared < (found[at] ?? FAR)) found[at] = squared;
      }
    }
  }
  // Along each row: the lowest of the parabolas that stand on these.
  const line = new Int32Array(columns);
  const feet = new Int32Array(columns);
  const starts = new Float64Array(columns + 1);
  for (let y = 0; y < rows; y++) {
    const row = found.subarray(y * columns, (y + 1) * columns);
    line.set(row);
    let last = -1;
    for (let x = 0; x < columns; x++) {
      const height = line[x] ?? FAR;
      if (height >= FAR) continue;
      let start = -Infinity;
      while (last >= 0) {
        const foot = feet[last] ?? 0;
        start = (height + x * x - (line[foot] ?? 0) - foot * foot) / (2 * (x - foot));
        if (start > (starts[last] ?? 0)) break;
        last--;
      }
      last++;
      feet[last] = x;
      starts[last] = last ? start : -Infinity;
    }
    if (last < 0) continue;
    for (let x = 0, i = 0; x < columns; x++) {
      while (i < last && (starts[i + 1] ?? 0) < x) i++;
      const foot = feet[i] ?? 0;
      row[x] = (x - foot) * (x - foot) + (line[foot] ?? 0);
    }
  }
  return found;
}

/** The cells of a mask with `reach` more on each side, inside the image. */
function around(mask: Mask, reach: number): Cells {
  const box = boxOf(mask);
  const [x, y] = [Math.max(0, box.x - reach), Math.max(0, box.y - reach)];
  const columns = Math.min(mask.size[0], box.x + box.width + reach) - x;
  const rows = Math.min(mask.size[1], box.y + box.height + reach) - y;
  const inside = new Uint8Array(columns * rows);
  eachSpan(mask, (row, from, to) => inside.fill(1, (row - y) * columns + from - x, (row - y) * columns + to - x));
  return { x, y, columns, rows, step: 1, inside };
}

/**
 * Grows a mask by every pixel that is at most so far from one inside, centre to centre; a negative number shrinks it by every pixel at most so
 * far from one outside (the edge of the image is none). Distances are kept, of as many pixels around as a slider reaches at least: it asks often.
 */
export function grower(mask: Mask, least = 16): (pixels: number) => Mask {
  let [out, reached]: [{ cells: Cells; squares: Int32Array } | null, number] = [null, 0];
  let inner: { cells: Cells; squares: Int32Array } | null = null;
  /** The cells at most so far away (squared), or those farther. */
  const within = ({ cells, squares }: { cells: Cells; squares: Int32Array }, most: number, farther: boolean): Mask => {
    const inside = new Uint8Array(squares.length);
    for (let i = 0; i < inside.length; i++) inside[i] = Number((squares[i] ?? 0) > most === farther);
    return placed(mask.size, { ...cells, inside }, mask.feather);
  };
  return (pixels) => {
    if (pixels === 0 || boxOf(mask).width === 0) return mask;
    const squared = pixels * pixels;
    if (pixels > 0) {
      if (!out || reached < pixels) {
        reached = Math.ceil(Math.max(pixels, 2 * reached, least));
        const cells = around(mask, reached);
        out = { cells, squares: squaredDistances(cells.columns, cells.rows, cells.inside) };
      }
      return within(out, squared, false);
    }
    if (!inner) {
      const cells = around(mask, 1);
      inner = { cells, squares: squaredDistances(cells.columns, cells.rows, cells.inside.map((value) => 1 - value)) };
    }
    return within(inner, squared, true);
  };
}

/** Coverage of a cell, 0 to 1, at a distance from the mask in pixels. */
const soft = (distance: number, feather: number): number => (distance === 0 ? 1 : Math.min(1, Math.max(0, 1 - (distance - 0.5) / feather)));

/** Coverage with the soft edge, 0 to 255, of an image that is shown in `columns` by `rows` cells: exact where a cell is a pixel, else averaged. */
export function coverage(mask: Mask, columns: number, rows: number): Uint8ClampedArray {
  const [width, height] = mask.size;
  const [across, down] = [columns / width, rows / height];
  const shares = new Float32Array(columns * rows);
  eachSpan(mask, (y, from, to) => {
    const [left, right] = [from * across, to * across];
    for (let row = Math.floor(y * down); row < Math.min(rows, (y + 1) * down); row++) {
      const high = Math.min(row + 1, (y + 1) * down) - Math.max(row, y * down);
      for (let column = Math.floor(left); column < Math.min(columns, right); column++) {
        const at = row * columns + column;
        shares[at] = (shares[at] ?? 0) + high * (Math.min(column + 1, right) - Math.max(column, left));
      }
    }
  });
  const alpha = new Uint8ClampedArray(columns * rows);
  const half = new Uint8Array(shares.length);
  for (let i = 0; i < half.length; i++) half[i] = Number((shares[i] ?? 0) >= 0.5);
  const squares = mask.feather ? squaredDistances(columns, rows, half) : null;
  for (let i = 0; i < alpha.length; i++) alpha[i] = 255 * Math.max(shares[i] ?? 0, squares ? soft(Math.sqrt(squares[i] ?? FAR) / across, mask.feather) : 0);
  return alpha;
}

/** Rectangle that the mask and its soft edge may change. */
export function reachOf(mask: Mask): Rect {
  const box = boxOf(mask);
  if (!box.width) return box;
  const reach = Math.max(0, Math.ceil(mask.feather + 0.5) - 1);
  const [x, y] = [Math.max(0, box.x - reach), Math.max(0, box.y - reach)];
  return { x, y, width: Math.min(mask.size[0], box.x + box.width + reach) - x, height: Math.min(mask.size[1], box.y + box.height + reach) - y };
}
