// The page's own rendering of the operations over the base picture, for the time of a gesture and until the kernel's exact one arrives.
// It follows the kernel's geometry; what the model is shown is always the kernel's rendering, never this.
import { isDrawing } from "../document";
import { reachOf } from "../edges";
import { centre } from "../geometry";
import { isObjectEdit, OBJECT_EDITS } from "../objects";
import type { Drawing, ObjectEdit, Operation, Point } from "../protocol";
import { angleOf, arrowHead, ASCENT, estimate, extent, LABEL_SIZE, labelExtent, LINE_HEIGHT, maskOf, polygonOf, type Measure } from "../shapes";
import type { Picture } from "../state/picture";
import { FONT } from "./font";
import { copied, stencil, trace } from "./stencil";
import { drawEdit } from "./things";


/** Exact text widths where the browser has a canvas. */
export function measurer(): Measure | undefined {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return undefined;
  return (text, size) => {
    context.font = `100px ${FONT}`; // set each time: the font may have come since
    return (context.measureText(text).width * size) / 100;
  };
}

/** They read what is below them. */
const EFFECTS = ["noise", "blur", "pixelate", "erase", ...OBJECT_EDITS];

/** Draws base and operations at the size of the base preview, which is the size that the kernel's preview has too. */
export function compose(canvas: HTMLCanvasElement, base: Picture, operations: Operation[], measure: Measure = estimate): void {
  const context = canvas.getContext("2d", { willReadFrequently: operations.some((o) => EFFECTS.includes(o.op)) });
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
    if (!isDrawing(op) || op.hidden) continue;
    if (isObjectEdit(op)) drawEdit(context, op, scale);
    else if ("region" in op) affect(context, op, base, scale);
    else draw(context, op, base, measure);
  }
}

function draw(context: CanvasRenderingContext2D, d: Exclude<Drawing, { region: unknown } | ObjectEdit>, base: Picture, measure: Measure): void {
  if (d.op === "patch") {
    // Of another image: the kernel has it, the page has not.
    if (d.image !== null) return;
    const ratio = base.width / base.image.width;
    const [x, y, width, height] = d.source;
    context.drawImage(base.source, x * ratio, y * ratio, width * ratio, height * ratio, d.x, d.y, d.width, d.height);
    return;
  }
  context.fillStyle = context.strokeStyle = d.color;
  context.lineCap = "butt";
  context.lineJoin = "miter";
  context.beginPath();
  const angle = angleOf(d);
  const r = angle ? extent(d, measure) : null;
  if (r) {
    const [x, y] = centre(r);
    context.save();
    context.translate(x, y);
    context.rotate((angle * Math.PI) / 180);
    context.translate(-x, -y);
  }
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
    case "polygon":
      trace(context, d.points);
      if (d.fill) context.fill("evenodd");
      else {
        context.lineWidth = d.line_width;
        context.lineJoin = "round";
        context.stroke();
      }
      break;
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
      if (d.op === "arrow" && d.label) {
        const { x, y } = labelExtent(d, measure);
        write(context, d.label, x, y, d.size ?? LABEL_SIZE);
      }
      break;
    }
    case "text":
      write(context, d.text, d.x, d.y, d.size);
  }
  if (r) context.restore();
}

const FROM_RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Whether a line runs from right to left, as its first letter does. */
export const goesLeft = (line: string): boolean => FROM_RIGHT.test(/\p{L}/u.exec(line)?.[0] ?? "");

function write(context: CanvasRenderingContext2D, text: string, x: number, y: number, size: number): void {
  context.font = `${size}px ${FONT}`;
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  text.split("\n").forEach((line, i) => {
    context.direction = goesLeft(line) ? "rtl" : "ltr";
    context.fillText(line, x, y + (ASCENT + i * LINE_HEIGHT) * size);
  });
}

/** Pixels of the canvas: left, top, columns, rows. */
type Cells = readonly [number, number, number, number];

