// A fake of anywidget's model and the browser parts that happy-dom lacks, so that the page runs without Jupyter.
import type { AnyModel } from "@anywidget/types";
import { vi } from "vitest";
import { editor } from "../src/editor";
import { PLACES } from "../src/protocol";
import { widget } from "../src/widget";

type Listener = (...args: unknown[]) => void;
export type Traits = Record<string, unknown>;

export const PIXEL = new DataView(new Uint8Array([255, 216, 255, 217]).buffer);

export const preview = (key = "k0", width = 400, height = 300): unknown => ({
  data: PIXEL,
  width,
  height,
  image_width: 800,
  image_height: 600,
  key,
});

export const SETTINGS = {
  samples: 10,
  temperature: 0.9,
  top_k: 0,
  top_p: 1,
  seed: 0,
  max_new_tokens: 64,
  strict_entailment: false,
  do_sample: false,
  num_beams: 1,
  likelihood: "raw",
  prepend_question: true,
  method: "sampled",
  mass: 0.99,
  budget: 512,
};

export const MEASURES = ["Answer", "Uncertainty", "Attention"].map((title) => ({ name: title.toLowerCase(), title, help: `What ${title} is.`, by_default: true, unavailable: "" }));

export const CONTEXTS = ["empty", "complementary", "contradictory", "random"];

export function traits(over: Traits = {}): Traits {
  return {
    observations: [
      { index: 0, id: "a", question: "Is there a star?", answer: "Yes", level: "object" },
      { index: 1, id: "b", question: "Is the circle green?", answer: "No", level: "attribute" },
    ],
    observation_index: 0,
    observation: {
      index: 0,
      id: "a",
      question: "Is there a star?",
      context: "",
      answer: "Yes",
      level: "object",
      width: 800,
      height: 600,
      image_presets: ["natural", "annotated", "random"],
      context_presets: CONTEXTS,
    },
    document: { version: 1, operations: [], past: [], future: [] },
    inputs: { context: "", question: "Is there a star?", truth: "Yes", image_preset: "natural", context_preset: "empty", key: "k0" },
    preview: preview(),
    base_preview: preview("base"),
    settings: SETTINGS,
    measures: MEASURES,
    status: { state: "idle", id: null, measures: [], stage: "", note: "", done: 0, total: 0, queued: 0 },
    error: null,
    trials: [],
    shown: -1,
    model: { name: "embedded", note: "knows scenes only", device: "cpu", parameters: 5_000_000, quantization: null, label: "embedded", unavailable: {} },
    ...over,
  };
}

const GIB = 2 ** 30;

/** What the kernel offers: one that is here, one that fits in every way, one in 4 bit only, one not at all. */
export const offer = (over: Traits = {}): Traits => ({
  free: 10 * GIB,
  held: 0,
  device: "cuda:0",
  models: [
    { name: "embedded", family: "Embedded", parameters: 3.6e6, licence: "BSD-3-Clause", memory: { none: 14e6 } },
    { name: "org/small-2b", family: "Small", parameters: 2e9, licence: "apache-2.0", memory: { none: 4 * GIB, int8: 2 * GIB, nf4: GIB } },
    { name: "org/middle-13b", family: "Middle", parameters: 13e9, licence: "llama2", memory: { none: 26 * GIB, int8: 13 * GIB, nf4: 8 * GIB } },
    { name: "org/large-70b", family: "Middle", parameters: 70e9, licence: "llama2", memory: { none: 140 * GIB, int8: 70 * GIB, nf4: 40 * GIB } },
  ],
  ...over,
});

