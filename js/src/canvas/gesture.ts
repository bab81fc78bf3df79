// Pointer gestures: what a press starts, what moving shows, what releasing makes of it (one step of the document), or nothing on cancel.
// Image coordinates only; the view gives the points.
import { isDrawing, same } from "../document";
import { isKept } from "../records";
import { inside, overlap, rectOf, round, samePoint, simplified, snap, toImage, type Rect, type Size } from "../geometry";
import { bare } from "../objects";
import type { Drawing, Operation, Point } from "../protocol";
import { bounds, closed, drawn, effect, handles, hits, resize, shifted, stopped, type DragTool, type HandleName, type Measure } from "../shapes";
import { NAMES, type Screen } from "../state/screen";
import { randomSeed } from "../state/store";
import { styleOf } from "../state/styling";
import { carrying, onThing } from "./carrying";
import { selecting, selectInMiddle } from "./selecting";

export interface Gesture {
  move(to: Point, keys: Keys): void;
  end(): void;
  cancel(): void;
}
export interface Keys {
  shiftKey: boolean;
  altKey: boolean;
}
/** What a gesture takes place on. */
export interface Ground {
  image: Size;
  /** tolerances in image pixels: to distinguish a drag from a click, and to hit lines and handles */
  slop: number;
  reach: number;
  measure: Measure | undefined;
}

/** The topmost drawing at a point that can be grabbed, or null. */
export function topmost(operations: Operation[], at: Point, tolerance: number, measure?: Measure): number | null {
  for (let i = operations.length - 1; i >= 0; i--) {
    const op = operations[i];
    if (op && isDrawing(op) && !op.hidden && !op.locked && hits(op, at, tolerance, measure)) return i;
  }
  return null;
}

/** How far above a shape the handle that turns it stands. */
export const TURN_REACH = 2.5;

export function handleAt(d: Drawing, at: Point, tolerance: number, measure?: Measure): HandleName | null {
  let best: HandleName | null = null;
  let nearest = tolerance;
  for (const handle of handles(d, measure, TURN_REACH * tolerance)) {
    const distance = Math.max(Math.abs(handle.at[0] - at[0]), Math.abs(handle.at[1] - at[1]));
    // Ties go to corners, which come into the list before or between the sides.
    if (distance < nearest) [best, nearest] = [handle.name, distance];
  }
  return best;
}

export function press(screen: Screen, at: Point, ground: Ground, keys: Keys): Gesture | null {
  const otherwise = (): Gesture | null => pressed(screen, at, ground, keys);
  return onThing(screen, at, ground, keys, otherwise) ?? otherwise();
}

function pressed(screen: Screen, at: Point, ground: Ground, keys: Keys): Gesture | null {
  const tool = screen.tool.value;
  if (tool === "text") return place(screen, at, ground.image);
  if (tool === "freehand") return freehand(screen, at, ground, null);
  if (tool === "segment" || tool === "wand") return selecting(screen, at, ground, keys);
  if (tool === "polygon" || tool === "picker") return null; // clicks, see stage.tsx
  if (tool !== "select") {
    const lasso = screen.lasso.value && effect(tool, null, styleOf(screen), 0) !== null;
    return lasso ? freehand(screen, at, ground, tool) : draw(screen, tool, at, ground);
  }
  const operations = screen.store.document.value.operations;
  const selected = screen.selected.value;
  const selection = screen.selection.value;
  if (selected !== null && selection && !selection.locked && !selection.hidden) {
    const handle = handleAt(selection, at, ground.reach, ground.measure);
    if (handle) return reshape(screen, selected, handle, at, ground);
  }
  const index = topmost(operations, at, ground.reach / 2, ground.measure);
  const chosen = screen.chosen.value;
  if (index === null) {
    if (!keys.shiftKey) screen.select();
    return marquee(screen, at, ground);
  }
  if (keys.shiftKey) {
    screen.select(...(chosen.includes(index) ? chosen.filter((i) => i !== index) : [...chosen, index]));
    return null;
  }
  const several = chosen.includes(index) && chosen.length > 1;
  if (!several) screen.select(index);
  // The thing in its new colour is carried on, not the colour off it.
  const op = operations[index];
  if (!several && (op?.op === "recolor" || op?.op === "retexture") && op.region) return carrying(screen, op.region, at, ground);
  return carry(screen, at, ground, several ? index : null);
}

