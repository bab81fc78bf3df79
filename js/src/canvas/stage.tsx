// The stage: the picture on a canvas, shapes and handles as SVG over it, text edited in place. It turns pointer events into gestures.
import { live, useSignalEffect } from "../live";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { isDrawing } from "../document";
import { estimate, extent, fit, handles, toImage, toScreen } from "../geometry";
import type { Drawing, Point } from "../protocol";
import { NAMES } from "../state/screen";
import { observeSize, useView } from "../view";
import { compose, FONT, measurer } from "./compose";
import { press, topmost, type Gesture } from "./gesture";

/** Pixels of the screen: below this a press is a click; within this a handle is hit. */
const SLOP = 3;
const REACH = 9;
const FINGER = 18;
const EMPTY_HEIGHT = 300;

const CURSORS = { nw: "nwse", se: "nwse", ne: "nesw", sw: "nesw", n: "ns", s: "ns", e: "ew", w: "ew" } as const;

export const Stage = live(function Stage() {
  const { screen, store } = useView();
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const overlay = useRef<SVGSVGElement>(null);
  const gesture = useRef<{ pointer: number; gesture: Gesture } | null>(null);
  const measure = useMemo(() => measurer() ?? estimate, []);
  const image = (store.picture.value ?? store.base.value)?.image ?? null;

  useFit(frame);
  usePainting(canvas);

  // A gesture ends without a step when Escape is pressed (screen.live is cleared by the keyboard map) or when the view goes away.
  useEffect(() => () => gesture.current?.gesture.cancel(), []);

  const at = (event: PointerEvent | MouseEvent): Point => {
    const box = overlay.current?.getBoundingClientRect();
    return toImage(screen.transform.value, [event.clientX - (box?.left ?? 0), event.clientY - (box?.top ?? 0)]);
  };
  const down = (event: PointerEvent): void => {
    if (event.button !== 0 || gesture.current || !image) return;
    // Finish an edit of text before anything else begins.
    if (screen.writing.value) {
      (frame.current?.querySelector("input.isi-write") as HTMLInputElement | null)?.blur();
      if (screen.tool.value === "select") return;
    }
    const scale = screen.transform.value.scale;
    const reach = (event.pointerType === "touch" ? FINGER : REACH) / scale;
    const started = press(screen, at(event), image, SLOP / scale, reach, measure);
    (frame.current?.closest(".isi-probe") as HTMLElement | null)?.focus({ preventScroll: true });
    event.preventDefault();
    if (!started) return;
    gesture.current = { pointer: event.pointerId, gesture: started };
    screen.cancelGesture = () => {
      gesture.current?.gesture.cancel();
      gesture.current = null;
      screen.cancelGesture = null;
    };
    overlay.current?.setPointerCapture(event.pointerId);
  };
  const move = (event: PointerEvent): void => {
    if (gesture.current?.pointer === event.pointerId) gesture.current.gesture.move(at(event), event.shiftKey);
  };
  const up = (event: PointerEvent): void => {
    if (gesture.current?.pointer !== event.pointerId) return;
    const ended = gesture.current.gesture;
    gesture.current = null;
    screen.cancelGesture = null;
    if (event.type === "pointercancel") ended.cancel();
    else {
      ended.move(at(event), event.shiftKey);
      ended.end();
    }
  };
  const rewrite = (event: MouseEvent): void => {
    if (screen.tool.value !== "select" || !image) return;
    const operations = store.document.value.operations;
    const index = topmost(operations, at(event), REACH / screen.transform.value.scale, measure);
    const op = index === null ? null : operations[index];
    if (op?.op === "text") screen.writing.value = { at: [op.x, op.y], text: op.text, index };
  };

  const t = screen.transform.value;
  const selection = screen.selection.value;
  const drawing = screen.tool.value !== "select";
  return (
    <div class="isi-stage" ref={frame} data-testid="stage">
      <canvas ref={canvas} data-testid="canvas" aria-hidden="true" />
      <svg
        ref={overlay}
        class={drawing ? "isi-overlay isi-drawing" : "isi-overlay"}
        data-testid="overlay"
        data-scale={t.scale}
        data-x={t.x}
        data-y={t.y}
        role="img"
        aria-label={describe(store.question.value, screen.operations.value.filter(isDrawing))}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={up}
        onDblClick={rewrite}
      >
        {screen.operations.value.map((op, i) =>
          isDrawing(op) ? (
            <g key={i} data-testid={`shape-${i}`} data-op={op.op} class={i === screen.selected.value ? "isi-shape isi-selected" : "isi-shape"}>
              {shape(op, (p) => toScreen(t, p), t.scale, measure)}
            </g>
          ) : null,
        )}
        {selection && !drawing && (
          <g class="isi-handles">
            {handles(selection, measure).map(({ name, at: point }) => {
              const [x, y] = toScreen(t, point);
              const cursor = name === "start" || name === "end" ? "move" : `${CURSORS[name]}-resize`;
              return (
                <g key={name} data-testid={`handle-${name}`} style={{ cursor }}>
                  <rect class="isi-grip" x={x - REACH} y={y - REACH} width={2 * REACH} height={2 * REACH} />
                  <rect class="isi-handle" x={x - 4} y={y - 4} width={8} height={8} rx={selection.op === "line" || selection.op === "arrow" ? 4 : 1} />
                </g>
              );
            })}
          </g>
        )}
      </svg>
      {screen.writing.value && <Writer />}
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

/** Outlines that show what is selected or under the pointer and catch the pointer; the picture below shows the drawing itself. */
function shape(d: Drawing, screen: (p: Point) => Point, scale: number, measure: (text: string, size: number) => number) {
  if (d.op === "line" || d.op === "arrow") {
    const [[x1, y1], [x2, y2]] = [screen(d.start), screen(d.end)];
    return (
      <>
        <line class="isi-catch" {...{ x1, y1, x2, y2 }} stroke-width={Math.max(12, d.width * scale + 8)} />
        <line class="isi-outline" {...{ x1, y1, x2, y2 }} />
      </>
    );
  }
  const r = extent(d, measure);
  if (!r) return null;
  const [x, y] = screen([r.x, r.y]);
  const [width, height] = [r.width * scale, r.height * scale];
  if (d.op === "ellipse") {
    const round = { cx: x + width / 2, cy: y + height / 2, rx: width / 2, ry: height / 2 };
    return <ellipse class={d.fill ? "isi-outline isi-filled" : "isi-outline"} {...round} />;
  }
  return <rect class={d.op === "box" && !d.fill ? "isi-outline" : "isi-outline isi-filled"} {...{ x, y, width, height }} />;
}

/** Keeps the whole image in view, whatever the width of the cell. */
function useFit(frame: { current: HTMLDivElement | null }): void {
  const { screen, store } = useView();
  const image = (store.picture.value ?? store.base.value)?.image;
  const [width, height] = [image?.width ?? 0, image?.height ?? 0];
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const resize = (): void => {
      const available = element.clientWidth || element.getBoundingClientRect().width;
      const full = Math.min(720, Math.max(360, window.innerHeight * 0.7));
      const tall = width > 0 ? Math.min((available * height) / width, full) : EMPTY_HEIGHT;
      element.style.height = `${Math.round(tall)}px`;
      screen.transform.value = fit({ width: available, height: Math.round(tall) }, { width, height });
    };
    resize();
    return observeSize(element, resize);
  }, [width, height]);
}

function usePainting(canvas: { current: HTMLCanvasElement | null }): void {
  const { screen, store } = useView();
  const own = useMemo(() => document.createElement("canvas"), []);
  const due = useRef(0);
  useEffect(() => () => cancelAnimationFrame(due.current), []);
  useSignalEffect(() => {
    const [picture, base, operations] = [store.picture.value, store.base.value, screen.operations.value];
    const ours = screen.live.value !== null || store.unrendered.value > 0;
    const t = screen.transform.value;
    cancelAnimationFrame(due.current);
    due.current = requestAnimationFrame(() => {
      const element = canvas.current;
      if (!element) return;
      const density = window.devicePixelRatio || 1;
      const [width, height] = [Math.round(element.clientWidth * density), Math.round(element.clientHeight * density)];
      if (element.width !== width || element.height !== height) {
        element.width = width;
        element.height = height;
      }
      const context = element.getContext("2d");
      const below = base ?? picture;
      if (context && below) {
        let shown = picture ?? below;
        if (ours) {
          compose(own, below, operations);
          shown = { ...below, source: own };
        }
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, width, height);
        context.imageSmoothingQuality = "high";
        const scale = t.scale * density;
        context.drawImage(shown.source, t.x * density, t.y * density, shown.image.width * scale, shown.image.height * scale);
      }
      screen.paints.value = screen.paints.peek() + 1;
    });
  });
}

