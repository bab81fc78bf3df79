// The drawings as shapes: extents, hits, handles, and how each of them is made, moved, resized and turned. Pure, no DOM.
// Gestures land on whole pixels.
import {
  around,
  centre,
  clamp,
  constrain,
  corners,
  distanceToOutline,
  distanceToSegment,
  holds,
  inside,
  rectOf,
  round,
  samePoint,
  turned,
  within,
  type Rect,
  type Size,
} from "./geometry";
import { omit } from "./records";
import { boxOf, moved } from "./masks";
import { isObjectEdit, objectExtent, objectHandles, objectHit, objectMoved, objectResized } from "./objects";
import type { Arrow, Drawing, ObjectEdit, Point, Rectangle, Region, Text } from "./protocol";
import { maskOf, polygonOf, regionBox, touches } from "./regions";

export { maskOf, polygonOf } from "./regions";

export type Side = "nw" | "n" | "ne" | "e" | "se" | "s" | "sw" | "w";
export type HandleName = Side | "start" | "end" | "turn" | `p${number}`;
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

// As the kernel draws it: a head of 5 stroke widths by 4; an arrow shorter than that is all head.
const HEAD_LENGTH = 5;
const HEAD_WIDTH = 4;
export const LABEL_SIZE = 16;

/** Polygons with more points than this are resized as a whole, not point by point. */
const POINTS = 16;

/** The triangle at the end of an arrow, and the neck where its shaft ends. */
export function arrowHead(start: Point, end: Point, width: number): { tip: Point; left: Point; right: Point; neck: Point } {
  const length = Math.hypot(end[0] - start[0], end[1] - start[1]) || 1;
  const [ux, uy] = [(end[0] - start[0]) / length, (end[1] - start[1]) / length];
  const reach = Math.min(length, HEAD_LENGTH * width);
  const half = (reach * HEAD_WIDTH) / HEAD_LENGTH / 2;
  const neck: Point = [end[0] - ux * reach, end[1] - uy * reach];
  return { tip: end, neck, left: [neck[0] - uy * half, neck[1] + ux * half], right: [neck[0] + uy * half, neck[1] - ux * half] };
}

/** The extent of an arrow's label: beyond the tail, on the line's prolongation. */
export function labelExtent({ start, end, width, label = "", size = LABEL_SIZE }: Arrow, measure: Measure): Rect {
  const [w, h] = [measure(label, size), LINE_HEIGHT * size];
  const length = Math.hypot(start[0] - end[0], start[1] - end[1]) || 1;
  const [ux, uy] = [(start[0] - end[0]) / length, (start[1] - end[1]) / length];
  const t = Math.min(ux ? w / 2 / Math.abs(ux) : Infinity, uy ? h / 2 / Math.abs(uy) : Infinity) + width;
  return { x: start[0] + ux * t - w / 2, y: start[1] + uy * t - h / 2, width: w, height: h };
}

export const angleOf = (d: Drawing): number => ("angle" in d ? (d.angle ?? 0) : 0);

/** The extent of a drawing without its stroke, before it is turned; null for an effect on the whole image. */
export function extent(d: Drawing, measure: Measure = estimate): Rect | null {
  switch (d.op) {
    case "box":
    case "ellipse":
    case "patch":
      return { x: d.x, y: d.y, width: d.width, height: d.height };
    case "line":
    case "arrow":
      return rectOf(d.start, d.end);
    case "polygon":
      return around(d.points);
    case "text": {
      const lines = d.text.split("\n");
      const width = Math.max(...lines.map((line) => measure(line, d.size)));
      return { x: d.x, y: d.y, width, height: lines.length * LINE_HEIGHT * d.size };
    }
    default:
      return isObjectEdit(d) ? objectExtent(d) : regionBox(d.region);
  }
}

