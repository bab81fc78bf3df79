// The mask that is selected on one screen: found by the kernel from a box, strokes or a click, and refined, with an undo of its own.
// Never synced or saved: it becomes part of the document only as the region of an operation (`acted`). Part of the editor.
import { batch, computed, effect, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { same } from "../document";
import { grower } from "../edges";
import { areaOf, boxOf, combined } from "../masks";
import { sameEdits } from "../objects";
import type { Drawing, Mask, Operation, Point, Rectangle } from "../protocol";
import { askMask, takeBack } from "./kernel";
import { identifier, NoAnswer } from "./requests";
import type { Screen } from "./screen";

/** A line of a brush, in pixels of the image: this is of the object, or this is not. */
export interface Stroke {
  object: boolean;
  points: Point[];
  radius: number;
}
/** What a press does with the tool that selects an object. */
export type Mode = "box" | "object" | "background";
/** What becomes of the selection when another area is found. */
export type Joining = "new" | "or" | "minus";

/** What is selected: what the kernel found, what it was found from since the last box, and how its edge is moved and softened. */
export interface Selected {
  found: Mask;
  box: Rectangle | null;
  strokes: Stroke[];
  grow: number;
  feather: number;
  /** what the kernel says of it; "": nothing */
  note: string;
}

/** Milliseconds until the page shows that the kernel is still searching. */
const SLOW = 200;
/** Steps of refinement that can be taken back. */
const STEPS = 100;
/** Parts of the shorter side of the picture: what the brush is wide, at least 3 px, and how far the sliders go, at least 10 px. */
const BRUSH = 1 / 24;
const REACH = 1 / 16;
/** The same of the rim in which the colours of a thing and of what is behind it mix, and how wide it is at most, px. */
const RIM = 1 / 240;
const WIDEST_RIM = 6;

export class Selection {
  readonly mode: Signal<Mode> = signal("box");
  /** largest distance from the colour that was clicked, CIELAB */
  readonly tolerance = signal(10);
  /** the line that is being drawn, or waits for its answer */
  readonly stroke: Signal<Stroke | null> = signal(null);
  /** the box in which the kernel searches */
  readonly sought: Signal<Rectangle | null> = signal(null);
  /** the kernel has been searching for a moment */
  readonly searching = signal(false);
  readonly state: Signal<Selected | null> = signal(null);
  readonly past: Signal<(Selected | null)[]> = signal([]);
  readonly future: Signal<(Selected | null)[]> = signal([]);
  /** what is selected, its edge moved and soft; null: nothing */
  readonly mask: ReadonlySignal<Mask | null>;
  /** where its soft edge ends; null: it has none */
  readonly rim: ReadonlySignal<Mask | null>;
  /** the sliders of the edge are open */
  readonly edging = signal(false);
  /** the same with the rim of its edge, as it leaves its place: what is in-painted then has none of its colour around. As it is where its edge was moved or softened by hand */
  readonly thing: ReadonlySignal<Mask | null>;
  /** pixels that the brush is wide */
  readonly brush: ReadonlySignal<number>;
  /** farthest that the sliders grow or soften, px */
  readonly reach: ReadonlySignal<number>;
  readonly #brush: Signal<number | null> = signal(null);
  /** the last selection that operations were added for, and the operations before and after: undo and redo bring it back and take it away */
  #acted: { selected: Selected; before: Operation[]; after: Operation[] } | null = null;
  #asked: { control: AbortController; id: string } | null = null;

  constructor(private readonly screen: Screen) {
    const side = computed(() => Math.min(screen.store.image.value?.width ?? 0, screen.store.image.value?.height ?? 0));
    this.brush = computed(() => this.#brush.value ?? Math.max(3, Math.round(side.value * BRUSH)));
    this.reach = computed(() => Math.max(10, Math.round(side.value * REACH)));
    const found = computed(() => this.state.value?.found ?? null);
    const grow = computed(() => (found.value ? grower(found.value, this.reach.value) : null));
    const by = computed(() => this.state.value?.grow ?? 0);
    const hard = computed(() => grow.value?.(by.value) ?? null);
    this.mask = computed(() => (hard.value ? { ...hard.value, feather: this.state.value?.feather ?? 0 } : null));
    this.thing = computed(() => {
      const state = this.state.value;
      const width = Math.min(WIDEST_RIM, Math.max(2, Math.round(side.value * RIM)));
      const grown = state?.grow === 0 && state.feather === 0 ? grow.value?.(width) : null;
      return grown ? { ...grown, feather: width } : this.mask.value;
    });
    const soften = computed(() => (hard.value ? grower(hard.value, this.reach.value) : null));
    this.rim = computed(() => (this.mask.value?.feather ? (soften.value?.(this.mask.value.feather) ?? null) : null));
  }

  /** Whether a press paints. */
  get brushing(): boolean {
    return this.screen.tool.value === "segment" && this.mode.value !== "box" && this.state.value !== null;
  }

  setBrush(pixels: number): void {
    this.#brush.value = Math.max(1, Math.min(1000, Math.round(pixels)));
  }

  // ---- what the kernel finds

  /** The outline of the object in a box; it replaces, joins or is taken from what is selected. */
  async box(box: Rectangle, joining: Joining = "new"): Promise<void> {
    await this.#find({ box, strokes: [] }, joining);
  }

  /** The area of about the same colour around a point. */
  async wand([x, y]: Point, joining: Joining = "new"): Promise<void> {
    await this.#find({ box: null, strokes: [], point: [Math.floor(x), Math.floor(y)], tolerance: this.tolerance.value }, joining);
  }

  /** What is selected, found anew with one stroke more. Where no object was found, all of the box is selected: what is painted as object is then sought in it. */
  async refine(stroke: Stroke): Promise<void> {
    const state = this.state.value;
    const strokes = [...(state?.strokes ?? []), stroke];
    const anew = state !== null && isGuess(state) && strokes.some(({ object }) => object);
    await this.#find({ box: state?.box ?? null, strokes, mask: anew ? null : (state?.found ?? null) }, "new");
  }

  async #find(from: { box: Rectangle | null; strokes: Stroke[]; mask?: Mask | null; point?: Point; tolerance?: number }, joining: Joining): Promise<void> {
    this.stop();
    this.stroke.value = from.strokes.at(-1) ?? null;
    const { store } = this.screen;
    const asked = { control: new AbortController(), id: identifier() };
    this.#asked = asked;
    if (!from.mask) this.sought.value = from.box;
    const slow = setTimeout(() => (this.searching.value = true), SLOW);
    try {
      // With what is drawn: the kernel must have it.
      await new Promise<void>((done) => store.settled(done));
      if (asked.control.signal.aborted) return;
      const found = await askMask(store, { mask: null, point: null, tolerance: null, ...from }, asked.id, asked.control.signal);
      if (this.#asked !== asked || !found) return;
      const { mask, note } = found;
      const before = this.state.peek();
      const joined = joining === "new" || !before || !fits(before.found, mask) ? mask : combined(before.found, mask, joining);
      if (areaOf(joined) === 0) {
        store.fail("Nothing was found there.", note || "Draw a box more loosely around the object, click elsewhere, or paint over what is meant.");
        return;
      }
      this.#step({ found: joined, box: from.box, strokes: from.strokes, grow: before?.grow ?? 0, feather: before?.feather ?? 0, note }, `${areaOf(joined)} pixels selected. ${note}`.trim());
    } catch (error) {
      // The store has shown what went wrong; what was selected stays.
      if (!(error instanceof NoAnswer)) throw error;
    } finally {
      clearTimeout(slow);
      if (this.#asked === asked) {
        this.#asked = null;
        this.#rest();
      }
    }
  }

  /** Whether the kernel is searching now. */
  get busy(): boolean {
    return this.#asked !== null;
  }

  /** Takes the question to the kernel back. */
  stop(): void {
    const asked = this.#asked;
    if (!asked) return;
    this.#asked = null;
    asked.control.abort();
    takeBack(this.screen.store, asked.id);
    this.#rest();
  }

  #rest(): void {
    batch(() => {
      this.searching.value = false;
      this.stroke.value = null;
      this.sought.value = null;
    });
  }

  // ---- the edge

  /** Grows (or shrinks) and softens the selection; `live`: shown only, for a slider that is being moved. */
  reshape(change: Partial<Pick<Selected, "grow" | "feather">>, live = false): void {
    const before = this.state.value;
    if (!before) return;
    const next = { ...before, ...change };
    if (live) {
      this.#still ??= before;
      this.state.value = next;
      return;
    }
    const from = this.#still ?? before;
    this.#still = null;
    if (same(from, next)) this.state.value = from;
    else this.#step(next, "Edge changed", from);
  }
  /** the selection before a slider was moved */
  #still: Selected | null = null;

  // ---- steps

  #step(next: Selected | null, say: string, from = this.state.peek()): void {
    batch(() => {
      this.past.value = [...this.past.value, from].slice(-STEPS);
      this.future.value = [];
      this.state.value = next;
      this.#acted = null;
      this.screen.store.spoken.value = say;
    });
  }

  /** Selects an existing mask, such as that of a drawing. */
  take(mask: Mask): void {
    this.#step({ found: { ...mask, feather: 0 }, box: null, strokes: [], grow: 0, feather: mask.feather, note: "" }, "Mask selected");
  }

  /** Selects nothing; returns whether something was selected. */
  clear(): boolean {
    this.stop();
    if (!this.state.value) return false;
    this.#step(null, "Nothing selected");
    return true;
  }

  /** Forgets selection and steps: another picture has come. */
  reset(): void {
    this.stop();
    batch(() => {
      this.state.value = null;
      this.past.value = this.future.value = [];
    });
    this.#acted = null;
    this.#still = null;
  }

  undo(): void {
    const { store } = this.screen;
    const { past } = this;
    if (past.value.length > 0) {
      this.stop();
      batch(() => {
        this.future.value = [this.state.value, ...this.future.value];
        this.state.value = past.value.at(-1) ?? null;
        past.value = past.value.slice(0, -1);
        store.spoken.value = "Undone";
      });
      return;
    }
    store.undo();
    this.#follow();
  }

  redo(): void {
    const { store } = this.screen;
    const [next, ...future] = this.future.value;
    if (next !== undefined) {
      this.stop();
      batch(() => {
        this.past.value = [...this.past.value, this.state.value];
        this.state.value = next;
        this.future.value = future;
        store.spoken.value = "Redone";
      });
      return;
    }
    store.redo();
    this.#follow();
  }

  /** What was acted on is selected just where the document is as it was before the act: farther back, the picture is a different one. */
  #follow(): void {
    const acted = this.#acted;
    if (acted) this.state.value = sameEdits(this.screen.store.document.value.operations, acted.before) ? acted.selected : null;
  }

  /** Adds operations on the selection in one step of the document; the selection ends, and undo brings it back. */
  acted(...drawings: Drawing[]): void {
    const { screen } = this;
    const selected = this.state.value;
    const before = screen.store.document.value.operations;
    this.stop();
    screen.tool.value = "select";
    screen.add(...drawings);
    batch(() => {
      this.state.value = null;
      this.past.value = this.future.value = [];
    });
    this.#acted = selected && { selected, before, after: screen.store.document.value.operations };
  }
}

/** Whether it is all of its box because no object was found there. */
function isGuess({ found, box, note }: Selected): boolean {
  if (!note || !box) return false;
  const { x, y, width, height } = boxOf(found);
  return same([x, y, width, height], box) && areaOf(found) === width * height;
}

const fits = (a: Mask, b: Mask): boolean => same(a.size, b.size);

const all = new WeakMap<Screen, Selection>();

/** The selection of a screen. */
export function selectionOf(screen: Screen): Selection {
  let found = all.get(screen);
  if (!found) all.set(screen, (found = new Selection(screen)));
  return found;
}

/** Forgets the selection whenever another picture comes. */
export function followPicture(screen: Screen, lifetime: AbortSignal): void {
  let shown: string | undefined;
  const stop = effect(() => {
    const key = screen.store.base.value?.key;
    if (shown !== undefined && key !== shown) selectionOf(screen).reset();
    shown = key;
  });
  lifetime.addEventListener("abort", () => {
    stop();
    selectionOf(screen).stop();
  });
}
