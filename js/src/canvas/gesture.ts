// Pointer gestures: what a press starts, what moving shows, what releasing makes of it (one step of the document), or nothing on cancel.
// Image coordinates only; the view gives the points.
import { isDrawing, same } from "../document";
import * as geometry from "../geometry";
import type { HandleName, Measure, Size } from "../geometry";
import type { Drawing, Operation, Point } from "../protocol";
import { NAMES, type Screen } from "../state/screen";
import { randomSeed } from "../state/store";

export interface Gesture {
  move(to: Point, shift: boolean): void;
  end(): void;
  cancel(): void;
}

/** The topmost drawing at a point, or null. */
export function topmost(operations: Operation[], at: Point, tolerance: number, measure?: Measure): number | null {
  for (let i = operations.length - 1; i >= 0; i--) {
    const op = operations[i];
    if (op && isDrawing(op) && geometry.hits(op, at, tolerance, measure)) return i;
  }
  return null;
}

export function handleAt(d: Drawing, at: Point, tolerance: number, measure?: Measure): HandleName | null {
  let best: HandleName | null = null;
  let nearest = tolerance;
  for (const handle of geometry.handles(d, measure)) {
    const distance = Math.max(Math.abs(handle.at[0] - at[0]), Math.abs(handle.at[1] - at[1]));
    // Ties go to corners, which come into the list before or between the sides.
    if (distance < nearest) [best, nearest] = [handle.name, distance];
  }
  return best;
}

/** `slop` and `reach` are tolerances in image pixels: for telling a drag from a click, and for hitting lines and handles. */
export function press(screen: Screen, at: Point, image: Size, slop: number, reach: number, measure?: Measure): Gesture | null {
  const tool = screen.tool.value;
  if (tool === "text") return place(screen, at, image);
  if (tool !== "select") return draw(screen, tool, at, image, slop);
  const operations = screen.store.document.value.operations;
  const selected = screen.selected.value;
  const selection = screen.selection.value;
  if (selected !== null && selection) {
    const handle = handleAt(selection, at, reach, measure);
    if (handle) return alter(screen, selected, at, slop, (d, to, shift) => geometry.resize(d, handle, to, image, shift, measure), "resized");
  }
  const index = topmost(operations, at, reach / 2, measure);
  screen.selected.value = index;
  if (index === null) return null;
  return alter(screen, index, at, slop, (d, to) => geometry.move(d, Math.round(to[0] - at[0]), Math.round(to[1] - at[1]), image, measure), "moved");
}

function draw(screen: Screen, tool: geometry.DragTool, from: Point, image: Size, slop: number): Gesture {
  const seed = randomSeed();
  const before = screen.store.document.value.operations;
  let draft: Drawing | null = null;
  return {
    move(to, shift) {
      const far = Math.hypot(to[0] - from[0], to[1] - from[1]) >= slop;
      draft = far ? geometry.drawn(tool, from, to, image, screen.style.value, seed, shift) : null;
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

function alter(
  screen: Screen,
  index: number,
  from: Point,
  slop: number,
  how: (d: Drawing, to: Point, shift: boolean) => Drawing,
  verb: string,
): Gesture {
  const before = screen.store.document.value.operations[index];
  let draft: Drawing | null = null;
  return {
    move(to, shift) {
      if (!before || !isDrawing(before)) return;
      if (!draft && Math.hypot(to[0] - from[0], to[1] - from[1]) < slop) return;
      draft = how(before, to, shift);
      screen.preview(index, draft);
    },
    end() {
      // Python or another view may have put another drawing in its place.
      if (draft && same(before, screen.store.document.value.operations[index])) screen.change(index, draft, { say: `${NAMES[draft.op]} ${verb}` });
      screen.live.value = null;
    },
    cancel: () => (screen.live.value = null),
  };
}

function place(screen: Screen, from: Point, image: Size): Gesture {
  const [x, y] = geometry.inside(from, image);
  return {
    move: () => undefined,
    end: () => (screen.writing.value = { at: [Math.round(x), Math.round(y)], text: "", index: null }),
    cancel: () => undefined,
  };
}
