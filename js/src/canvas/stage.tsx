// The stage: the picture on a canvas, shapes and handles as SVG over it, text edited in place. It turns pointer events into gestures.
import { live, useSignal, useSignalEffect } from "../live";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { isDrawing, omit, same } from "../document";
import { centre, fit, held, inside, toImage, toScreen, zoomed } from "../geometry";
import { editField, letGoOfWords } from "../keyboard";
import { composing } from "../keys";
import { pointIn, shownScale } from "../pointer";
import type { Drawing, Operation, Point } from "../protocol";
import { angleOf, beginning, estimate, extent, handles, labelExtent, LABEL_SIZE, LINE_HEIGHT, polygonOf, reworded, type HandleName, type Measure } from "../shapes";
import { NAMES } from "../state/screen";
import type { Picture } from "../state/picture";
import { Pixel } from "../panels/viewbar";
import { observeSize, useView } from "../view";
import { compose } from "./compose";
import { FONT } from "./font";
import { HeatLayer } from "./heat";
import { closePolygon, corner, press, topmost, TURN_REACH, type Gesture, type Ground } from "./gesture";

/** Pixels of the screen: below this a press is a click; within this a handle is hit. */
const SLOP = 3;
const REACH = 9;
const FINGER = 18;
/** Pixels that the stage is high: the picture fits inside, whatever its shape, so that nothing below it ever moves. */
const LOWEST = 220;
const HIGHEST = 720;
/** Pixels above and below a notebook in JupyterLab's window. */
const HOST = 128;
/** Pixels between the probe and the edges of a full screen. */
const GAP = 16;
/** Milliseconds that the view rests before its part of the picture is asked for in full. */
const REST = 150;
/** From this scale on the pixels of the image are drawn as squares, and from the next one with a grid. */
const SQUARES = 2;
const GRID = 12;

const CURSORS: Partial<Record<HandleName, string>> = { nw: "nwse", se: "nwse", ne: "nesw", sw: "nesw", n: "ns", s: "ns", e: "ew", w: "ew" };

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
  usePainting(canvas, measure);
  useZoom(frame);
  useDetail(frame);

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
    store.askColor(Math.min(x, image.width - 1), Math.min(y, image.height - 1), (color) => {
      screen.restyle({ color });
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
              {shape(op, (p) => toScreen(t, p), t.scale, measure)}
            </g>
          ) : null,
        )}
        <Marks />
        {selection && !drawing && !selection.locked && !selection.hidden && (
          <g class="isi-handles">
            {handles(selection, measure, (TURN_REACH * REACH) / t.scale).map(({ name, at: point }) => {
              const [x, y] = toScreen(t, point);
              const cursor = name === "turn" ? "grab" : CURSORS[name] && !angleOf(selection) ? `${CURSORS[name]}-resize` : "move";
              const round = name === "start" || name === "end" || name === "turn" || name[0] === "p";
              return (
                <g key={name} data-testid={`handle-${name}`} style={{ cursor }}>
                  <rect class="isi-grip" x={x - REACH} y={y - REACH} width={2 * REACH} height={2 * REACH} />
                  <rect class="isi-handle" x={x - 4} y={y - 4} width={8} height={8} rx={round ? 4 : 1} />
                </g>
              );
            })}
          </g>
        )}
      </svg>
      {screen.showing.value === "swipe" && image && <Divider />}
      <Pixel />
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

/** What a gesture shows beside the drawings: the marquee, lines that something snapped to, the corners of a polygon so far. */
const Marks = live(function Marks() {
  const { screen } = useView();
  const t = screen.transform.value;
  const [marquee, guides, path] = [screen.marquee.value, screen.guides.value, screen.path.value];
  const { width, height } = screen.viewport.value;
  const points = path?.map((p) => toScreen(t, p));
  const cursor = screen.cursor.value;
  const next = points && cursor ? [...points, toScreen(t, cursor)] : points;
  return (
    <g class="isi-marks">
      {marquee && <rect data-testid="marquee" x={marquee.x * t.scale + t.x} y={marquee.y * t.scale + t.y} width={marquee.width * t.scale} height={marquee.height * t.scale} />}
      {guides?.x != null && <line data-testid="guide-x" x1={guides.x * t.scale + t.x} x2={guides.x * t.scale + t.x} y1={0} y2={height} />}
      {guides?.y != null && <line data-testid="guide-y" x1={0} x2={width} y1={guides.y * t.scale + t.y} y2={guides.y * t.scale + t.y} />}
      {next && <polyline data-testid="path" points={next.map((p) => p.join()).join(" ")} />}
      {points?.map(([x, y], i) => <circle key={i} cx={x} cy={y} r={i === 0 ? 5 : 3} />)}
    </g>
  );
});

