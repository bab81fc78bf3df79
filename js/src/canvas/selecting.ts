// Gestures that select an object on the picture: a box around it, a brush over it, a click of the wand. They change the selection, never the document.
import { constrain, inside, rectOf, round, type Size } from "../geometry";
import type { Point, Rectangle } from "../protocol";
import type { Screen } from "../state/screen";
import { selectionOf, type Joining } from "../state/selection";
import type { Gesture, Ground, Keys } from "./gesture";

/** Pixels of the screen between two points of a stroke. */
const STRIDE = 2;

/** Shift adds to what is selected, Alt takes from it. */
const joining = ({ shiftKey, altKey }: Keys): Joining => (shiftKey ? "or" : altKey ? "minus" : "new");

/** What a press starts with the tools that select an object or a flat area. */
export function selecting(screen: Screen, at: Point, ground: Ground, keys: Keys): Gesture {
  if (screen.tool.value === "wand") return click(screen, at, ground.image, keys);
  const { mode, state } = selectionOf(screen);
  return mode.value === "box" || !state.value ? box(screen, at, ground, keys) : brush(screen, at, ground.image);
}

function click(screen: Screen, at: Point, image: Size, keys: Keys): Gesture {
  return {
    move: () => undefined,
    end: () => {
      const [x, y] = inside(at, image);
      void selectionOf(screen).wand([Math.min(x, image.width - 1), Math.min(y, image.height - 1)], joining(keys));
    },
    cancel: () => undefined,
  };
}

/** The keys of the press count: Shift and Alt may be up before the button is. */
function box(screen: Screen, from: Point, { image, slop }: Ground, keys: Keys): Gesture {
  return {
    move(to) {
      const r = rectOf(round(inside(from, image)), round(inside(to, image)));
      screen.marquee.value = screen.marquee.value || Math.hypot(to[0] - from[0], to[1] - from[1]) >= slop ? r : null;
    },
    end() {
      const r = screen.marquee.value;
      screen.marquee.value = null;
      if (r && r.width >= 1 && r.height >= 1) void selectionOf(screen).box([r.x, r.y, r.width, r.height] as Rectangle, joining(keys));
    },
    cancel: () => (screen.marquee.value = null),
  };
}

function brush(screen: Screen, from: Point, image: Size): Gesture {
  const selection = selectionOf(screen);
  const object = selection.mode.value === "object";
  const radius = selection.brush.value / 2;
  let points: Point[] = [from];
  const draw = (): void => {
    selection.stroke.value = { object, points, radius };
  };
  selection.stop();
  draw();
  return {
    move(to, { shiftKey }) {
      const last = points.at(-1) ?? from;
      if (shiftKey) points = [from, constrain(from, to, "line")];
      else if (Math.hypot(to[0] - last[0], to[1] - last[1]) * screen.transform.value.scale >= STRIDE) points = [...points, to];
      draw();
    },
    end: () => void selection.refine({ object, radius, points: points.map((p) => inside(p, image).map(tenth) as Point) }),
    cancel: () => (selection.stroke.value = null),
  };
}

const tenth = (x: number): number => Math.round(10 * x) / 10;

/** By key instead of pointer: the box, dab or click is in the middle of the visible part. */
export function selectInMiddle(screen: Screen, [from, to]: [Point, Point], image: Size, keys: Keys): void {
  const middle: Point = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
  const at = screen.tool.value === "segment" && selectionOf(screen).mode.value === "box" ? from : middle;
  const gesture = selecting(screen, at, { image, slop: 0, reach: 0, measure: undefined }, keys);
  gesture.move(at === from ? to : middle, { shiftKey: false, altKey: false });
  gesture.end();
}