function draw(screen: Screen, tool: DragTool, from: Point, { image, slop }: Ground): Gesture {
  const seed = randomSeed();
  const before = screen.store.document.value.operations;
  let draft: Drawing | null = null;
  return {
    move(to, { shiftKey }) {
      const far = Math.hypot(to[0] - from[0], to[1] - from[1]) >= slop;
      draft = far ? drawn(tool, from, to, image, styleOf(screen), seed, shiftKey) : null;
      screen.live.value = draft ? [...before, draft] : null;
    },
    end() {
      screen.live.value = null;
      if (!draft) return;
      screen.tool.value = "select";
      screen.add(draft);
    },
    cancel: () => (screen.live.value = null),
  };
}

/** A mask drawn by hand: a polygon of its own, or the region of an effect. */
function freehand(screen: Screen, from: Point, { image, slop }: Ground, tool: DragTool | null): Gesture {
  const seed = randomSeed();
  const before = screen.store.document.value.operations;
  const path: Point[] = [from];
  const made = (points: Point[] | null): Drawing | null => {
    if (!points) return null;
    const { color, fill, width } = styleOf(screen);
    return tool ? effect(tool, points, styleOf(screen), seed) : { op: "polygon", points, color, fill, line_width: width };
  };
  return {
    move(to) {
      path.push(to);
      const draft = made(closed(path, image));
      screen.live.value = draft ? [...before, draft] : null;
    },
    end() {
      screen.live.value = null;
      const draft = made(closed(simplified(path, slop / 4), image));
      if (!draft) return;
      screen.tool.value = "select";
      screen.add(draft);
    },
    cancel: () => (screen.live.value = null),
  };
}

/** Changes the chosen drawings; the step is made on release, unless Python or another view has put others in their place meanwhile. */
function altering(screen: Screen, from: Point, slop: number, how: (to: Point, keys: Keys) => (d: Drawing) => Drawing, verb: string): Gesture {
  const indexes = screen.chosen.value.filter((i) => !isKept(screen.store.document.value.operations[i]));
  // Without the pixels that the kernel may add meanwhile.
  const drawings = (): (Operation | undefined)[] => indexes.map((i) => bare(screen.store.document.value.operations[i]));
  const before = drawings();
  let change: ((d: Drawing) => Drawing) | null = null;
  const cancel = (): void => {
    screen.live.value = null;
    screen.guides.value = null;
  };
  return {
    move(to, keys) {
      if (!change && Math.hypot(to[0] - from[0], to[1] - from[1]) < slop) return;
      change = how(to, keys);
      screen.preview(change, indexes);
    },
    end() {
      const name = before.length === 1 ? (NAMES[before[0]?.op ?? ""] ?? "") : `${before.length} drawings`;
      if (change && same(before, drawings())) screen.alter(change, { say: `${name} ${verb}`, indexes });
      cancel();
    },
    cancel,
  };
}

const reshape = (screen: Screen, index: number, handle: HandleName, at: Point, { image, slop, measure }: Ground): Gesture => {
  screen.select(index);
  return altering(screen, at, slop, (to, { shiftKey }) => (d) => resize(d, handle, to, image, shiftKey, measure), handle === "turn" ? "turned" : "resized");
};

/** Moves what is chosen, all by as much. A click on one of several chooses that one. */
function carry(screen: Screen, from: Point, { image, slop, reach, measure }: Ground, clicked: number | null): Gesture {
  const operations = screen.store.document.value.operations;
  const boxes = (indexes: number[]): Rect[] =>
    indexes.flatMap((i) => {
      const op = operations[i];
      return op && isDrawing(op) && !op.hidden ? (bounds(op, measure) ?? []) : [];
    });
  const moved = boxes(screen.chosen.value.filter((i) => !isKept(operations[i])));
  const others = boxes(operations.map((_, i) => i).filter((i) => !screen.chosen.value.includes(i)));
  const all = moved[0] ? rectAround(moved) : null;
  let still = true;
  const gesture = altering(
    screen,
    from,
    slop,
    (to, { altKey }) => {
      still = false;
      if (!all) return (d) => d;
      const by: Point = [Math.round(to[0] - from[0]), Math.round(to[1] - from[1])];
      const { by: extra, guides } = altKey
        ? { by: [0, 0] as Point, guides: null }
        : snap({ ...all, x: all.x + by[0], y: all.y + by[1] }, [{ x: 0, y: 0, ...image }, ...others], reach / 2);
      screen.guides.value = guides;
      const step = stopped(all, by[0] + extra[0], by[1] + extra[1], image);
      return (d) => shifted(d, step);
    },
    "moved",
  );
  return {
    ...gesture,
    end() {
      gesture.end();
      if (still && clicked !== null) screen.select(clicked);
    },
  };
}

