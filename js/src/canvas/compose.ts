// The page's own rendering of the operations over the base picture, for the time of a gesture and until the kernel's exact one arrives.
// It follows the kernel's geometry; what the model is shown is always the kernel's rendering, never this.
import { isDrawing } from "../document";
import { arrowHead, ASCENT, LINE_HEIGHT, type Measure } from "../geometry";
import type { Drawing, Operation } from "../protocol";
import type { Picture } from "../state/picture";

export const FONT = '"DejaVu Sans", Verdana, "Bitstream Vera Sans", sans-serif';

/** Exact text widths where the browser has a canvas. */
export function measurer(): Measure | undefined {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return undefined;
  context.font = `100px ${FONT}`;
  return (text, size) => (context.measureText(text).width * size) / 100;
}

/** Draws base and operations at the size of the base preview, which is the size that the kernel's preview has too. */
export function compose(canvas: HTMLCanvasElement, base: Picture, operations: Operation[]): void {
  const context = canvas.getContext("2d", { willReadFrequently: operations.some((o) => o.op === "noise") });
  if (!context) return;
  if (canvas.width !== base.width || canvas.height !== base.height) {
    canvas.width = base.width;
    canvas.height = base.height;
  }
  const scale = base.width / base.image.width;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(base.source, 0, 0, base.width, base.height);
  context.scale(scale, base.height / base.image.height);
  for (const op of operations) {
    if (isDrawing(op)) draw(context, op, scale);
  }
}

function draw(context: CanvasRenderingContext2D, d: Drawing, scale: number): void {
  if (d.op === "noise") {
    addNoise(context, d.sigma, d.seed, d.region, scale);
    return;
  }
  context.fillStyle = context.strokeStyle = d.color;
  context.lineCap = "butt";
  context.lineJoin = "miter";
  context.beginPath();
  switch (d.op) {
    case "box":
    case "ellipse": {
      // An outline lies inside the extent, as the kernel draws it.
      const inset = d.fill ? 0 : Math.min(d.line_width, d.width, d.height) / 2;
      const [x, y, width, height] = [d.x + inset, d.y + inset, d.width - 2 * inset, d.height - 2 * inset];
      if (d.op === "box") context.rect(x, y, width, height);
      else context.ellipse(x + width / 2, y + height / 2, width / 2, height / 2, 0, 0, 2 * Math.PI);
      if (d.fill) context.fill();
      else {
        context.lineWidth = 2 * inset;
        context.stroke();
      }
      break;
    }
    case "line":
    case "arrow": {
      const head = d.op === "arrow" ? arrowHead(d.start, d.end, d.width) : null;
      context.lineWidth = d.width;
      context.moveTo(...d.start);
      context.lineTo(...(head?.neck ?? d.end));
      context.stroke();
      if (head) {
        context.beginPath();
        context.moveTo(...head.tip);
        context.lineTo(...head.left);
        context.lineTo(...head.right);
        context.fill();
      }
      break;
    }
    case "text":
      context.font = `${d.size}px ${FONT}`;
      context.textBaseline = "alphabetic";
      d.text.split("\n").forEach((line, i) => context.fillText(line, d.x, d.y + (ASCENT + i * LINE_HEIGHT) * d.size));
  }
}

const TABLE = 1 << 14;

/** Normal deviates; the same seed gives the same table. */
function deviates(seed: number): Float32Array {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: TABLE }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

function addNoise(
  context: CanvasRenderingContext2D,
  sigma: number,
  seed: number,
  region: readonly number[] | null,
  scale: number,
): void {
  const { width, height } = context.canvas;
  const [x = 0, y = 0, w = width, h = height] = region ? region.map((v) => Math.round(v * scale)) : [];
  const [x0, y0] = [Math.max(0, x), Math.max(0, y)];
  const [columns, rows] = [Math.min(width, x + w) - x0, Math.min(height, y + h) - y0];
  if (columns < 1 || rows < 1 || sigma <= 0) return;
  const image = context.getImageData(x0, y0, columns, rows);
  const pixels = image.data;
  const table = deviates(seed);
  // Shrinking an image averages its noise away: a preview shows that much less.
  const gain = 255 * sigma * Math.min(1, scale);
  let at = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    // A stride that is no simple fraction of the table, so that no pattern is seen.
    at = (at + 7919 + (i >> 13)) & (TABLE - 1);
    pixels[i] = (pixels[i] ?? 0) + gain * (table[at] ?? 0);
    pixels[i + 1] = (pixels[i + 1] ?? 0) + gain * (table[(at + 5333) & (TABLE - 1)] ?? 0);
    pixels[i + 2] = (pixels[i + 2] ?? 0) + gain * (table[(at + 10477) & (TABLE - 1)] ?? 0);
  }
  context.putImageData(image, x0, y0);
}
