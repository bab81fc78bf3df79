// Geometry of the canvas: image <-> screen, extents, hits, handles, and how each drawing moves and resizes. Pure, no DOM.
// Image coordinates are pixels of the original image, origin top left; gestures land on whole pixels.
import type { Drawing, Point, Region } from "./protocol";

export interface Size {
  width: number;
  height: number;
}
export interface Rect extends Size {
  x: number;
  y: number;
}
/** screen = image * scale + (x, y) */
export interface Transform {
  scale: number;
  x: number;
  y: number;
}
export type HandleName = "nw" | "n" | "ne" | "e" | "se" | "s" | "sw" | "w" | "start" | "end";
export interface Handle {
  name: HandleName;
  at: Point;
}
/** Width in pixels of one line of text at a font size: the canvas measures exactly, tests and layout may estimate. */
export type Measure = (text: string, size: number) => number;

// DejaVu Sans (the font that the kernel renders with): ascent and line height as parts of the size.
export const ASCENT = 0.928;
export const LINE_HEIGHT = 1.164;
export const estimate: Measure = (text, size) => 0.6 * size * text.length;

export const toScreen = (t: Transform, [x, y]: Point): Point => [x * t.scale + t.x, y * t.scale + t.y];
export const toImage = (t: Transform, [x, y]: Point): Point => [(x - t.x) / t.scale, (y - t.y) / t.scale];

/** The transform that shows the whole image, centred, as large as fits. */
export function fit(viewport: Size, image: Size): Transform {
  if (image.width <= 0 || image.height <= 0 || viewport.width <= 0 || viewport.height <= 0) return { scale: 1, x: 0, y: 0 };
  const scale = Math.min(viewport.width / image.width, viewport.height / image.height);
  return { scale, x: (viewport.width - image.width * scale) / 2, y: (viewport.height - image.height * scale) / 2 };
}

export const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

export const inside = ([x, y]: Point, image: Size): Point => [clamp(x, 0, image.width), clamp(y, 0, image.height)];

const round = ([x, y]: Point): Point => [Math.round(x), Math.round(y)];

export function rectOf(a: Point, b: Point): Rect {
  return { x: Math.min(a[0], b[0]), y: Math.min(a[1], b[1]), width: Math.abs(a[0] - b[0]), height: Math.abs(a[1] - b[1]) };
}

/** Shift: squares and circles; lines in steps of 45 degrees. */
export function constrain(from: Point, to: Point, kind: "rect" | "line"): Point {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  if (kind === "rect") {
    const side = Math.max(Math.abs(dx), Math.abs(dy));
    return [from[0] + (dx < 0 ? -side : side), from[1] + (dy < 0 ? -side : side)];
  }
  const angle = (Math.round(Math.atan2(dy, dx) / (Math.PI / 4)) * Math.PI) / 4;
  const length = dx * Math.cos(angle) + dy * Math.sin(angle);
  return [from[0] + length * Math.cos(angle), from[1] + length * Math.sin(angle)];
}

// As the kernel draws it: a head of 5 stroke widths by 4; an arrow shorter than that is all head.
const HEAD_LENGTH = 5;
const HEAD_WIDTH = 4;

/** The triangle at the end of an arrow, and the neck where its shaft ends. */
export function arrowHead(start: Point, end: Point, width: number): { tip: Point; left: Point; right: Point; neck: Point } {
  const length = Math.hypot(end[0] - start[0], end[1] - start[1]) || 1;
  const [ux, uy] = [(end[0] - start[0]) / length, (end[1] - start[1]) / length];
  const reach = Math.min(length, HEAD_LENGTH * width);
  const half = (reach * HEAD_WIDTH) / HEAD_LENGTH / 2;
  const neck: Point = [end[0] - ux * reach, end[1] - uy * reach];
  return { tip: end, neck, left: [neck[0] - uy * half, neck[1] + ux * half], right: [neck[0] + uy * half, neck[1] - ux * half] };
}

/** The extent of a drawing without its stroke; null for noise over the whole image. */
export function extent(d: Drawing, measure: Measure = estimate): Rect | null {
  switch (d.op) {
    case "box":
    case "ellipse":
      return { x: d.x, y: d.y, width: d.width, height: d.height };
    case "line":
    case "arrow":
      return rectOf(d.start, d.end);
    case "text": {
      const lines = d.text.split("\n");
      const width = Math.max(...lines.map((line) => measure(line, d.size)));
      return { x: d.x, y: d.y, width, height: lines.length * LINE_HEIGHT * d.size };
    }
    case "noise":
      return d.region && { x: d.region[0], y: d.region[1], width: d.region[2], height: d.region[3] };
  }
}