const Writer = live(function Writer() {
  const { screen } = useView();
  const input = useRef<HTMLInputElement>(null);
  const writing = screen.writing.value;
  useEffect(() => {
    input.current?.focus();
    input.current?.select();
  }, []);
  if (!writing) return null;
  const { scale } = screen.transform.value;
  const before = writing.index === null ? null : screen.store.document.value.operations[writing.index];
  const { size, color } = before?.op === "text" ? before : screen.style.value;
  const [left, top] = toScreen(screen.transform.value, writing.at);
  const finish = (): void => {
    const now = screen.writing.value;
    if (!now) return;
    screen.writing.value = null;
    const text = (input.current?.value ?? "").trim();
    if (now.index !== null && before?.op === "text") {
      if (text === "") screen.remove(now.index);
      else screen.change(now.index, { ...before, text }, { say: "Text changed" });
    } else if (text !== "") {
      screen.tool.value = "select";
      screen.add({ op: "text", x: now.at[0], y: now.at[1], text, size, color });
    }
  };
  return (
    <input
      ref={input}
      class="isi-write"
      data-testid="text-input"
      aria-label="Text on the image"
      placeholder="Text"
      value={writing.text}
      style={{ left: `${left}px`, top: `${top}px`, fontSize: `${Math.max(8, size * scale)}px`, color, fontFamily: FONT }}
      onBlur={finish}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape") screen.writing.value = null;
        else if (event.key === "Enter") finish();
        else return;
        event.preventDefault();
        (input.current?.closest(".isi-probe") as HTMLElement | null)?.focus({ preventScroll: true });
      }}
    />
  );
});