/** The rectangle that is covered as seen, turned or not. */
export function bounds(d: Drawing, measure: Measure = estimate): Rect | null {
  const r = extent(d, measure);
  const angle = angleOf(d);
  return r && angle ? around(corners(r).map((p) => turned(p, angle, centre(r)))) : r;
}

/** Whether a point (image pixels) is on the drawing, with some tolerance. Outlines are hit on their line, filled shapes anywhere. */
export function hits(d: Drawing, at: Point, tolerance: number, measure: Measure = estimate): boolean {
  const r = extent(d, measure);
  if (!r) return false;
  const p = turned(at, -angleOf(d), centre(r));
  switch (d.op) {
    case "arrow":
      if (d.label && holds(labelExtent(d, measure), p, tolerance)) return true;
      return distanceToSegment(p, d.start, d.end) <= tolerance + d.width / 2;
    case "line":
      return distanceToSegment(p, d.start, d.end) <= tolerance + d.width / 2;
    case "polygon":
      return (d.fill && within(d.points, p)) || distanceToOutline(d.points, p) <= tolerance + d.line_width / 2;
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
    case "text":
    case "patch":
      return holds(r, p, tolerance);
    default:
      return isObjectEdit(d) ? objectHit(d, p, tolerance) : touches(d.region, p, tolerance);
  }
}

const SIDES: Side[] = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const CORNERS: Side[] = ["nw", "ne", "se", "sw"];

/** `reach`: how far above the shape the handle that turns it stands, in image pixels. */
export function handles(d: Drawing, measure: Measure = estimate, reach = 0): Handle[] {
  if (d.op === "line" || d.op === "arrow") {
    return [
      { name: "start", at: d.start },
      { name: "end", at: d.end },
    ];
  }
  const grips = isObjectEdit(d) ? objectHandles(d) : "sides";
  if (!grips || ("region" in d && grips === "sides" && maskOf(d.region))) return [];
  const points = d.op === "polygon" ? d.points : "region" in d && grips === "sides" ? polygonOf(d.region) : null;
  if (points && points.length <= POINTS) return points.map((at, i) => ({ name: `p${i}`, at }));
  const r = extent(d, measure);
  if (!r) return [];
  const sides: Side[] = d.op === "text" ? ["se"] : grips === "corners" ? CORNERS : SIDES;
  const part = (name: string, low: string, high: string): number => (name.includes(low) ? 0 : name.includes(high) ? 1 : 0.5);
  const all: Handle[] = sides.map((name) => ({ name, at: [r.x + r.width * part(name, "w", "e"), r.y + r.height * part(name, "n", "s")] }));
  if (reach > 0 && (d.op === "box" || d.op === "ellipse" || d.op === "text")) all.push({ name: "turn", at: [r.x + r.width / 2, r.y - reach] });
  return all.map(({ name, at }) => ({ name, at: turned(at, angleOf(d), centre(r)) }));
}

/** The rectangle after one of its handles is dragged to a point; dragged past the other side it turns over. */
function dragged(r: Rect, name: Side, to: Point, square: boolean): Rect {
  let [x0, y0, x1, y1] = [r.x, r.y, r.x + r.width, r.y + r.height];
  if (name.length === 2 && square) {
    const anchor: Point = [name.includes("w") ? x1 : x0, name.includes("n") ? y1 : y0];
    to = constrain(anchor, to, "rect");
  }
  if (name.includes("w")) x0 = to[0];
  if (name.includes("e")) x1 = to[0];
  if (name.includes("n")) y0 = to[1];
  if (name.includes("s")) y1 = to[1];
  const next = rectOf([x0, y0], [x1, y1]);
  return { ...next, width: Math.max(1, next.width), height: Math.max(1, next.height) };
}