function rectAround(rects: Rect[]): Rect {
  const left = Math.min(...rects.map((r) => r.x));
  const top = Math.min(...rects.map((r) => r.y));
  return rectOf([left, top], [Math.max(...rects.map((r) => r.x + r.width)), Math.max(...rects.map((r) => r.y + r.height))]);
}

/** Chooses what a rectangle touches. */
function marquee(screen: Screen, from: Point, { slop, measure }: Ground): Gesture {
  const before = screen.chosen.value;
  return {
    move(to) {
      const r = rectOf(from, to);
      if (!screen.marquee.value && Math.hypot(r.width, r.height) < slop) return;
      screen.marquee.value = r;
      const touched = screen.operations.value.flatMap((op, i) => {
        const b = isDrawing(op) && !op.hidden && !op.locked ? bounds(op, measure) : null;
        return b && overlap(r, b) ? [i] : [];
      });
      screen.select(...before, ...touched);
    },
    end: () => (screen.marquee.value = null),
    cancel() {
      screen.marquee.value = null;
      screen.select(...before);
    },
  };
}

/** Draws by key instead of pointer: in the middle of the view, half as large. Returns whether the tool draws by dragging or writes. */
export function drawInMiddle(screen: Screen, image: Size, keys: Keys): boolean {
  const tool = screen.tool.value;
  if (tool === "select" || tool === "polygon" || tool === "freehand" || tool === "picker") return false;
  const { width, height } = screen.viewport.value;
  const part = (x: number, y: number): Point => inside(toImage(screen.transform.value, [x * width, y * height]), image);
  const [[left, top], [right, bottom]] = [part(0, 0), part(1, 1)];
  const at = (share: number): Point => [left + share * (right - left), top + share * (bottom - top)];
  if (tool === "segment" || tool === "wand") {
    selectInMiddle(screen, [at(0.25), at(0.75)], image, keys);
    return true;
  }
  const ground: Ground = { image, slop: 0, reach: 0, measure: screen.measure.value };
  const gesture = tool === "text" ? place(screen, at(0.25), image) : draw(screen, tool, at(0.25), ground);
  gesture.move(at(0.75), { shiftKey: false, altKey: false });
  gesture.end();
  return true;
}

function place(screen: Screen, from: Point, image: Size): Gesture {
  return {
    move: () => undefined,
    end: () => (screen.writing.value = { at: round(inside(from, image)), text: "", index: null }),
    cancel: () => undefined,
  };
}

/** A click of the polygon tool: one corner more; on the first one the polygon is closed. The second click of a double click, which closes it too, is none. */
export function corner(screen: Screen, at: Point, { image, slop, reach }: Ground): void {
  const path = screen.path.value ?? [];
  const point = round(inside(at, image));
  const near = (other: Point | undefined, distance: number): boolean => other !== undefined && Math.hypot(other[0] - at[0], other[1] - at[1]) < distance;
  if (path.length > 2 && near(path[0], reach)) closePolygon(screen, image);
  else if (!near(path.at(-1), slop) && !path.some((p) => samePoint(p, point))) screen.path.value = [...path, point];
}

/** Makes a polygon of the corners so far; returns whether there were enough. */
export function closePolygon(screen: Screen, image: Size): boolean {
  const points = closed(screen.path.value ?? [], image);
  screen.path.value = null;
  if (!points) return false;
  const { color, fill, width } = styleOf(screen);
  screen.tool.value = "select";
  screen.add({ op: "polygon", points, color, fill, line_width: width });
  return true;
}