function affect(context: CanvasRenderingContext2D, d: Exclude<Extract<Drawing, { region: unknown }>, ObjectEdit>, base: Picture, scale: number): void {
  const { width, height } = context.canvas;
  const mask = maskOf(d.region);
  const r = mask ? reachOf(mask) : extent(d);
  const [x, y, w, h] = r ? [r.x, r.y, r.width, r.height].map((v) => Math.round(v * scale)) as unknown as Cells : [0, 0, width, height];
  const [left, top] = [Math.max(0, x), Math.max(0, y)];
  const cells: Cells = [left, top, Math.min(width, x + w) - left, Math.min(height, y + h) - top];
  if (cells[2] < 1 || cells[3] < 1) return;
  const points = polygonOf(d.region);
  context.save();
  if (points) {
    context.beginPath();
    trace(context, points);
    context.clip("evenodd");
  }
  context.setTransform(1, 0, 0, 1, 0, 0);
  // Written pixels ignore the clip: they go to a copy, which is drawn through it, or cut out by the mask.
  const onto = points || mask ? copied(context.canvas) : context;
  switch (d.op) {
    case "noise":
      addNoise(onto, d.sigma, d.seed, cells, scale);
      break;
    case "blur":
      onto.save();
      onto.beginPath();
      onto.rect(...cells);
      onto.clip();
      onto.filter = `blur(${d.radius * scale}px)`;
      onto.drawImage(copied(context.canvas).canvas, 0, 0);
      onto.restore();
      break;
    case "pixelate":
      pixelate(onto, d.size * scale, [x, y], cells);
      break;
    case "erase":
      // In-painting is the kernel's: the mean stands for it until that has come.
      onto.fillStyle = d.fill === "mean" || d.fill === "inpaint" ? mean(base) : d.fill;
      onto.fillRect(...cells);
  }
  if (mask) {
    onto.globalCompositeOperation = "destination-in";
    onto.drawImage(stencil(mask, width, height), 0, 0);
  }
  if (points || mask) context.drawImage(onto.canvas, 0, 0);
  context.restore();
}

const means = new WeakMap<Picture, string>();

/** Mean colour of a picture. */
function mean(base: Picture): string {
  let colour = means.get(base);
  if (!colour) {
    const whole = document.createElement("canvas");
    [whole.width, whole.height] = [base.width, base.height];
    const context = whole.getContext("2d") as CanvasRenderingContext2D;
    context.drawImage(base.source, 0, 0, base.width, base.height);
    const { data } = context.getImageData(0, 0, base.width, base.height);
    const sums = [0, 0, 0];
    for (let i = 0; i < data.length; i++) if (i % 4 < 3) sums[i % 4] = (sums[i % 4] ?? 0) + (data[i] ?? 0);
    colour = `rgb(${sums.map((s) => Math.round((4 * s) / data.length)).join(" ")})`;
    means.set(base, colour);
  }
  return colour;
}

function pixelate(context: CanvasRenderingContext2D, side: number, [x, y]: Point, [left, top, columns, rows]: Cells): void {
  const { data } = context.getImageData(left, top, columns, rows);
  const edge = (start: number, i: number, low: number, count: number): number => Math.min(Math.max(Math.round(start + i * side) - low, 0), count);
  for (let j = 0; edge(y, j, top, rows) < rows; j++) {
    const [y0, y1] = [edge(y, j, top, rows), edge(y, j + 1, top, rows)];
    for (let i = 0; edge(x, i, left, columns) < columns; i++) {
      const [x0, x1] = [edge(x, i, left, columns), edge(x, i + 1, left, columns)];
      const n = (x1 - x0) * (y1 - y0);
      if (n < 1) continue;
      let [r, g, b] = [0, 0, 0];
      for (let v = y0; v < y1; v++) {
        for (let u = x0; u < x1; u++) {
          const at = 4 * (v * columns + u);
          r += data[at] ?? 0;
          g += data[at + 1] ?? 0;
          b += data[at + 2] ?? 0;
        }
      }
      context.fillStyle = `rgb(${[r, g, b].map((s) => Math.round(s / n)).join(" ")})`;
      context.fillRect(left + x0, top + y0, x1 - x0, y1 - y0);
    }
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

function addNoise(context: CanvasRenderingContext2D, sigma: number, seed: number, [left, top, columns, rows]: Cells, scale: number): void {
  if (sigma <= 0) return;
  const image = context.getImageData(left, top, columns, rows);
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
  context.putImageData(image, left, top);
}
