// Edits of things on the picture (remove, move, resize, swap, mirror, insert, recolour, retexture) as shapes: where each takes its pixels
// from and puts them to, how it is hit, moved and resized. Pure. The kernel's geometry is in stimulus/edits.py and insertion.py.
import { around, centre, clamp, corners, type Rect, type Size } from "./geometry";
import { same } from "./document";
import { omit } from "./records";
import type { Drawing, Insert, ObjectEdit, Operation, Point, Region } from "./protocol";
import { maskOf, polygonOf, touches, wholeBox } from "./regions";

/** By their names in JSON; those that may leave a hole. */
export const OBJECT_EDITS = ["remove", "move", "resize", "swap", "mirror", "insert", "recolor", "retexture"];
const [SMALLEST, LARGEST] = [0.01, 100];

export type HoleEdit = Extract<ObjectEdit, { pixels?: string }>;

export const isObjectEdit = (op: Operation): op is ObjectEdit => OBJECT_EDITS.includes(op.op);

/** Regions that are in-painted. */
export function holesOf(d: ObjectEdit): Region[] {
  switch (d.op) {
    case "remove":
    case "move":
    case "resize":
      return [d.region];
    case "swap":
      return [d.region, d.other];
    case "mirror":
      return (maskOf(d.region) ?? polygonOf(d.region)) ? [d.region] : [];
    default:
      return [];
  }
}

/** The regions of any operation, in the order in which it names them. */
export function regionsOf(op: Operation): Region[] {
  if (op.op === "swap") return [op.region, op.other];
  return op.op === "insert" ? [op.source] : "region" in op ? [op.region] : [];
}

/** Whether the kernel has yet to in-paint its holes. */
export const isUnpainted = (d: Operation): boolean => isObjectEdit(d) && holesOf(d).length > 0 && !("pixels" in d && d.pixels);

/** An edit without what the kernel adds to it: two of them are the same edit. */
export function bare<T extends Operation | undefined>(op: T): T {
  return op && "pixels" in op ? (omit(op, "pixels", "beneath" as "pixels") as T) : op;
}

/** Whether two lists have the same operations, whatever of them the kernel has painted. */
export const sameEdits = (a: Operation[], b: Operation[]): boolean => a.length === b.length && a.every((op, i) => op === b[i] || same(bare(op), bare(b[i])));

/** Pixels of `region` of the picture, from one rectangle to another, mirrored or not. */
export interface Piece {
  region: Region;
  from: Rect;
  to: Rect;
  flip?: "horizontal" | "vertical";
}

const shift = (r: Rect, x: number, y: number): Rect => ({ ...r, x: r.x + x, y: r.y + y });

const scaled = (r: Rect, factor: number): Rect => {
  const [x, y] = centre(r);
  const [left, top] = [Math.round(x + (r.x - x) * factor), Math.round(y + (r.y - y) * factor)];
  return { x: left, y: top, width: Math.max(1, Math.round(x + (r.x + r.width - x) * factor) - left), height: Math.max(1, Math.round(y + (r.y + r.height - y) * factor) - top) };
};

/** Its pieces of the picture, with their places; none for the whole image. An inserted picture as a whole is one piece without a region. */
export function piecesOf(d: ObjectEdit): Piece[] {
  if (d.op === "insert") {
    const to = placeOf(d);
    return to ? [{ region: d.source, from: wholeBox(d.source) ?? { ...to, x: 0, y: 0 }, to }] : [];
  }
  const from = wholeBox(d.region);
  if (!from) return [];
  const piece = { region: d.region, from };
  switch (d.op) {
    case "move":
      return [{ ...piece, to: { ...from, x: Math.round(d.to[0]), y: Math.round(d.to[1]) } }];
    case "resize":
      return [{ ...piece, to: scaled(from, d.factor) }];
    case "swap": {
      const other = wholeBox(d.other);
      if (!other) return [];
      const [[ax, ay], [bx, by]] = [centre(from), centre(other)];
      const [x, y] = [Math.round(bx - ax), Math.round(by - ay)];
      return [
        { ...piece, to: shift(from, x, y) },
        { region: d.other, from: other, to: shift(other, -x, -y) },
      ];
    }
    case "mirror":
      return [{ ...piece, to: from, flip: d.direction }];
    default:
      return [{ ...piece, to: from }];
  }
}

