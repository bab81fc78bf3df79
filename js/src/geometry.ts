// Plane geometry of the canvas: image <-> screen, rectangles, turning, polygons, snapping. Pure, no DOM, no drawings (see shapes.ts).
// Image coordinates are pixels of the original image, origin top left.
import type { Point } from "./protocol";

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

export const toScreen = (t: Transform, [x, y]: Point): Point => [x * t.scale + t.x, y * t.scale + t.y];
export const toImage = (t: Transform, [x, y]: Point): Point => [(x - t.x) / t.scale, (y - t.y) / t.scale];

/** The transform that shows the whole image, centred, as large as fits. */
export function fit(viewport: Size, image: Size): Transform {
  if (image.width <= 0 || image.height <= 0 || viewport.width <= 0 || viewport.height <= 0) return { scale: 1, x: 0, y: 0 };
  const scale = Math.min(viewport.width / image.width, viewport.height / image.height);
  return { scale, x: (viewport.width - image.width * scale) / 2, y: (viewport.height - image.height * scale) / 2 };
}

const LARGEST = 64;

/** Larger or smaller by a factor; the image under `at` (screen) stays there. Never smaller than `whole`, the transform that fits. */
export function zoomed(t: Transform, factor: number, at: Point, viewport: Size, image: Size): Transform {
  const whole = fit(viewport, image);
  const scale = clamp(t.scale * factor, Math.min(whole.scale, 1), Math.max(whole.scale, LARGEST));
  const [x, y] = toImage(t, at);
  return held({ scale, x: at[0] - x * scale, y: at[1] - y * scale }, viewport, image);
}

/** Moved so that no more of the surroundings is seen than must be: an image that is smaller than the viewport is centred. */
export function held(t: Transform, viewport: Size, image: Size): Transform {
  const side = (at: number, room: number, length: number): number => (length <= room ? (room - length) / 2 : clamp(at, room - length, 0));
  return { scale: t.scale, x: side(t.x, viewport.width, image.width * t.scale), y: side(t.y, viewport.height, image.height * t.scale) };
}

export const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

export const inside = ([x, y]: Point, image: Size): Point => [clamp(x, 0, image.width), clamp(y, 0, image.height)];

export const round = ([x, y]: Point): Point => [Math.round(x), Math.round(y)];

export const samePoint = (a: Point, b: Point): boolean => a[0] === b[0] && a[1] === b[1];

export function rectOf(a: Point, b: Point): Rect {
  return { x: Math.min(a[0], b[0]), y: Math.min(a[1], b[1]), width: Math.abs(a[0] - b[0]), height: Math.abs(a[1] - b[1]) };
}

/** The smallest rectangle around some points. */
export function around(points: Point[]): Rect {
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  return rectOf([Math.min(...xs), Math.min(...ys)], [Math.max(...xs), Math.max(...ys)]);
}

export const centre = (r: Rect): Point => [r.x + r.width / 2, r.y + r.height / 2];

export const corners = ({ x, y, width, height }: Rect): Point[] => [
  [x, y],
  [x + width, y],
  [x + width, y + height],
  [x, y + height],
];

/** A point turned by degrees about another, clockwise as seen. */
export function turned([x, y]: Point, degrees: number, [cx, cy]: Point): Point {
  if (!degrees) return [x, y];
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  return [cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos];
}

export const overlap = (a: Rect, b: Rect): boolean => a.x <= b.x + b.width && b.x <= a.x + a.width && a.y <= b.y + b.height && b.y <= a.y + a.height;

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

export function distanceToSegment(p: Point, a: Point, b: Point): number {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const squared = dx * dx + dy * dy;
  const t = squared === 0 ? 0 : clamp(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / squared, 0, 1);
  return Math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

export const holds = (r: Rect, [x, y]: Point, by = 0): boolean =>
  x >= r.x - by && x <= r.x + r.width + by && y >= r.y - by && y <= r.y + r.height + by;

/** Whether a point is inside a polygon (even-odd). */
export function within(points: Point[], [x, y]: Point): boolean {
  let odd = false;
  edges(points, (a, b) => {
    if (a[1] > y !== b[1] > y && x < ((b[0] - a[0]) * (y - a[1])) / (b[1] - a[1]) + a[0]) odd = !odd;
  });
  return odd;
}

/** Distance of a point from the outline of a polygon. */
export function distanceToOutline(points: Point[], p: Point): number {
  let nearest = Infinity;
  edges(points, (a, b) => (nearest = Math.min(nearest, distanceToSegment(p, a, b))));
  return nearest;
}

function edges(points: Point[], each: (a: Point, b: Point) => void): void {
  let last = points.at(-1);
  for (const point of points) {
    if (last) each(last, point);
    last = point;
  }
}

/** A path with fewer points, nowhere further than `tolerance` from the first one (Ramer, 1972; Douglas & Peucker, 1973). */
export function simplified(path: Point[], tolerance: number): Point[] {
  const [first, last] = [path[0], path.at(-1)];
  if (!first || !last || path.length < 3) return path;
  let [far, most] = [0, tolerance];
  path.forEach((p, i) => {
    const distance = distanceToSegment(p, first, last);
    if (distance > most) [far, most] = [i, distance];
  });
  if (!far) return [first, last];
  return [...simplified(path.slice(0, far + 1), tolerance).slice(0, -1), ...simplified(path.slice(far), tolerance)];
}

/** Lines that a moved rectangle snapped to: x of vertical ones, y of horizontal ones. */
export interface Guides {
  x: number | null;
  y: number | null;
}

/** How far to move a rectangle further so that an edge or its middle lies on one of another, if one is within `reach`. */
export function snap(moved: Rect, others: Rect[], reach: number): { by: Point; guides: Guides } {
  const along = (at: number, length: number, lines: number[]): [number, number | null] => {
    let [by, line, nearest]: [number, number | null, number] = [0, null, reach];
    for (const own of [at, at + length / 2, at + length]) {
      for (const other of lines) {
        if (Math.abs(other - own) < nearest) [by, line, nearest] = [other - own, other, Math.abs(other - own)];
      }
    }
    return [by, line];
  };
  const [dx, x] = along(moved.x, moved.width, others.flatMap((r) => [r.x, r.x + r.width / 2, r.x + r.width]));
  const [dy, y] = along(moved.y, moved.height, others.flatMap((r) => [r.y, r.y + r.height / 2, r.y + r.height]));
  return { by: [dx, dy], guides: { x, y } };
}