/** Outlines that show what is selected or under the pointer and catch the pointer; the picture below shows the drawing itself. */
function shape(d: Drawing, screen: (p: Point) => Point, scale: number, measure: Measure) {
  if (d.op === "line" || d.op === "arrow") {
    const [[x1, y1], [x2, y2]] = [screen(d.start), screen(d.end)];
    return (
      <>
        <line class="isi-catch" {...{ x1, y1, x2, y2 }} stroke-width={Math.max(12, d.width * scale + 8)} />
        <line class="isi-outline" {...{ x1, y1, x2, y2 }} />
      </>
    );
  }
  const points = d.op === "polygon" ? d.points : "region" in d ? polygonOf(d.region) : null;
  const hollow = (d.op === "box" || d.op === "ellipse" || d.op === "polygon") && !d.fill;
  const name = hollow ? "isi-outline" : "isi-outline isi-filled";
  if (points) return <polygon class={name} points={points.map((p) => screen(p).join()).join(" ")} />;
  const r = extent(d, measure);
  if (!r) return null;
  const [x, y] = screen([r.x, r.y]);
  const [width, height] = [r.width * scale, r.height * scale];
  const angle = angleOf(d);
  const transform = angle ? `rotate(${angle} ${screen(centre(r)).join(" ")})` : undefined;
  if (d.op === "ellipse") return <ellipse class={name} {...{ cx: x + width / 2, cy: y + height / 2, rx: width / 2, ry: height / 2, transform }} />;
  return <rect class={name} {...{ x, y, width, height, transform }} />;
}

/** How high the stage may be so that all from the first line to the run buttons is on one screen. */
function roomOf(stage: HTMLElement, root: HTMLElement): number {
  const top = (element: HTMLElement | null): number => (!element || element === root ? 0 : element.offsetTop + top(element.offsetParent as HTMLElement | null));
  const runs = root.querySelector<HTMLElement>(".isi-runs");
  const others = runs ? top(runs) + runs.offsetHeight - stage.offsetHeight : 0;
  // A frame that grows with what is in it says nothing of the screen.
  const { innerHeight, screen } = window;
  const high = Math.min(innerHeight, (screen as Screen | undefined)?.availHeight || Infinity);
  return high - others - (root.ownerDocument.fullscreenElement ? 2 * GAP : HOST);
}

/** Keeps the whole image in view, whatever the width of the cell, unless the user has zoomed in. */
function useFit(frame: { current: HTMLDivElement | null }): void {
  const { screen, store, root } = useView();
  const image = store.image.value;
  const [width, height] = [image?.width ?? 0, image?.height ?? 0];
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    screen.zoomed.value = false;
    const resize = (): void => {
      const available = element.clientWidth || element.getBoundingClientRect().width;
      const tall = Math.round(Math.max(LOWEST, Math.min(roomOf(element, root), available, HIGHEST)));
      element.style.height = `${tall}px`;
      const viewport = { width: available, height: tall };
      screen.viewport.value = viewport;
      screen.transform.value = screen.zoomed.value ? held(screen.transform.value, viewport, { width, height }) : fit(viewport, { width, height });
    };
    resize();
    const stop = observeSize(element, resize);
    window.addEventListener("resize", resize);
    return () => {
      stop();
      window.removeEventListener("resize", resize);
    };
  }, [width, height]);
}

/** Ctrl or Cmd and the wheel zoom; the wheel alone stays the notebook's. A pinch on a touch pad arrives as the former. Two fingers do not scroll. */
function useZoom(frame: { current: HTMLDivElement | null }): void {
  const { screen, store } = useView();
  useEffect(() => {
    const element = frame.current;
    const wheel = (event: WheelEvent): void => {
      const image = store.image.value;
      if (!image || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      const at = pointIn(element?.querySelector(".isi-overlay") ?? element, event);
      const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : 1);
      screen.zoom(2 ** (-pixels / 200), at);
    };
    const touch = (event: TouchEvent): void => {
      if (event.touches.length > 1) event.preventDefault();
    };
    element?.addEventListener("wheel", wheel, { passive: false });
    element?.addEventListener("touchmove", touch, { passive: false });
    return () => {
      element?.removeEventListener("wheel", wheel);
      element?.removeEventListener("touchmove", touch);
    };
  }, []);
}