/** The rectangle that an inserted part fills; null where its size is not known here. */
export function placeOf({ place, source }: Insert): Rect | null {
  const [x, y, width, height] = place;
  const own = wholeBox(source);
  if (width !== undefined && height !== undefined) return { x, y, width, height };
  return own && { ...own, x, y };
}

export function objectExtent(d: ObjectEdit): Rect | null {
  const pieces = piecesOf(d);
  return pieces.length ? around(pieces.flatMap(({ to }) => corners(to))) : null;
}

/** Where a point of the picture was before a piece came there. */
function back({ from, to, flip }: Piece, [x, y]: Point): Point {
  const [u, v] = [(x - to.x) / (to.width || 1), (y - to.y) / (to.height || 1)];
  return [from.x + (flip === "horizontal" ? 1 - u : u) * from.width, from.y + (flip === "vertical" ? 1 - v : v) * from.height];
}

export function objectHit(d: ObjectEdit, at: Point, tolerance: number): boolean {
  return piecesOf(d).some((piece) => {
    const part = piece.region ?? ([piece.from.x, piece.from.y, piece.from.width, piece.from.height] as Region);
    return touches(part, back(piece, at), tolerance * (piece.from.width / (piece.to.width || 1)));
  });
}

/** What a drag of it by hand takes along: a thing that was put somewhere goes on; of the others the thing itself is moved, as a step of its own. */
export const isPlaced = (d: Drawing): boolean => d.op === "move" || d.op === "insert";

/** Moved by whole pixels; what has no place of its own stays. */
export function objectMoved(d: ObjectEdit, [dx, dy]: Point): ObjectEdit {
  if (d.op === "move") return { ...d, to: [d.to[0] + dx, d.to[1] + dy] };
  if (d.op === "insert") return { ...d, place: d.place.map((v, i) => (i === 0 ? v + dx : i === 1 ? v + dy : v)) as Insert["place"] };
  return d;
}

/** How much larger a rectangle is whose corner is dragged to a point, about its centre. */
export function factorTo(r: Rect, [x, y]: Point): number {
  const [cx, cy] = centre(r);
  const factor = Math.max(Math.abs(x - cx) / (r.width / 2 || 1), Math.abs(y - cy) / (r.height / 2 || 1));
  return clamp(Math.round(100 * factor) / 100, Math.max(SMALLEST, 0.05), LARGEST);
}

/** With one handle dragged to a point: a corner keeps the proportions, unless `free`. */
export function objectResized(d: ObjectEdit, name: string, to: Point, free: boolean): ObjectEdit {
  if (d.op === "resize") {
    const from = wholeBox(d.region);
    return from ? { ...d, factor: factorTo(from, to) } : d;
  }
  const r = d.op === "insert" ? placeOf(d) : null;
  if (d.op !== "insert" || !r) return d;
  let [left, top, right, bottom] = [r.x, r.y, r.x + r.width, r.y + r.height];
  let [x, y] = to;
  if (name.length === 2 && !free) {
    const [ax, ay] = [name.includes("w") ? right : left, name.includes("n") ? bottom : top];
    const factor = Math.max(Math.abs(x - ax) / r.width, Math.abs(y - ay) / r.height);
    [x, y] = [ax + (name.includes("w") ? -1 : 1) * factor * r.width, ay + (name.includes("n") ? -1 : 1) * factor * r.height];
  }
  if (name.includes("w")) left = Math.min(x, right - 1);
  if (name.includes("e")) right = Math.max(x, left + 1);
  if (name.includes("n")) top = Math.min(y, bottom - 1);
  if (name.includes("s")) bottom = Math.max(y, top + 1);
  return { ...d, place: [left, top, right - left, bottom - top].map(Math.round) as Insert["place"] };
}

/** Names of its handles: corners for a size, sides too for a place. */
export const objectHandles = (d: ObjectEdit): "corners" | "sides" | null => (d.op === "resize" ? "corners" : d.op === "insert" ? "sides" : null);

/** Where a thing of a size is put at first: in the middle of the picture, at most half as large. */
export function middlePlace(size: Size, image: Size): [number, number, number, number] {
  const factor = Math.min(1, image.width / 2 / size.width, image.height / 2 / size.height);
  const [width, height] = [Math.max(1, Math.round(size.width * factor)), Math.max(1, Math.round(size.height * factor))];
  return [Math.round((image.width - width) / 2), Math.round((image.height - height) / 2), width, height];
}