/** A drawing with its points put through a function; sizes, where it has them, are those of the new extent. */
function mapped(d: Exclude<Drawing, ObjectEdit>, point: (p: Point) => Point, to: Rect): Drawing {
  switch (d.op) {
    case "line":
    case "arrow":
      return { ...d, start: point(d.start), end: point(d.end) };
    case "polygon":
      return { ...d, points: d.points.map(point) };
    case "text":
      return { ...d, x: to.x, y: to.y };
    case "box":
    case "ellipse":
    case "patch":
      return { ...d, x: to.x, y: to.y, width: to.width, height: to.height };
    default: {
      const mask = maskOf(d.region);
      if (mask) return { ...d, region: { mask: moved(mask, to.x - boxOf(mask).x, to.y - boxOf(mask).y) } };
      const points = polygonOf(d.region);
      return { ...d, region: points ? points.map(point) : [to.x, to.y, to.width, to.height] };
    }
  }
}

/** The drawing with one handle dragged to a point (image pixels). Never smaller than one pixel. */
export function resize(d: Drawing, name: HandleName, to: Point, image: Size, square = false, measure: Measure = estimate): Drawing {
  const p = round(inside(to, image));
  if (isObjectEdit(d)) return objectResized(d, name, p, square);
  const r = extent(d, measure);
  if (!r) return d;
  if (name === "turn") return turn(d, to, r, square);
  if (name.startsWith("p")) {
    const at = Number(name.slice(1));
    const put = (points: Point[]): Point[] => points.map((q, i) => (i === at ? p : q));
    if (d.op === "polygon") return { ...d, points: put(d.points) };
    const points = "region" in d ? polygonOf(d.region) : null;
    return points && "region" in d ? { ...d, region: put(points) } : d;
  }
  if (d.op === "line" || d.op === "arrow") {
    const other = name === "start" ? d.end : d.start;
    const q = square ? round(inside(constrain(other, p, "line"), image)) : p;
    if (samePoint(q, other)) return d;
    return name === "start" ? { ...d, start: q } : { ...d, end: q };
  }
  // In the frame of the shape, which is turned about its old centre; then about its new one so that the other side stays.
  const angle = angleOf(d);
  const local = angle ? turned(to, -angle, centre(r)) : p;
  let next: Rect;
  if (d.op === "text") {
    if (!r.width || !r.height) return d;
    const factor = Math.max((local[0] - r.x) / r.width, (local[1] - r.y) / r.height);
    d = { ...d, size: clamp(Math.round(d.size * factor), 4, 1000) };
    next = extent(d, measure) ?? r;
  } else {
    next = dragged(r, name as Side, local, square);
  }
  if (angle) {
    const [cx, cy] = turned(centre(next), angle, centre(r));
    const [width, height] = d.op === "text" ? [next.width, next.height] : [Math.round(next.width), Math.round(next.height)];
    next = { x: Math.round(cx - width / 2), y: Math.round(cy - height / 2), width, height };
  }
  const scale = ([x, y]: Point): Point => [
    next.x + ((x - r.x) * next.width) / (r.width || 1),
    next.y + ((y - r.y) * next.height) / (r.height || 1),
  ];
  return mapped(d, (q) => round(scale(q)), next);
}

function turn(d: Drawing, to: Point, r: Rect, steps: boolean): Drawing {
  const [cx, cy] = centre(r);
  const degrees = (Math.atan2(to[0] - cx, cy - to[1]) * 180) / Math.PI;
  return withAngle(d, steps ? 15 * Math.round(degrees / 15) : Math.round(degrees));
}

/** The drawing at an angle in degrees; 0 is left out, as the kernel writes it. */
export function withAngle(d: Drawing, degrees: number): Drawing {
  const rest = omit(d as Drawing & { angle?: number }, "angle");
  const angle = ((degrees % 360) + 360) % 360;
  return (angle ? { ...rest, angle } : rest) as Drawing;
}

/** Where a text begins, as seen. */
export function beginning(d: Text, measure: Measure = estimate): Point {
  const r = extent(d, measure) as Rect;
  return turned([r.x, r.y], angleOf(d), centre(r));
}

