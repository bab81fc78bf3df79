// State of one view, never synced: tool, style, selection, zoom, gestures in progress, pop-overs.
import { computed, effect, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { isDrawing, replaced } from "../document";
import type { Editor } from "../editor";
import type { Guides, Rect, Size, Transform } from "../geometry";
import type { Drawing, Operation, Point } from "../protocol";
import type { DragTool, Measure, Style } from "../shapes";
import type { Store } from "./store";

export type Tool = DragTool | "select" | "segment" | "wand" | "polygon" | "freehand" | "text" | "picker";
export type Popover = "observations" | "models" | "settings" | "camera" | "keys" | "code" | "compare" | "export" | "insert" | "texture" | null;
/** What the stage shows: the picture as the model sees it, without what is drawn, both at a divider, or how they differ. */
export type Showing = "after" | "before" | "swipe" | "difference";

export interface Writing {
  at: Point;
  text: string;
  /** index of the text (or the arrow, for its label) that is edited; null for a new one */
  index: number | null;
}

/** Milliseconds until tool and selection are sent to Python: an edit that belongs to them is sent first. */
const TELL = 150;

export class Screen {
  readonly tool: Signal<Tool> = signal("select");
  /** indexes into the operations, rising */
  readonly chosen: Signal<readonly number[]> = signal([]);
  /** operations as they are during a gesture, before it becomes a step */
  readonly live: Signal<Operation[] | null> = signal(null);
  readonly writing: Signal<Writing | null> = signal(null);
  readonly popover: Signal<Popover> = signal(null);
  readonly transform: Signal<Transform> = signal({ scale: 1, x: 0, y: 0 });
  /** of the stage, in pixels of the screen */
  readonly viewport: Signal<Size> = signal({ width: 0, height: 0 });
  /** the transform is the user's own, not the one that fits */
  readonly zoomed = signal(false);
  readonly showing: Signal<Showing> = signal("after");
  /** where the divider of "swipe" stands, as a part of the width */
  readonly divider = signal(0.5);
  /** the pointer, in image pixels */
  readonly cursor: Signal<Point | null> = signal(null);
  readonly guides: Signal<Guides | null> = signal(null);
  readonly marquee: Signal<Rect | null> = signal(null);
  /** the corners so far of a polygon that is being drawn */
  readonly path: Signal<Point[] | null> = signal(null);
  /** effects are drawn freehand, not as rectangles */
  readonly lasso = signal(false);
  /** what was chosen for the next drawing, see styling.ts */
  readonly own: Signal<Partial<Style>> = signal({});
  readonly relative = signal(false);
  /** the panel "Inside" is open, and what its matrix shows */
  readonly inside = signal(false);
  readonly map = signal("image");
  /** the answer token of the shown trial that is looked at */
  readonly token: Signal<number | null> = signal(null);
  /** how strongly its attention is laid over the picture */
  readonly opacity = signal(0.6);
  readonly paints = signal(0);
  /** texts are measured with the kernel's font */
  readonly exact = signal(false);
  /** how the editor measures texts, once it is there */
  readonly measure: Signal<Measure | undefined> = signal(undefined);
  /** null until it has been fetched */
  readonly editor: Signal<Editor | null> = signal(null);
  /** number of requests for code: only the last answer counts; the code, and whether the clipboard accepted it */
  asked = 0;
  readonly code = signal("");
  readonly copied: Signal<boolean | null> = signal(null);
  /** space is held down: the pointer moves the view */
  hand = false;
  /** set while a pointer gesture is under way */
  cancelGesture: (() => void) | null = null;
  /** text fields with unfinished typing */
  readonly flushers = new Set<() => void>();

  readonly operations: ReadonlySignal<Operation[]>;
  /** the one that is chosen, if it is only one */
  readonly selected: ReadonlySignal<number | null>;
  readonly selection: ReadonlySignal<Drawing | null>;

  constructor(
    readonly store: Store,
    lifetime: AbortSignal,
  ) {
    this.operations = computed(() => this.live.value ?? store.document.value.operations);
    this.selected = computed(() => (this.chosen.value.length === 1 ? (this.chosen.value[0] ?? null) : null));
    this.selection = computed(() => {
      const op = this.selected.value === null ? undefined : this.operations.value[this.selected.value];
      return op && isDrawing(op) ? op : null;
    });
    // A selection that points to nothing, after an undo or an edit from Python, is dropped.
    const stop = store.document.subscribe(({ operations }) => {
      const there = this.chosen.peek().filter((i) => operations[i] && isDrawing(operations[i]));
      if (there.length < this.chosen.peek().length) this.chosen.value = there;
    });
    let telling: ReturnType<typeof setTimeout> | undefined;
    let first = true;
    const tell = effect(() => {
      const view = { tool: this.tool.value, selected: this.chosen.value };
      clearTimeout(telling);
      if (!first) telling = setTimeout(() => store.tell(view), TELL);
      first = false;
    });
    lifetime.addEventListener("abort", () => clearTimeout(telling));
    const follow = store.wished.subscribe(({ tool, selected }) => {
      if (tool !== undefined && Object.values(TOOL_KEYS).includes(tool as Tool)) this.setTool(tool as Tool);
      if (selected) this.select(...selected.filter((i) => store.document.value.operations[i]));
    });
    const untoken = store.shown.subscribe(() => (this.token.value = null));
    for (const end of [stop, tell, follow, untoken]) lifetime.addEventListener("abort", end);
  }

  select(...indexes: number[]): void {
    this.chosen.value = [...new Set(indexes)].sort((a, b) => a - b);
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
    this.path.value = null;
    if (tool === "select" || tool === "picker") return;
    this.select();
    // Make the current drawing visible.
    this.showing.value = "after";
  }

  /** Shows changed drawings without making it a step. */
  preview(change: (d: Drawing, index: number) => Drawing, indexes = this.chosen.value): void {
    this.live.value = this.#changed(change, indexes);
  }

  /** Changes the chosen drawings, or others, in one step. */
  alter(change: (d: Drawing, index: number) => Drawing, options: { merge?: boolean; say?: string; indexes?: readonly number[] } = {}): void {
    const { indexes = this.chosen.value, ...rest } = options;
    this.live.value = null;
    this.store.edit(this.#changed(change, indexes), rest);
  }

  #changed(change: (d: Drawing, index: number) => Drawing, indexes: readonly number[]): Operation[] {
    return this.store.document.value.operations.map((op, i) => (isDrawing(op) && indexes.includes(i) ? change(op, i) : op));
  }

  change(index: number, drawing: Drawing, options: { merge?: boolean; say?: string } = {}): void {
    this.live.value = null;
    this.store.edit(replaced(this.store.document.value.operations, index, drawing), options);
  }

  add(...drawings: Drawing[]): void {
    const before = this.store.document.value.operations;
    this.live.value = null;
    this.store.edit([...before, ...drawings], { say: `${titles(drawings)} added` });
    this.select(...drawings.map((_, i) => before.length + i));
  }

  remove(...indexes: number[]): void {
    const operations = this.store.document.value.operations;
    const gone = indexes.filter((i) => operations[i]);
    if (gone.length === 0) return;
    this.live.value = null;
    this.select();
    this.store.edit(
      operations.filter((_, i) => !gone.includes(i)),
      { say: `${titles(gone.map((i) => operations[i] as Operation))} deleted` },
    );
  }

  /** Deletes what is chosen and not locked. */
  removeChosen(): void {
    const free = this.chosen.value.filter((i) => (this.store.document.value.operations[i] as Drawing | undefined)?.locked !== true);
    if (free.length === 0 && this.chosen.value.length > 0) this.store.fail("The selection is locked.", "Unlock it in the list of layers first.");
    this.remove(...free);
  }

  /** Puts one operation in the place of another: what is further on is drawn over what comes before. */
  reorder(from: number, to: number): void {
    const operations = [...this.store.document.value.operations];
    const [moved] = operations.splice(from, 1);
    if (!moved || from === to) return;
    operations.splice(to, 0, moved);
    this.live.value = null;
    this.store.edit(operations, { say: `${NAMES[moved.op] ?? moved.op} moved in the order` });
    this.select(to);
  }
}

/** The tools, in the order of the tool bar, by their keys. */
export const TOOL_KEYS: Record<string, Tool> = {
  v: "select",
  s: "segment",
  w: "wand",
  b: "box",
  o: "ellipse",
  p: "polygon",
  f: "freehand",
  l: "line",
  a: "arrow",
  t: "text",
  n: "noise",
  u: "blur",
  x: "pixelate",
  e: "erase",
  c: "patch",
  i: "picker",
};

export const NAMES: Record<string, string> = {
  segment: "Select an object",
  wand: "Colour wand",
  box: "Box",
  ellipse: "Ellipse",
  polygon: "Polygon",
  freehand: "Freehand mask",
  line: "Line",
  arrow: "Arrow",
  text: "Text",
  noise: "Noise",
  blur: "Blur",
  pixelate: "Pixelate",
  erase: "Erase",
  patch: "Copied patch",
  remove: "Remove",
  move: "Move",
  resize: "Resize",
  swap: "Swap",
  mirror: "Mirror",
  insert: "Insert",
  recolor: "Recolour",
  retexture: "Retexture",
  picker: "Pick a colour",
  image: "Image",
  context: "Context",
  question: "Question",
  foreign: "Other",
};

const titles = (operations: Operation[]): string => (operations.length === 1 ? (NAMES[operations[0]?.op ?? ""] ?? "Other") : `${operations.length} drawings`);

/** Puts code on the clipboard, and shows it: where the clipboard is refused it can be taken by hand. */
export function showCode(screen: Screen, text: string): void {
  screen.code.value = text;
  screen.copied.value = null;
  screen.popover.value = "code";
  const clipboard = navigator.clipboard as Clipboard | undefined;
  void Promise.resolve(clipboard?.writeText(text)).then(
    () => (screen.copied.value = clipboard !== undefined),
    () => (screen.copied.value = false),
  );
}
