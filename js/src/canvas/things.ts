// The page's own drawing of edits of things, for the time of a gesture and until the kernel's comes: pieces of the picture in new places, holes
// filled by straight lines of colour, colours over the shading. What comes of another picture is the kernel's, which has it.
import type { Rect } from "../geometry";
import { holesOf, piecesOf } from "../objects";
import type { ObjectEdit, Region } from "../protocol";
import { wholeBox } from "../regions";
import { copied, cutOut, stencilOf } from "./stencil";

/** Draws on the picture as the canvas has it. The canvas is scaled to pixels of the image. */
export function drawEdit(context: CanvasRenderingContext2D, d: ObjectEdit, scale: number): void {
  const before = copied(context.canvas).canvas;
  if (d.op === "recolor") paintOver(context, d.region, scale, (onto) => {
    onto.globalCompositeOperation = "color";
    onto.fillStyle = d.color;
    onto.fillRect(0, 0, before.width, before.height);
  });
  if (d.op === "retexture" && d.image === null) paintOver(context, d.region, scale, (onto) => texture(onto, before, d.source, scale));
  if (d.op === "recolor" || d.op === "retexture" || (d.op === "insert" && d.image !== null)) return;
  for (const hole of holesOf(d)) paintOver(context, hole, scale, (onto) => fill(onto, hole, scale));
  if (d.op === "remove") return;
  for (const { region, from, to, flip } of piecesOf(d)) {
    context.save();
    context.translate(to.x + to.width / 2, to.y + to.height / 2);
    context.scale(flip === "horizontal" ? -1 : 1, flip === "vertical" ? -1 : 1);
    const { x, y, width, height } = scaled(from, scale);
    context.drawImage(cutOut(before, region, scale), x, y, width, height, -to.width / 2, -to.height / 2, to.width, to.height);
    context.restore();
  }
}

const scaled = (r: Rect, scale: number): Rect => ({ x: r.x * scale, y: r.y * scale, width: r.width * scale, height: r.height * scale });

/** Paints on a copy, of which the region comes back. */
function paintOver(context: CanvasRenderingContext2D, region: Region, scale: number, paint: (onto: CanvasRenderingContext2D) => void): void {
  const onto = copied(context.canvas);
  paint(onto);
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(cutOut(onto.canvas, region, scale), 0, 0);
  context.restore();
}

function texture(onto: CanvasRenderingContext2D, from: HTMLCanvasElement, source: Region, scale: number): void {
  const box = wholeBox(source);
  const { x, y, width, height } = box ? scaled(box, scale) : { x: 0, y: 0, width: from.width, height: from.height };
  const tile = document.createElement("canvas");
  [tile.width, tile.height] = [Math.max(1, Math.round(width)), Math.max(1, Math.round(height))];
  tile.getContext("2d")?.drawImage(from, x, y, width, height, 0, 0, tile.width, tile.height);
  onto.fillStyle = onto.createPattern(tile, "repeat") ?? onto.fillStyle;
  onto.fillRect(0, 0, from.width, from.height);
}

/** Fills a hole: along each row and column from the colour at one edge to that at the other; the shorter way counts more. */
function fill(onto: CanvasRenderingContext2D, hole: Region, scale: number): void {
  const canvas = onto.canvas;
  const box = wholeBox(hole);
  if (!box) return;
  const margin = 2;
  const [left, top] = [Math.max(0, Math.floor(box.x * scale) - margin), Math.max(0, Math.floor(box.y * scale) - margin)];
  const [columns, rows] = [Math.min(canvas.width, Math.ceil((box.x + box.width) * scale) + margin) - left, Math.min(canvas.height, Math.ceil((box.y + box.height) * scale) + margin) - top];
  if (columns < 1 || rows < 1) return;
  const image = onto.getImageData(left, top, columns, rows);
  const stencil = stencilOf(hole, canvas.width, canvas.height, scale).getContext("2d")?.getImageData(left, top, columns, rows).data;
  if (!stencil) return;
  filled(image.data, columns, rows, (i) => (stencil[4 * i + 3] ?? 0) > 0);
  onto.putImageData(image, left, top);
}

/** In place: pixels [4 * rows * columns], by the colours around those that are inside. */
export function filled(pixels: Uint8ClampedArray, columns: number, rows: number, inside: (i: number) => boolean): void {
  const sums = new Float32Array(4 * columns * rows); // weighted colours, and weights
  const along = (start: number, step: number, count: number): void => {
    for (let from = 0; from < count; from++) {
      if (!inside(start + from * step)) continue;
      let to = from;
      while (to < count && inside(start + to * step)) to++;
      const [before, after] = [from > 0 ? start + (from - 1) * step : null, to < count ? start + to * step : null];
      const weight = 1 / (to - from);
      for (let k = from; k < to; k++) {
        const at = start + k * step;
        const share = before === null ? 1 : after === null ? 0 : (k - from + 1) / (to - from + 1);
        const [a, b] = [before ?? after, after ?? before];
        if (a === null || b === null) break;
        for (let c = 0; c < 3; c++) sums[4 * at + c] = (sums[4 * at + c] ?? 0) + weight * ((1 - share) * (pixels[4 * a + c] ?? 0) + share * (pixels[4 * b + c] ?? 0));
        sums[4 * at + 3] = (sums[4 * at + 3] ?? 0) + weight;
      }
      from = to;
    }
  };
  for (let y = 0; y < rows; y++) along(y * columns, 1, columns);
  for (let x = 0; x < columns; x++) along(x, columns, rows);
  for (let i = 0; i < columns * rows; i++) {
    const weight = sums[4 * i + 3] ?? 0;
    if (weight > 0) for (let c = 0; c < 3; c++) pixels[4 * i + c] = (sums[4 * i + c] ?? 0) / weight;
  }
}
