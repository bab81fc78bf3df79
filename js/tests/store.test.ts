// The store alone: what it believes about the kernel between an edit and its answer.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Drawing } from "../src/protocol";
import { Store, type Model } from "../src/state/store";
import { browser, FakeModel, preview, settle, traits, trial } from "./fake";

let model: FakeModel;
let store: Store;
let life: AbortController;
const box = (x: number): Drawing => ({ op: "box", x, y: 0, width: 9, height: 9, color: "#000000", fill: true, line_width: 3 });
const inputs = (key: string): Record<string, unknown> => ({ inputs: { ...(traits().inputs as object), key } });

beforeEach(async () => {
  browser();
  life = new AbortController();
  model = new FakeModel(traits({ trials: [trial(1, "k0")], shown: 1 }));
  store = new Store(model as unknown as Model, life.signal);
  await settle();
});
afterEach(() => {
  life.abort();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("the page's own drawing", () => {
  it("stays until as many pictures came back as edits went out", async () => {
    store.edit([box(1)]);
    store.edit([box(1), box(2)]);
    expect(store.unrendered.value).toBe(2);
    model.kernel({ preview: preview("k1") });
    await settle();
    expect(store.unrendered.value).toBe(1);
    model.kernel({ preview: preview("k2") });
    await settle();
    expect(store.unrendered.value).toBe(0);
  });

  it("or until no more came, when the kernel joined several edits into one picture", async () => {
    store.edit([box(1)]);
    store.edit([box(2)]);
    model.kernel({ preview: preview("k2") });
    await new Promise((done) => setTimeout(done, 600));
    expect(store.unrendered.value).toBe(0);
  });

  it("texts need no picture", () => {
    store.choose("question", { op: "question", text: "?" });
    expect(store.unrendered.value).toBe(0);
  });

  it("a document from the kernel comes with its own picture", () => {
    store.edit([box(1)]);
    model.kernel({ document: { version: 1, operations: [], past: [], future: [] } });
    expect(store.unrendered.value).toBe(0);
  });
});

describe("trials", () => {
  it("come one by one, into any place, and are shown by number", () => {
    const told: number[][] = [];
    const stop = store.trials.subscribe((trials) => told.push(trials.map(({ id }) => id)));
    model.kernel({ _entry_2: trial(2) });
    model.kernel({ _entry_0: trial(3) });
    model.kernel({ _entry_2: null });
    model.kernel({ _entry_7: { id: "x" } });
    stop();
    expect(told).toEqual([[1], [1, 2], [2, 3], [3]]);
  });

  it("that stay are not read again when one comes", () => {
    const [first] = store.trials.value;
    model.kernel({ _entry_1: trial(2) });
    expect(store.trials.value[0]).toBe(first);
  });

  it("are read whole where a saved page begins with them", () => {
    const again = new Store(new FakeModel(traits({ trials: [null, trial(9), trial(4)] })) as unknown as Model, life.signal);
    expect(again.trials.value.map(({ id }) => id)).toEqual([4, 9]);
  });
});

describe("the history", () => {
  const step = (at: number): unknown => ({ at: 0, remove: 1, insert: [box(at)] });
  const long = (gestures: number): unknown => ({ version: 1, operations: [box(0)], past: Array.from({ length: gestures }, (_, i) => step(i)), future: [] });
  /** The answer of the kernel to what the page has sent last, as the widget manager passes it on. */
  const confirm = (revision: number): void => {
    model.kernel({ document: { ...(model.get("document") as object), revision } });
  };
  const bytes = (): number => JSON.stringify(model.saved.at(-1)).length;

  it.each([100, 10_000])("of %d steps does not travel with a gesture", (gestures) => {
    model.kernel({ document: long(gestures), revision: 7 });
    store.edit([box(1)]);
    expect(bytes()).toBeLessThan(400);
    expect(model.get("document")).toMatchObject({ past: [{ at: 0 }], future: [], kept: [gestures === 10_000 ? 1 : 0, gestures, 0], base: 7 });
    confirm(8);
    store.undo();
    expect(bytes()).toBeLessThan(500);
    expect(model.get("document")).toMatchObject({ past: [], base: 8 });
    confirm(9);
    expect(store.document.value.operations).toEqual([box(0)]);
    expect(store.document.value.future).toHaveLength(1);
    store.undo();
    expect(store.document.value.operations).toEqual([box(gestures - 1)]);
    expect(model.last("history")).toBeUndefined();
  });

  it("is sent from what the kernel has confirmed, though more gestures followed", () => {
    model.kernel({ document: long(100), revision: 7 });
    store.edit([box(1)]);
    store.edit([box(2)]);
    store.edit([box(3)]);
    expect(model.get("document")).toMatchObject({ past: [{}, {}, {}], kept: [0, 100, 0], base: 7 });
    confirm(8);
    store.edit([box(4)]);
    expect(model.get("document")).toMatchObject({ past: [{}], kept: [0, 103, 0], base: 8 });
  });

  it("is confirmed without a change on the page", () => {
    model.kernel({ document: long(100), revision: 7 });
    store.edit([box(1)]);
    const shown = store.document.value;
    confirm(8);
    expect(store.document.value).toBe(shown);
    expect(store.unrendered.value).toBe(1);
  });

  it("takes what the kernel has added", () => {
    model.kernel({ document: long(100), revision: 7 });
    model.kernel({ document: { version: 1, operations: [box(5)], past: [step(0)], future: [], kept: [0, 100, 0], base: 7, revision: 8 } });
    expect(store.document.value.operations).toEqual([box(5)]);
    expect(store.document.value.past).toHaveLength(101);
    store.undo();
    expect(store.document.value.past).toHaveLength(100);
  });

  it("is asked for where a part of it was missed, also by a view that opens later", () => {
    model.kernel({ document: long(100), revision: 7 });
    model.kernel({ document: { version: 1, operations: [box(5)], past: [step(0)], future: [], kept: [0, 101, 0], base: 8, revision: 9 } });
    expect(model.sent.filter(({ content }) => content.kind === "history")).toHaveLength(1);
    model.kernel({ document: long(120), revision: 9 });
    expect(store.document.value.past).toHaveLength(120);
    store.edit([box(6)]);
    const late = new Store(model as unknown as Model, life.signal);
    expect(late.document.value.operations).toEqual([box(6)]);
    late.complete();
    late.complete();
    expect(model.sent.filter(({ content }) => content.kind === "history")).toHaveLength(2);
  });

  it("travels whole while it is short", () => {
    store.edit([box(1)]);
    store.edit([box(2)]);
    expect(model.get("document")).toEqual({ version: 1, operations: [box(2)], past: [{ at: 0, remove: 1, insert: [] }, { at: 0, remove: 1, insert: [box(1)] }], future: [] });
  });
});

describe("a result", () => {
  it("belongs to the input on screen only if the kernel says so of this very input", () => {
    expect(store.current.value).toBe(true);
    store.edit([box(1)]);
    expect(store.current.value).toBe(false);
    expect(store.truth.value).toBeNull();
    model.kernel(inputs("k1"));
    expect(store.current.value).toBe(false);
    expect(store.truth.value).toBe("Yes");
    store.undo();
    model.kernel(inputs("k0"));
    expect(store.current.value).toBe(true);
  });

  it("is not doubted when the kernel itself changes the document", () => {
    model.kernel({ document: { version: 1, operations: [box(1)], past: [{ at: 0, remove: 1, insert: [] }], future: [] } });
    expect(store.insync.value).toBe(true);
    model.kernel(inputs("k1"));
    expect(store.current.value).toBe(false);
  });
});

describe("a run", () => {
  it("does not overtake the edit before it, but does not wait for ever either", async () => {
    store.edit([box(1)]);
    store.run(["answer"]);
    expect(model.last("run")).toBeUndefined();
    await new Promise((done) => setTimeout(done, 700));
    expect(model.last("run")).toMatchObject({ measures: ["answer"] });
  });

  it("does not overtake an edit that was undone at once: the kernel may not have heard of either", async () => {
    const inputs = model.get("inputs") as object;
    store.edit([box(1)]);
    store.undo();
    expect(store.insync.value).toBe(false);
    store.run(["answer"]);
    await new Promise((done) => setTimeout(done, 50));
    expect(model.last("run")).toBeUndefined();
    model.kernel({ inputs: { ...inputs, key: "of the box", edit: 1 } });
    await new Promise((done) => setTimeout(done, 5));
    expect(model.last("run")).toBeUndefined();
    model.kernel({ inputs: { ...inputs, edit: 2 } });
    await new Promise((done) => setTimeout(done, 5));
    expect(model.last("run")).toMatchObject({ measures: ["answer"] });
    expect(store.insync.value).toBe(true);
  });

  it("is taken up when its status comes, or when it is queued behind another", () => {
    const id = store.run(["answer"]);
    model.kernel({ status: { state: "running", id, measures: ["answer"], stage: "", done: 0, total: 0, queued: 0 } });
    expect(store.asked.value).toBeNull();
    store.run(["attention"]);
    model.kernel({ status: { state: "running", id, measures: ["answer"], stage: "answer", done: 1, total: 9, queued: 1 } });
    expect(store.asked.value).toBeNull();
    expect(store.running.value).toBe(true);
  });

  it("that a dead kernel left running can be given up", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    model.kernel({ status: { state: "running", id: "old", measures: ["answer"], stage: "answer", done: 1, total: 9, queued: 0 } });
    store.cancel();
    vi.advanceTimersByTime(20_000);
    expect(store.running.value).toBe(false);
    expect(store.notice.value?.message).toContain("does not answer");
  });
});

describe("errors", () => {
  it("that trait and message both tell are told once, and go when the kernel clears them", () => {
    const failure = { message: "It failed.", hint: "", id: "r" };
    model.kernel({ error: failure });
    model.message({ kind: "error", ...failure });
    expect(store.failure.value?.message).toBe("It failed.");
    model.kernel({ error: null });
    expect(store.failure.value).toBeNull();
    expect(store.notice.value).toBeNull();
  });

  it("of a setting go when another one is set; those of a run stay", () => {
    for (const [id, left] of [[null, undefined], ["r", "It failed."]] as const) {
      model.kernel({ error: { message: "It failed.", hint: "", id } });
      store.configure({ samples: 5 });
      expect(store.failure.value?.message).toBe(left);
    }
  });

  it("junk from the kernel changes nothing", () => {
    for (const junk of [null, 5, "x", { kind: "nope" }, { kind: "result" }]) model.message(junk);
    expect(store.notice.value).toBeNull();
  });
});
