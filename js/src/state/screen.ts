// What belongs to one view only and is never synced: tool, style, selection, gestures under way, pop-overs.
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { isDrawing, replaced, same } from "../document";
import type { Editor } from "../editor";
import type { Style, Transform } from "../geometry";
import type { Drawing, Operation, Point } from "../protocol";
import type { Store } from "./store";

export type Tool = "select" | "box" | "ellipse" | "line" | "arrow" | "text" | "noise";
export type Popover = "observations" | "models" | "settings" | "keys" | "code" | null;

export interface Writing {
  at: Point;
  text: string;
  /** index of the text operation that is edited; null for a new one */
  index: number | null;
}

export class Screen {
  readonly tool: Signal<Tool> = signal("select");
  readonly selected: Signal<number | null> = signal(null);
  /** operations as they are during a gesture, before it becomes a step */
  readonly live: Signal<Operation[] | null> = signal(null);
  readonly writing: Signal<Writing | null> = signal(null);
  readonly popover: Signal<Popover> = signal(null);
  readonly transform: Signal<Transform> = signal({ scale: 1, x: 0, y: 0 });
  readonly own: Signal<Partial<Style>> = signal({});
  readonly relative = signal(false);
  readonly paints = signal(0);
  /** null until it has been fetched */
  readonly editor: Signal<Editor | null> = signal(null);
  /** the code that this view asked for, and whether the clipboard took it */
  asked: string | null = null;
  readonly copied: Signal<boolean | null> = signal(null);
  /** set while a pointer gesture is under way */
  cancelGesture: (() => void) | null = null;
  /** text fields with unfinished typing */
  readonly flushers = new Set<() => void>();

  readonly operations: ReadonlySignal<Operation[]>;
  readonly style: ReadonlySignal<Style>;
  readonly selection: ReadonlySignal<Drawing | null>;
  /** the style of the selection, and of what is drawn next where it has none */
  readonly look: ReadonlySignal<Style>;

  constructor(
    readonly store: Store,
    lifetime: AbortSignal,
  ) {
    this.operations = computed(() => this.live.value ?? store.document.value.operations);
    this.style = computed(() => {
      // Strokes and letters that are seen on a large photograph too.
      const image = (store.picture.value ?? store.base.value)?.image;
      const factor = Math.max(1, Math.min(image?.width ?? 0, image?.height ?? 0) / 600);
      const start = { color: "#000000", fill: true, width: Math.round(3 * factor), size: Math.round(16 * factor), sigma: 0.2 };
      return { ...start, ...this.own.value };
    });
    this.selection = computed(() => {
      const op = this.selected.value === null ? undefined : this.operations.value[this.selected.value];
      return op && isDrawing(op) ? op : null;
    });
    this.look = computed(() => {
      const { line_width, width, ...rest } = (this.selection.value ?? {}) as Partial<Style> & { line_width?: number };
      // The width of a box is its own; that of its line has another name.
      return { ...this.style.value, ...rest, width: line_width ?? width ?? this.style.value.width };
    });
    // A selection that points to nothing, after an undo or an edit from Python, is dropped.
    const stop = store.document.subscribe((doc) => {
      const index = this.selected.peek();
      const op = index === null ? undefined : doc.operations[index];
      if (index !== null && !(op && isDrawing(op))) this.selected.value = null;
    });
    lifetime.addEventListener("abort", stop);
  }

  /** Opens a pop-over, or closes it. */
  toggle(name: Popover): void {
    this.popover.value = this.popover.value === name ? null : name;
  }

  flush(): void {
    for (const now of this.flushers) now();
  }

  setTool(tool: Tool): void {
    this.tool.value = tool;
    this.live.value = null;
    if (tool !== "select") this.selected.value = null;
  }

  /** Shows a changed drawing without making it a step. */
  preview(index: number, drawing: Drawing): void {
    this.live.value = replaced(this.store.document.value.operations, index, drawing);
  }

  change(index: number, drawing: Drawing, options: { merge?: boolean; say?: string } = {}): void {
    this.live.value = null;
    this.store.edit(replaced(this.store.document.value.operations, index, drawing), options);
  }

  add(drawing: Drawing): void {
    const operations = [...this.store.document.value.operations, drawing];
    this.live.value = null;
    this.store.edit(operations, { say: `${NAMES[drawing.op]} added` });
    this.selected.value = operations.length - 1;
  }

  remove(index: number): void {
    const operations = this.store.document.value.operations;
    const op = operations[index];
    if (!op) return;
    this.live.value = null;
    this.selected.value = null;
    this.store.edit(
      operations.filter((_, i) => i !== index),
      { say: `${NAMES[op.op]} deleted` },
    );
  }

  /** Style of the selection if there is one, else of what is drawn next. `live` shows it only. */
  restyle(style: Partial<Style>, live = false): void {
    const { color, fill, width, size, sigma } = style;
    const index = this.selected.value;
    const before = index === null ? undefined : this.store.document.value.operations[index];
    if (index !== null && before && isDrawing(before)) {
      const next: Drawing = { ...before };
      if (color !== undefined && next.op !== "noise") next.color = color;
      if (next.op === "box" || next.op === "ellipse") {
        if (fill !== undefined) next.fill = fill;
        if (width !== undefined) next.line_width = width;
      }
      if ((next.op === "line" || next.op === "arrow") && width !== undefined) next.width = width;
      if (next.op === "text" && size !== undefined) next.size = size;
      if (next.op === "noise" && sigma !== undefined) next.sigma = sigma;
      if (live) this.preview(index, next);
      else if (!same(next, before)) this.change(index, next, { say: "Style changed" });
      else this.live.value = null;
    }
    if (!live || index === null) this.own.value = { ...this.own.value, ...style };
  }
}

/** The tools, in the order of the tool bar, by their keys. */
export const TOOL_KEYS: Record<string, Tool> = { v: "select", b: "box", o: "ellipse", l: "line", a: "arrow", t: "text", n: "noise" };

export const NAMES: Record<string, string> = {
  box: "Box",
  ellipse: "Ellipse",
  line: "Line",
  arrow: "Arrow",
  text: "Text",
  noise: "Noise",
  image: "Image",
  context: "Context",
  question: "Question",
  foreign: "Other",
};