/** A text with new content: its start keeps its position, turned or not. */
export function reworded(d: Text, text: string, measure: Measure = estimate): Text {
  const next = { ...d, text };
  const angle = angleOf(d);
  if (!angle) return next;
  const [x, y] = beginning(d, measure);
  const { width, height } = extent(next, measure) as Rect;
  const [cx, cy] = turned([x + width / 2, y + height / 2], angle, [x, y]);
  const [left, top] = round([cx - width / 2, cy - height / 2]);
  return { ...next, x: left, y: top };
}

/** The drawing moved by whole pixels, held so that it stays inside the image (or, if larger or half outside already, keeps touching it). */
export function move(d: Drawing, dx: number, dy: number, image: Size, measure: Measure = estimate): Drawing {
  const seen = bounds(d, measure);
  return seen ? shifted(d, stopped(seen, dx, dy, image)) : d;
}

/** The part of a movement, in whole pixels, that keeps a rectangle inside the image. */
export function stopped(r: Rect, dx: number, dy: number, image: Size): Point {
  const side = (at: number, length: number, by: number, limit: number): number => {
    const low = Math.min(0, at, limit - length);
    const high = Math.max(limit - length, at, 0);
    return Math.round(clamp(at + by, low, high) - at);
  };
  return [side(r.x, r.width, dx, image.width), side(r.y, r.height, dy, image.height)];
}

/** The drawing moved, wherever that is. */
export function shifted(d: Drawing, [dx, dy]: Point): Drawing {
  if (isObjectEdit(d)) return objectMoved(d, [dx, dy]);
  const r = extent(d);
  return r && (dx || dy) ? mapped(d, ([x, y]) => [x + dx, y + dy], { ...r, x: r.x + dx, y: r.y + dy }) : d;
}

export const DRAG_TOOLS = ["box", "ellipse", "line", "arrow", "noise", "blur", "pixelate", "erase", "patch"] as const;
export type DragTool = (typeof DRAG_TOOLS)[number];
export interface Style {
  color: string;
  fill: boolean;
  width: number;
  size: number;
  sigma: number;
  radius: number;
  block: number;
  erase: string;
}

/** The effect of a tool on a region, or null if the tool is none. */
export function effect(tool: DragTool, region: Region, style: Style, seed: number): Drawing | null {
  switch (tool) {
    case "noise":
      return { op: tool, sigma: style.sigma, seed, region };
    case "blur":
      return { op: tool, radius: style.radius, region };
    case "pixelate":
      return { op: tool, size: style.block, region };
    case "erase":
      return { op: tool, fill: style.erase === "color" ? style.color : style.erase, region };
    default:
      return null;
  }
}

/** The drawing that a drag from a to b makes, in whole pixels inside the image; null while it has no extent. */
export function drawn(tool: DragTool, from: Point, to: Point, image: Size, style: Style, seed: number, constrained = false): Drawing | null {
  const a = round(inside(from, image));
  const isLine = tool === "line" || tool === "arrow";
  const b = round(inside(constrained ? constrain(a, to, isLine ? "line" : "rect") : to, image));
  if (isLine) {
    return samePoint(a, b) ? null : { op: tool, start: a, end: b, color: style.color, width: style.width };
  }
  const r = rectOf(a, b);
  if (r.width < 1 || r.height < 1) return null;
  const region: Rectangle = [r.x, r.y, r.width, r.height];
  if (tool === "patch") return { op: tool, image: null, source: region, ...r };
  if (tool === "box" || tool === "ellipse") return { op: tool, ...r, color: style.color, fill: style.fill, line_width: style.width };
  return effect(tool, region, style, seed);
}

/** The polygon of some points, in whole pixels inside the image; null while it encloses nothing. */
export function closed(path: Point[], image: Size): Point[] | null {
  const points = path.map((p) => round(inside(p, image))).filter((p, i, all) => i === 0 || !samePoint(p, all[i - 1] ?? p));
  const r = points.length > 2 ? around(points) : null;
  return r && r.width >= 1 && r.height >= 1 ? points : null;
}