/** Once the view rests: the part of the picture that is seen, if the preview has fewer pixels than are shown, or where single pixels are looked at. */
function useDetail(frame: { current: Element | null }): void {
  const { screen, store } = useView();
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  useSignalEffect(() => {
    const picture = store.picture.value;
    const { scale, x, y } = screen.transform.value;
    const { width, height } = screen.viewport.value;
    const resting = screen.live.value === null && store.unrendered.value === 0 && store.insync.value;
    clearTimeout(timer.current);
    const density = densityOf(frame.current);
    const coarse = picture && picture.width < Math.min(1, scale * density) * picture.image.width;
    if (!picture || !resting || !screen.zoomed.value || !(coarse || scale * density >= SQUARES)) return;
    timer.current = setTimeout(() => {
      const [left, top] = inside([-x / scale, -y / scale], picture.image).map(Math.floor) as Point;
      const [right, bottom] = inside([(width - x) / scale, (height - y) / scale], picture.image).map(Math.ceil) as Point;
      if (right > left && bottom > top) store.askDetail([left, top, right - left, bottom - top], Math.ceil((right - left) * scale * density));
    }, REST);
  });
}

/** Pixels of the device for one as laid out. What shows the page larger than that many times (a slide) is not followed further. */
const SHARPEST = 4;
const densityOf = (element: Element | null): number => Math.min(SHARPEST, (window.devicePixelRatio || 1) * (element ? shownScale(element)[0] : 1));

function usePainting(canvas: { current: HTMLCanvasElement | null }, measure: Measure): void {
  const { screen, store } = useView();
  const own = useMemo(() => document.createElement("canvas"), []);
  const due = useRef(0);
  useEffect(() => () => cancelAnimationFrame(due.current), []);
  useSignalEffect(() => {
    const [picture, base, operations] = [store.picture.value, store.base.value, screen.operations.value];
    const ours = screen.live.value !== null || store.unrendered.value > 0;
    const t = screen.transform.value;
    const detail = store.detail.value;
    // Drawn again, too, when the font has come.
    const [showing, divider] = [screen.showing.value, screen.divider.value, screen.exact.value];
    cancelAnimationFrame(due.current);
    due.current = requestAnimationFrame(() => {
      const element = canvas.current;
      if (!element) return;
      const density = densityOf(element);
      const [width, height] = [Math.round(element.clientWidth * density), Math.round(element.clientHeight * density)];
      if (element.width !== width || element.height !== height) {
        element.width = width;
        element.height = height;
      }
      const context = element.getContext("2d");
      const below = base ?? picture;
      if (context && below) {
        let shown = picture ?? below;
        if (ours && showing !== "before") {
          compose(own, below, operations, measure);
          shown = { ...below, source: own };
        }
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, width, height);
        const scale = t.scale * density;
        context.imageSmoothingEnabled = scale < SQUARES;
        context.imageSmoothingQuality = "high";
        const paint = ({ source, image }: Picture): void => context.drawImage(source, t.x * density, t.y * density, image.width * scale, image.height * scale);
        paint(showing === "before" ? below : shown);
        if (detail && showing === "after" && !ours && detail.key === picture?.key) {
          const [x, y, w, h] = detail.region;
          context.drawImage(detail.source, t.x * density + x * scale, t.y * density + y * scale, w * scale, h * scale);
        }
        if (showing === "swipe") {
          context.save();
          context.beginPath();
          context.rect(0, 0, width * divider, height);
          context.clip();
          paint(below);
          context.restore();
        }
        if (showing === "difference") {
          context.globalCompositeOperation = "difference";
          paint(below);
          context.globalCompositeOperation = "source-over";
        }
        if (t.scale >= GRID) grid(context, t.x * density, t.y * density, scale, width, height);
      }
      screen.paints.value = screen.paints.peek() + 1;
    });
  });
}

/** Lines between the pixels of the image. */
function grid(context: CanvasRenderingContext2D, x: number, y: number, scale: number, width: number, height: number): void {
  context.strokeStyle = "rgb(128 128 128 / 45%)";
  context.lineWidth = 1;
  context.beginPath();
  for (let at = x % scale; at < width; at += scale) {
    context.moveTo(Math.round(at) + 0.5, 0);
    context.lineTo(Math.round(at) + 0.5, height);
  }
  for (let at = y % scale; at < height; at += scale) {
    context.moveTo(0, Math.round(at) + 0.5);
    context.lineTo(width, Math.round(at) + 0.5);
  }
  context.stroke();
}