export function trial(id = 1, key = "k0", view: Traits = {}): unknown {
  return {
    id,
    key,
    thumbnail: PIXEL,
    view: {
      question: "Is there a star?",
      context: "",
      image_preset: "natural",
      context_preset: "empty",
      truth: "Yes",
      operations: [{ op: "box", x: 1, y: 2, width: 3, height: 4 }],
      model: "embedded",
      settings: {},
      seconds: { total: 0.31 },
      code: "isi.run_trial(vlm, s)",
      answer: {
        text: "No star.",
        correct: false,
        mark: "wrong",
        judged: "wrong",
        finished: true,
        tokens: [{ text: "No", logprob: Math.log(0.5) }],
        yes_no: { yes: 0.27, no: 0.71, rest: 0.02 },
      },
      uncertainty: {
        samples: 10,
        temperature: 0.9,
        caveats: [],
        entropies: [
          { name: "semantic_entropy", label: "Semantic entropy", value: 0.61, low: 0.33, high: 0.69, scale: 3, unit: "nats", definition: "Entropy over meanings." },
        ],
        clusters: [
          { id: 0, name: "no star", count: 7, probability: 0.7, answers: [{ text: "No star.", count: 5 }, { text: "No.", count: 2 }] },
          { id: 1, name: "a star", count: 3, probability: 0.3, answers: [{ text: "A star.", count: 3 }] },
        ],
      },
      attention: {
        segments: ["image", "context", "question", "other"],
        absolute: { image: 0.25, context: 0, question: 0.25, other: 0.5 },
        relative: { image: 0.5, context: 0, question: 0.5 },
        token_counts: { image: 64, context: 0, question: 6, other: 12 },
        modality_dominance_index: 3.2,
        by_layer: [{ image: 0.2, context: 0, question: 0.3, other: 0.5 }, { image: 0.3, context: 0, question: 0.2, other: 0.5 }],
      },
      ...view,
    },
  };
}

export class FakeModel {
  readonly sent: { content: Traits; buffers: ArrayBuffer[] }[] = [];
  readonly saved: Traits[] = [];
  private dirty: Traits = {};
  private listeners: [string, Listener][] = [];

  private readonly state: Traits = {};

  constructor(state: Traits = traits()) {
    this.kernel(state);
  }

  get = (name: string): unknown => this.state[name];
  set = (name: string, value: unknown): void => {
    this.state[name] = value;
    this.dirty[name] = value;
    this.emit(`change:${name}`);
  };
  save_changes = (): void => {
    this.saved.push(structuredClone(this.dirty));
    this.dirty = {};
  };
  send = (content: Traits, _callbacks: unknown, buffers: ArrayBuffer[] = []): void => {
    this.sent.push({ content, buffers });
  };
  on = (event: string, listener: Listener): void => {
    this.listeners.push([event, listener]);
  };
  off = (event: string, listener: Listener): void => {
    this.listeners = this.listeners.filter(([e, l]) => e !== event || l !== listener);
  };
  emit(event: string, ...args: unknown[]): void {
    for (const [name, listener] of [...this.listeners]) if (name === event) listener(...args);
  }
  count(): number {
    return this.listeners.length;
  }

  /** As the kernel does: a trait changes, or a message comes. */
  kernel({ trials, ...change }: Traits): void {
    if (Array.isArray(trials)) for (let at = 0; at < PLACES; at++) change[`_entry_${at}`] = trials[at] ?? null;
    Object.assign(this.state, change);
    for (const name of Object.keys(change)) this.emit(`change:${name}`);
  }
  message(content: unknown, buffers: DataView[] = []): void {
    this.emit("msg:custom", content, buffers);
  }
  /** The answer to what was asked last of a kind, or to the question with an id. */
  answer(kind: string, fields: Traits = {}, buffers: DataView[] = [], id = this.last(kind)?.id): void {
    this.message({ kind, ...fields, id }, buffers);
  }
  operations(): unknown {
    return (this.state.document as { operations: unknown }).operations;
  }
  last(kind: string): Traits | undefined {
    return this.sent.findLast(({ content }) => content.kind === kind)?.content;
  }
}

