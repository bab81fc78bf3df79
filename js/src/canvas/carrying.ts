// Gestures on the thing that is selected: it is carried to another place, or a corner of it is dragged for another size. The hole is in-painted on release.
import { inside, snap, type Rect, type Size } from "../geometry";
import { boxOf, covers } from "../masks";
import { factorTo, isObjectEdit } from "../objects";
import { isDrawing } from "../document";
import type { ObjectEdit, Point, Region } from "../protocol";
import { wholeBox } from "../regions";
import { bounds, stopped } from "../shapes";
import type { Screen } from "../state/screen";
import { selectionOf } from "../state/selection";
import type { Gesture, Ground, Keys } from "./gesture";

/** The corners by which a selected thing is resized. */
export const cornersOf = ({ x, y, width, height }: Rect): Point[] => [
  [x, y],
  [x + width, y],
  [x + width, y + height],
  [x, y + height],
];

/** Of the reach of a handle: another box is often begun near the last one. */
const NEAR = 0.6;

/** Whether a press takes hold of the selected thing: not with brushes, which paint. */
export function isGrabbed(screen: Screen): boolean {
  const tool = screen.tool.value;
  return tool === "select" || tool === "wand" || (tool === "segment" && selectionOf(screen).mode.value === "box");
}

/** What a press on the selected thing starts; null beside it. Shift and Alt join selections, and brushes paint. `otherwise`: what a mere click does. */
export function onThing(screen: Screen, at: Point, ground: Ground, keys: Keys, otherwise: () => Gesture | null): Gesture | null {
  const selection = selectionOf(screen);
  const mask = selection.mask.value;
  if (!mask || !isGrabbed(screen) || keys.shiftKey || keys.altKey) return null;
  const box = boxOf(mask);
  const region = { mask: selection.thing.value ?? mask };
  const near = ([x, y]: Point): boolean => Math.max(Math.abs(x - at[0]), Math.abs(y - at[1])) < ground.reach * NEAR;
  if (cornersOf(box).some(near)) return resizing(screen, region, box, at, ground, otherwise);
  return covers(mask, at) ? carrying(screen, region, at, ground, otherwise) : null;
}

/** Moves what is in a region. Releasing makes the step; a click does what it would do otherwise. */
export function carrying(screen: Screen, region: Region, from: Point, { image, slop, reach, measure }: Ground, otherwise?: () => Gesture | null): Gesture {
  const box = wholeBox(region) as Rect;
  const others = screen.store.document.value.operations.flatMap((op) => (isDrawing(op) && !isObjectEdit(op) && !op.hidden ? (bounds(op, measure) ?? []) : []));
  return acting(screen, from, slop, otherwise, (to, { altKey }) => {
    const by: Point = [Math.round(to[0] - from[0]), Math.round(to[1] - from[1])];
    const snapped = altKey ? null : snap({ ...box, x: box.x + by[0], y: box.y + by[1] }, [{ x: 0, y: 0, ...image }, ...others], reach / 2);
    screen.guides.value = snapped?.guides ?? null;
    const [extraX, extraY] = snapped?.by ?? [0, 0];
    return moveBy(region, box, [by[0] + extraX, by[1] + extraY], image);
  });
}

/** The move of a region by a way, no farther than the picture goes. */
export function moveBy(region: Region, box: Rect, [x, y]: Point, image: Size): ObjectEdit {
  const step = stopped(box, x, y, image);
  return { op: "move", region, to: [box.x + step[0], box.y + step[1]] };
}

const resizing = (screen: Screen, region: Region, box: Rect, from: Point, { image, slop }: Ground, otherwise: () => Gesture | null): Gesture =>
  acting(screen, from, slop, otherwise, (to) => ({ op: "resize", region, factor: factorTo(box, inside(to, image)) }));

function acting(screen: Screen, from: Point, slop: number, otherwise: (() => Gesture | null) | undefined, edit: (to: Point, keys: Keys) => ObjectEdit): Gesture {
  const before = screen.store.document.value.operations;
  let draft: ObjectEdit | null = null;
  const cancel = (): void => {
    screen.live.value = null;
    screen.guides.value = null;
  };
  return {
    move(to, keys) {
      if (!draft && Math.hypot(to[0] - from[0], to[1] - from[1]) < slop) return;
      draft = edit(to, keys);
      screen.live.value = [...before, draft];
    },
    end() {
      cancel();
      if (draft) selectionOf(screen).acted(draft);
      else otherwise?.()?.end();
    },
    cancel,
  };
}