/** The line between before (left) and after, to be dragged. */
const Divider = live(function Divider() {
  const { screen } = useView();
  const drag = (event: PointerEvent): void => {
    const box = (event.currentTarget as HTMLElement).parentElement?.getBoundingClientRect();
    if (event.buttons && box?.width) screen.divider.value = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const percent = Math.round(100 * screen.divider.value);
  return (
    <div
      class="isi-divider"
      role="slider"
      tabIndex={0}
      aria-label="Without what is drawn, left of here"
      aria-valuenow={percent}
      aria-valuemin={0}
      aria-valuemax={100}
      data-testid="divider"
      style={{ left: `${100 * screen.divider.value}%` }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        event.preventDefault();
      }}
      onPointerMove={drag}
      onKeyDown={(event) => {
        const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
        if (!step) return;
        screen.divider.value = Math.min(1, Math.max(0, screen.divider.value + step));
        event.preventDefault();
        event.stopPropagation();
      }}
    />
  );
});

/** Pixels of the screen that the field for a text takes at least. */
const FIELD = 80;

const Writer = live(function Writer({ measure }: { measure: Measure }) {
  const { screen } = useView();
  const field = useRef<HTMLTextAreaElement>(null);
  const writing = screen.writing.value;
  const index = writing?.index ?? null;
  const edited = (): Operation | undefined => (index === null ? undefined : screen.store.document.value.operations[index]);
  // What was there when the edit began: Python may put something else in its place meanwhile.
  const begun = useMemo(edited, []);
  const text = useSignal(writing?.text ?? "");
  useEffect(() => {
    field.current?.focus({ preventScroll: true });
    field.current?.select();
  }, []);
  if (!writing) return null;
  const { scale } = screen.transform.value;
  const label = begun?.op === "arrow";
  const look = screen.style.value;
  const color = begun && "color" in begun ? begun.color : look.color;
  const size = begun?.op === "text" ? begun.size : label && begun.label ? (begun.size ?? LABEL_SIZE) : look.size;
  const finish = (): void => {
    if (!screen.writing.value) return;
    screen.writing.value = null;
    const written = text.value.trim();
    if (index !== null) {
      if (!begun || !same(begun, edited())) return;
      if (begun.op === "text" && written === "") screen.remove(index);
      else if (begun.op === "text") screen.change(index, reworded(begun, written, measure), { say: "Text changed" });
      else if (begun.op === "arrow") {
        const bare = omit(begun, "label", "size");
        screen.change(index, written ? { ...bare, label: written.replace(/\s*\n\s*/g, " "), size } : bare, { say: "Label changed" });
      }
    } else if (written !== "") {
      screen.tool.value = "select";
      screen.add({ op: "text", x: writing.at[0], y: writing.at[1], text: written, size, color });
    }
  };
  const font = Math.max(8, size * scale);
  const lines = text.value.split("\n");
  const wanted = Math.max(FIELD, ...lines.map((line) => measure(line, font) + font));
  const [x, y] = toScreen(screen.transform.value, writing.at);
  const angle = begun?.op === "text" ? angleOf(begun) : 0;
  // Never out of sight; what is longer scrolls within the field.
  const room = screen.viewport.value.width;
  const left = angle ? x : Math.max(0, Math.min(x, room - FIELD));
  return (
    <textarea
      ref={field}
      class="isi-write"
      data-testid="text-input"
      aria-label={label ? "Label of the arrow" : "Text on the image"}
      placeholder={label ? "Label" : "Text"}
      rows={1}
      wrap="off"
      dir="auto"
      value={text.value}
      style={{
        left: `${left}px`,
        top: `${y}px`,
        width: `${angle ? wanted : Math.min(wanted, room - left)}px`,
        height: `${lines.length * LINE_HEIGHT * font}px`,
        fontSize: `${font}px`,
        transform: angle ? `rotate(${angle}deg)` : "none",
        color,
        fontFamily: FONT,
      }}
      onInput={(event) => (text.value = event.currentTarget.value)}
      onBlur={finish}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (composing(event)) return;
        if (event.key === "Escape") screen.writing.value = null;
        else if (editField(event)) {
          event.preventDefault();
          return;
        } else if (event.key === "Enter") finish();
        else return;
        event.preventDefault();
        (field.current?.closest(".isi-probe") as HTMLElement | null)?.focus({ preventScroll: true });
      }}
    />
  );
});
