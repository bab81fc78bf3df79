// The stage: the picture on a canvas, outlines and handles as SVG over it, text edited in place. It turns pointer events into gestures.
import { live } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { isDrawing } from "../document";
import { held, inside, toImage, toScreen, zoomed } from "../geometry";
import { letGoOfWords } from "../keyboard";
import { pointIn } from "../pointer";
import type { Drawing, Point } from "../protocol";
import { beginning, estimate, labelExtent } from "../shapes";
import { askColor } from "../state/kernel";
import { NAMES } from "../state/screen";
import { restyle } from "../state/styling";
import { Pixel } from "../panels/viewbar";
import { useView } from "../view";
import { Divider } from "./divider";
import { HeatLayer } from "./heat";
import { LensLayer } from "./lens";
import { closePolygon, corner, press, topmost, type Gesture, type Ground } from "./gesture";
import { MaskBar, MaskOutline } from "./maskbar";
import { Handles, Marks, outline, REACH } from "./outlines";
import { usePainting } from "./painting";
import { useDetail, useFit, useZoom } from "./viewport";
import { Writer } from "./writer";

/** Pixels of the screen: below this a press is a click; within this a finger hits a handle. */
const SLOP = 3;
const FINGER = 18;

export const Stage = live(function Stage() {
  const { screen, store } = useView();
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const overlay = useRef<SVGSVGElement>(null);
  const gesture = useRef<{ pointer: number; gesture: Gesture } | null>(null);
  const fingers = useRef(new Map<number, Point>());
  /** the polygon so far before the last corner: a second finger takes that back */
  const corners = useRef<Point[] | null>(null);
  const exact = screen.exact.value;
  const measure = screen.measure.value ?? estimate;
  const image = store.image.value;

  useFit(frame);
  useZoom(frame);
  usePainting(canvas, measure, useDetail(frame));

  // A gesture ends without a step when Escape is pressed (screen.live is cleared by the keyboard map) or when the view goes away.
  useEffect(() => () => gesture.current?.gesture.cancel(), []);

  const onScreen = (event: PointerEvent | MouseEvent): Point => pointIn(overlay.current, event);
  const at = (event: PointerEvent | MouseEvent): Point => toImage(screen.transform.value, onScreen(event));
  const drop = (): void => {
    gesture.current?.gesture.cancel();
    gesture.current = null;
    screen.cancelGesture = null;
  };
  const begin = (event: PointerEvent, started: Gesture): void => {
    gesture.current = { pointer: event.pointerId, gesture: started };
    screen.cancelGesture = drop;
    overlay.current?.setPointerCapture(event.pointerId);
  };
  const down = (event: PointerEvent): void => {
    if (!image) return;
    const touch = event.pointerType === "touch";
    if (touch) {
      fingers.current.set(event.pointerId, onScreen(event));
      // Its end is heard here, too, when what it touched goes away.
      overlay.current?.setPointerCapture(event.pointerId);
    }
    if (touch && fingers.current.size === 2) {
      // A second finger turns the gesture into a pinch.
      drop();
      event.preventDefault();
      if (screen.path.value) screen.path.value = corners.current;
      return;
    }
    const pan = event.button === 1 || (event.button === 0 && screen.hand);
    if ((event.button !== 0 && !pan) || gesture.current) return;
    // An edit of text is finished before anything else begins: the focus leaves it.
    const wrote = screen.writing.value !== null;
    (frame.current?.closest(".isi-probe") as HTMLElement | null)?.focus({ preventScroll: true });
    event.preventDefault();
    if (pan) {
      begin(event, panning(onScreen(event)));
      return;
    }
    if (wrote && screen.tool.value === "select") return;
    const scale = screen.transform.value.scale;
    const ground: Ground = { image, slop: SLOP / scale, reach: (touch ? FINGER : REACH) / scale, measure };
    if (screen.tool.value === "polygon") {
      corners.current = screen.path.value;
      corner(screen, at(event), ground);
      return;
    }
    if (screen.tool.value === "picker") {
      pick(at(event));
      return;
    }
    letGoOfWords();
    const started = press(screen, at(event), ground, event);
    if (started) begin(event, started);
  };
  const panning = (from: Point): Gesture => {
    const start = screen.transform.value;
    let to = from;
    return {
      move: (point) => {
        to = toScreen(screen.transform.value, point);
        view({ ...start, x: start.x + to[0] - from[0], y: start.y + to[1] - from[1] });
      },
      end: () => undefined,
      cancel: () => view(start),
    };
  };
  const view = (t: typeof screen.transform.value): void => {
    if (!image) return;
    screen.transform.value = held(t, screen.viewport.value, image);
    screen.zoomed.value = true;
  };
  const pinch = (event: PointerEvent): boolean => {
    const known = fingers.current;
    if (!known.has(event.pointerId)) return false;
    const before = [...known.values()] as [Point, Point];
    known.set(event.pointerId, onScreen(event));
    if (known.size !== 2 || !image) return false;
    const after = [...known.values()] as [Point, Point];
    const apart = ([a, b]: [Point, Point]): number => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const middle = ([a, b]: [Point, Point]): Point => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const [from, to] = [middle(before), middle(after)];
    const t = screen.transform.value;
    view(zoomed({ ...t, x: t.x + to[0] - from[0], y: t.y + to[1] - from[1] }, apart(after) / (apart(before) || 1), to, screen.viewport.value, image));
    return true;
  };
  const pick = (point: Point): void => {
    if (!image) return;
    const [x, y] = inside(point, image).map(Math.floor) as Point;
    askColor(store, Math.min(x, image.width - 1), Math.min(y, image.height - 1), (color) => {
      restyle(screen, { color });
      screen.setTool("select");
    });
  };
  const move = (event: PointerEvent): void => {
    if (pinch(event)) return;
    if (gesture.current?.pointer === event.pointerId) gesture.current.gesture.move(at(event), event);
    if (event.pointerType !== "touch") screen.cursor.value = at(event);
  };
  const up = (event: PointerEvent): void => {
    fingers.current.delete(event.pointerId);
    if (gesture.current?.pointer !== event.pointerId) return;
    const ended = gesture.current.gesture;
    gesture.current = null;
    screen.cancelGesture = null;
    if (event.type === "pointercancel") ended.cancel();
    else {
      ended.move(at(event), event);
      ended.end();
    }
  };
  const twice = (event: MouseEvent): void => {
    if (!image) return;
    if (screen.tool.value === "polygon" && (screen.path.value?.length ?? 0) > 2) closePolygon(screen, image);
    if (screen.tool.value !== "select") return;
    const operations = store.document.value.operations;
    const index = topmost(operations, at(event), REACH / screen.transform.value.scale, measure);
    const op = index === null ? null : operations[index];
    if (op?.op === "text") screen.writing.value = { at: beginning(op, measure), text: op.text, index };
    if (op?.op === "arrow") {
      const { x, y } = labelExtent(op, measure);
      screen.writing.value = { at: [x, y], text: op.label ?? "", index };
    }
  };

  const t = screen.transform.value;
  const selection = screen.selection.value;
  const tool = screen.tool.value;
  const drawing = tool !== "select";
  return (
    <div class="isi-stage" ref={frame} data-testid="stage" data-showing={screen.showing.value} data-picture={store.picture.value?.key ?? ""}>
      <canvas ref={canvas} data-testid="canvas" aria-hidden="true" />
      <HeatLayer />
      <svg
        ref={overlay}
        class={drawing ? "isi-overlay isi-drawing" : "isi-overlay"}
        data-testid="overlay"
        data-font={exact ? "kernel" : "similar"}
        data-scale={t.scale}
        data-x={t.x}
        data-y={t.y}
        role="img"
        aria-label={describe(store.question.value, screen.operations.value.filter(isDrawing))}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={up}
        onPointerLeave={() => (screen.cursor.value = null)}
        onDblClick={twice}
      >
        {screen.operations.value.map((op, i) =>
          isDrawing(op) && !op.hidden ? (
            <g key={i} data-testid={`shape-${i}`} data-op={op.op} class={`isi-shape${screen.chosen.value.includes(i) ? " isi-selected" : ""}${op.locked ? " isi-locked" : ""}`}>
              {outline(op, (p) => toScreen(t, p), t.scale, measure)}
            </g>
          ) : null,
        )}
        <Marks />
        <MaskOutline />
        {selection && !drawing && !selection.locked && !selection.hidden && <Handles selection={selection} measure={measure} />}
      </svg>
      {screen.showing.value === "swipe" && image && <Divider />}
      <LensLayer />
      <Pixel />
      <MaskBar />
      {screen.writing.value && <Writer measure={measure} />}
      {!image && (
        <p class="isi-teach isi-stage-empty" data-testid="stage-empty">
          No picture yet. Choose an observation, or drop, paste or open an image.
        </p>
      )}
    </div>
  );
});

function describe(question: string, drawings: Drawing[]): string {
  const drawn = drawings.length === 0 ? "nothing drawn" : drawings.map((d) => NAMES[d.op]?.toLowerCase()).join(", ");
  return `Image for the question “${question}”, ${drawn}`;
}
