// Regions as canvases to cut with, and copies of canvases.
import { coverage } from "../edges";
import type { Mask, Point, Region } from "../protocol";
import { isRectangle, maskOf, polygonOf } from "../regions";

const stencils = new WeakMap<Mask, HTMLCanvasElement>();

/** The mask as a canvas of some size: opaque inside, with its soft edge. */
export function stencil(mask: Mask, width: number, height: number): HTMLCanvasElement {
  let canvas = stencils.get(mask);
  if (!canvas || canvas.width !== width || canvas.height !== height) {
    const made = blank(width, height);
    const { context } = made;
    const pixels = context.createImageData(width, height);
    coverage(mask, width, height).forEach((alpha, i) => (pixels.data[4 * i + 3] = alpha));
    context.putImageData(pixels, 0, 0);
    stencils.set(mask, (canvas = made.canvas));
  }
  return canvas;
}

/** Any region as such a canvas, whose pixels are `scale` times those of the image. */
export function stencilOf(region: Region, width: number, height: number, scale: number): HTMLCanvasElement {
  const mask = maskOf(region);
  if (mask) return stencil(mask, width, height);
  const { canvas, context } = blank(width, height);
  context.scale(scale, scale);
  const points = polygonOf(region);
  if (points) {
    context.beginPath();
    trace(context, points);
    context.fill("evenodd");
  } else if (isRectangle(region)) context.fillRect(...region);
  else context.fillRect(0, 0, width / scale, height / scale);
  return canvas;
}

export function trace(context: CanvasRenderingContext2D, points: Point[]): void {
  points.forEach((p, i) => (i === 0 ? context.moveTo(...p) : context.lineTo(...p)));
  context.closePath();
}

/** In memory, as the canvas that edits are previewed on: its pixels are read while a gesture lasts. */
function blank(width: number, height: number): { canvas: HTMLCanvasElement; context: CanvasRenderingContext2D } {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return { canvas, context: canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D };
}

export function copied(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const { context } = blank(canvas.width, canvas.height);
  context.drawImage(canvas, 0, 0);
  return context;
}

/** What a region has of a canvas, the rest see-through. */
export function cutOut(canvas: HTMLCanvasElement, region: Region, scale: number): HTMLCanvasElement {
  const context = copied(canvas);
  context.globalCompositeOperation = "destination-in";
  context.drawImage(stencilOf(region, canvas.width, canvas.height, scale), 0, 0);
  return context.canvas;
}