/** happy-dom has no layout and no canvas: a stage of 400 x 300 screen pixels shows the image of 800 x 600 at half size. */
export function browser(): void {
  vi.stubGlobal("createImageBitmap", () => Promise.resolve({ width: 400, height: 300, close: () => undefined }));
  vi.stubGlobal("requestAnimationFrame", (f: FrameRequestCallback) => setTimeout(() => f(0), 0));
  vi.stubGlobal("cancelAnimationFrame", (id: number) => clearTimeout(id));
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(400);
  // A window in which the stage gets 300 pixels: as much as a picture of 4 : 3 needs.
  vi.stubGlobal("innerHeight", 428);
  vi.spyOn(Element.prototype, "getBoundingClientRect").mockReturnValue({ left: 0, top: 0, width: 400, height: 300, right: 400, bottom: 300, x: 0, y: 0 } as DOMRect);
  const there: Record<string, unknown> = { canvas: {}, measureText: (text: string) => ({ width: 60 * text.length }), getImageData: () => ({ data: new Uint8ClampedArray(16) }), createImageData: (w: number, h: number) => ({ data: new Uint8ClampedArray(4 * w * h) }) };
  const context = new Proxy(there, {
    get: (target, name) => (name in target ? target[name as string] : () => undefined),
    set: () => true,
  });
  HTMLCanvasElement.prototype.getContext = (() => context) as unknown as HTMLCanvasElement["getContext"];
  Element.prototype.setPointerCapture = () => undefined;
  Element.prototype.scrollIntoView = () => undefined;
}

/** Lets renderings and what follows from them happen: a busy machine may fire the one timer before a chain of others has run. */
export async function settle(): Promise<void> {
  for (const ms of [20, 1, 1, 1, 1, 1]) await new Promise((done) => setTimeout(done, ms));
}

export interface Page {
  model: FakeModel;
  el: HTMLElement;
  end: () => void;
  find: (test: string) => HTMLElement;
  maybe: (test: string) => HTMLElement | null;
  click: (test: string) => Promise<void>;
  key: (key: string, options?: KeyboardEventInit, on?: string) => Promise<void>;
  drag: (from: [number, number], to: [number, number], options?: { shift?: boolean; release?: boolean; pointer?: string }) => Promise<void>;
  type: (test: string, text: string, how?: "blur" | "enter" | "none") => Promise<void>;
  text: (test: string) => string;
}

type Definition = ReturnType<typeof widget>;

/** After a test: the page goes, with all that was faked for it. */
export function leave(page: Page): void {
  page.end();
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
}

/** How a test finds what is in an element: `find` fails where it is missing. */
export function within(el: HTMLElement): { find: (test: string) => HTMLElement; maybe: (test: string) => HTMLElement | null } {
  const maybe = (test: string): HTMLElement | null => el.querySelector<HTMLElement>(`[data-testid="${test}"]`);
  const find = (test: string): HTMLElement => {
    const found = maybe(test);
    if (!found) throw new Error(`no ${test} on the page`);
    return found;
  };
  return { find, maybe };
}

/** One view; give the definition of another page to open a second view of the same model. */
export async function open(model = new FakeModel(), definition?: Definition): Promise<Page & { definition: Definition }> {
  const abort = new AbortController();
  const props = { model: model as unknown as AnyModel, signal: abort.signal, experimental: {} as never, host: {} as never };
  if (!definition) {
    definition = widget(() => Promise.resolve(editor));
    await definition.initialize(props);
  }
  const el = document.createElement("div");
  document.body.append(el);
  await definition.render({ ...props, el });
  await settle();
  const { find, maybe } = within(el);
  const pointer = (type: string, [x, y]: [number, number], shift: boolean, kind: string): void => {
    find("overlay").dispatchEvent(
      new PointerEvent(type, { clientX: x, clientY: y, button: 0, pointerId: 1, pointerType: kind, shiftKey: shift, bubbles: true, cancelable: true }),
    );
  };
  return {
    model,
    el,
    definition,
    end: () => abort.abort(),
    find,
    maybe,
    text: (test) => find(test).textContent,
    async click(test) {
      find(test).click();
      await settle();
    },
    async key(key, options = {}, on = "isi-probe") {
      find(on).dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, composed: true, ...options }));
      await settle();
    },
    async drag(from, to, { shift = false, release = true, pointer: kind = "mouse" } = {}) {
      pointer("pointerdown", from, shift, kind);
      pointer("pointermove", [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2], shift, kind);
      pointer("pointermove", to, shift, kind);
      if (release) pointer("pointerup", to, shift, kind);
      await settle();
    },
    async type(test, text, how = "blur") {
      const field = find(test) as HTMLInputElement;
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      if (how === "blur") field.dispatchEvent(new FocusEvent("blur"));
      if (how === "enter") field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
      if (field.type === "number" || field.type === "range") field.dispatchEvent(new Event("change", { bubbles: true }));
      await settle();
    },
  };
}