function distanceToSegment(p: Point, a: Point, b: Point): number {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const squared = dx * dx + dy * dy;
  const t = squared === 0 ? 0 : clamp(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / squared, 0, 1);
  return Math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

const holds = (r: Rect, [x, y]: Point, by: number): boolean =>
  x >= r.x - by && x <= r.x + r.width + by && y >= r.y - by && y <= r.y + r.height + by;

/** Whether a point (image pixels) is on the drawing, with some tolerance. Outlines are hit on their line, filled shapes anywhere. */
export function hits(d: Drawing, p: Point, tolerance: number, measure: Measure = estimate): boolean {
  const r = extent(d, measure);
  if (!r) return false;
  switch (d.op) {
    case "line":
    case "arrow":
      return distanceToSegment(p, d.start, d.end) <= tolerance + d.width / 2;
    case "box": {
      const by = tolerance + (d.fill ? 0 : d.line_width / 2);
      if (!holds(r, p, by)) return false;
      return d.fill || r.width <= 2 * by || r.height <= 2 * by || !holds(r, p, -by);
    }
    case "ellipse": {
      const by = tolerance + (d.fill ? 0 : d.line_width / 2);
      const radius = (grow: number): number => {
        const [rx, ry] = [r.width / 2 + grow, r.height / 2 + grow];
        if (rx <= 0 || ry <= 0) return Infinity;
        return ((p[0] - r.x - r.width / 2) / rx) ** 2 + ((p[1] - r.y - r.height / 2) / ry) ** 2;
      };
      return radius(by) <= 1 && (d.fill || radius(-by) >= 1);
    }
    default:
      return holds(r, p, tolerance);
  }
}

export function handles(d: Drawing, measure: Measure = estimate): Handle[] {
  if (d.op === "line" || d.op === "arrow") {
    return [
      { name: "start", at: d.start },
      { name: "end", at: d.end },
    ];
  }
  const r = extent(d, measure);
  if (!r) return [];
  const names: HandleName[] = d.op === "text" ? ["se"] : ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
  const part = (name: string, low: string, high: string): number => (name.includes(low) ? 0 : name.includes(high) ? 1 : 0.5);
  return names.map((name) => ({ name, at: [r.x + r.width * part(name, "w", "e"), r.y + r.height * part(name, "n", "s")] }));
}

/** The rectangle after one of its handles is dragged to a point; dragged past the other side it turns over. */
function dragged(r: Rect, name: HandleName, to: Point, square: boolean): Rect {
  let [x0, y0, x1, y1] = [r.x, r.y, r.x + r.width, r.y + r.height];
  const corner = name.length === 2;
  if (corner && square) {
    const anchor: Point = [name.includes("w") ? x1 : x0, name.includes("n") ? y1 : y0];
    to = constrain(anchor, to, "rect");
  }
  if (name.includes("w")) x0 = to[0];
  if (name.includes("e")) x1 = to[0];
  if (name.includes("n")) y0 = to[1];
  if (name.includes("s")) y1 = to[1];
  return rectOf([x0, y0], [x1, y1]);
}

function withRect<T extends Drawing>(d: T, r: Rect): T {
  if (d.op === "noise") return { ...d, region: [r.x, r.y, r.width, r.height] satisfies Region };
  return { ...d, x: r.x, y: r.y, width: r.width, height: r.height };
}

/** The drawing with one handle dragged to a point (image pixels). Never smaller than one pixel. */
export function resize(d: Drawing, name: HandleName, to: Point, image: Size, square = false, measure: Measure = estimate): Drawing {
  const p = round(inside(to, image));
  switch (d.op) {
    case "line":
    case "arrow": {
      const other = name === "start" ? d.end : d.start;
      const q = square ? round(inside(constrain(other, p, "line"), image)) : p;
      if (same(q, other)) return d;
      return name === "start" ? { ...d, start: q } : { ...d, end: q };
    }
    case "text": {
      const r = extent(d, measure);
      if (!r?.width || !r.height) return d;
      const factor = Math.max((p[0] - r.x) / r.width, (p[1] - r.y) / r.height);
      return { ...d, size: clamp(Math.round(d.size * factor), 4, 1000) };
    }
    default: {
      const r = extent(d, measure);
      if (!r) return d;
      const next = dragged(r, name, p, square);
      return withRect(d, { ...next, width: Math.max(1, next.width), height: Math.max(1, next.height) });
    }
  }
}

const same = (a: Point, b: Point): boolean => a[0] === b[0] && a[1] === b[1];

/** The drawing moved by whole pixels, held so that it stays inside the image (or, if larger or half outside already, keeps touching it). */
export function move(d: Drawing, dx: number, dy: number, image: Size, measure: Measure = estimate): Drawing {
  const r = extent(d, measure);
  if (!r) return d;
  const held = (at: number, length: number, by: number, limit: number): number => {
    const low = Math.min(0, at, limit - length);
    const high = Math.max(limit - length, at, 0);
    return Math.round(clamp(at + by, low, high)) - at;
  };
  const [bx, by] = [held(r.x, r.width, dx, image.width), held(r.y, r.height, dy, image.height)];
  switch (d.op) {
    case "line":
    case "arrow":
      return { ...d, start: [d.start[0] + bx, d.start[1] + by], end: [d.end[0] + bx, d.end[1] + by] };
    case "text":
      return { ...d, x: d.x + bx, y: d.y + by };
    default:
      return withRect(d, { ...r, x: r.x + bx, y: r.y + by });
  }
}

export type DragTool = "box" | "ellipse" | "line" | "arrow" | "noise";
export interface Style {
  color: string;
  fill: boolean;
  width: number;
  size: number;
  sigma: number;
}

/** The drawing that a drag from a to b makes, in whole pixels inside the image; null while it has no extent. */
export function drawn(tool: DragTool, from: Point, to: Point, image: Size, style: Style, seed: number, constrained = false): Drawing | null {
  const a = round(inside(from, image));
  const isLine = tool === "line" || tool === "arrow";
  const b = round(inside(constrained ? constrain(a, to, isLine ? "line" : "rect") : to, image));
  if (isLine) {
    return same(a, b) ? null : { op: tool, start: a, end: b, color: style.color, width: style.width };
  }
  const r = rectOf(a, b);
  if (r.width < 1 || r.height < 1) return null;
  if (tool === "noise") return { op: "noise", sigma: style.sigma, seed, region: [r.x, r.y, r.width, r.height] };
  return { op: tool, ...r, color: style.color, fill: style.fill, line_width: style.width };
}
