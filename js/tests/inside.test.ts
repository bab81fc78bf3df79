// The panel "Inside": gates and cuts as interventions, one step each; the matrix by pointer and keys; the run beside the unmodified one.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { commit, EMPTY, isShort, news, patched, redo, undo } from "../src/document";
import { between, boxAt, boxBeside, gateOf, rankCorrelation, readInside, summary, withGate, writeInside, type Inside } from "../src/inside";
import type { Intervention } from "../src/protocol";
import { readDocument, writeDocument } from "../src/read";
import { readLens } from "../src/answers";
import { browser, FakeModel, leave, open, settle, traits, trial, type Page } from "./fake";

const scale = (layer: number, head: number, factor: number): Intervention => ({ kind: "head_scale", version: 1, layer, head, factor });
const mean = (layer: number, head: number): Intervention => ({ kind: "head_replace", version: 1, layer, head });
const cut = (keys: string, queries: string[], layers?: number[]): Intervention => ({ kind: "knockout", version: 1, queries, keys, ...(layers && { layers }) });
const OUTSIDE = ["context", "question", "template", "system", "history", "last", "answer"];

describe("interventions", () => {
  const list = [{ kind: "steer", version: 1 }, scale(0, 1, 0), mean(1, 0), cut("image", OUTSIDE, [1, 2]), cut("context", ["image", "question", ...OUTSIDE.slice(2)], [1, 2])];

  it("are read as gates, cuts and others, and written as they were", () => {
    const inside = readInside(list);
    expect([...inside.gates.keys()]).toEqual(["0,1", "1,0"]);
    expect(inside.cuts).toEqual({ groups: ["image", "context"], reader: "all", layers: [1, 2] });
    expect(inside.others).toEqual([{ kind: "steer", version: 1 }]);
    expect(writeInside(inside)).toEqual(list);
    expect(summary(inside)).toBe("2 heads changed, attention cut, 1 set in Python");
  });

  it("of other kinds are left alone: a cut of one head, of layers with a gap, a second gate of a head", () => {
    const odd = [cut("image", OUTSIDE, [0, 2]), { ...cut("image", ["last"]), heads: [1] }, scale(0, 0, 0), scale(0, 0, 0.5)];
    const inside = readInside(odd);
    expect(inside.others).toEqual([odd[0], odd[1], odd[3]]);
    expect(writeInside(inside)).toHaveLength(odd.length);
  });

  it("are equal lists for equal changes, whatever the order of the clicks", () => {
    const none = readInside([]);
    const one = withGate(withGate(none, [{ layer: 1, head: 2 }], 0.5), [{ layer: 0, head: 3 }], "mean");
    const other = withGate(withGate(none, [{ layer: 0, head: 3 }], "mean"), [{ layer: 1, head: 2 }], 0.5);
    expect(writeInside(one)).toEqual(writeInside(other));
    expect(gateOf(one, { layer: 1, head: 2 })).toBe(0.5);
    expect(gateOf(one, { layer: 0, head: 3 })).toBe("mean");
    expect(writeInside(withGate(one, between({ layer: 0, head: 0 }, { layer: 1, head: 3 }), 1))).toEqual([]);
  });

  const gates = (...factors: number[][]): Intervention => ({ kind: "head_gates", version: 1, factors });

  it("set for all heads at once in Python are gates like any other, and stay one intervention", () => {
    const inside = readInside([gates([0.5, 1], [1, 2]), mean(0, 1)]);
    expect([gateOf(inside, { layer: 0, head: 0 }), gateOf(inside, { layer: 0, head: 1 }), gateOf(inside, { layer: 1, head: 1 })]).toEqual([0.5, "mean", 2]);
    expect(summary(inside)).toBe("3 heads changed");
    expect(writeInside(inside)).toEqual([gates([0.5, 1], [1, 2]), mean(0, 1)]);
    const changed = withGate(inside, [{ layer: 0, head: 1 }, { layer: 1, head: 0 }], 0);
    expect(writeInside(changed)).toEqual([gates([0.5, 0], [0, 2])]);
    expect(writeInside(withGate(changed, [{ layer: 1, head: 1 }], "mean"))).toEqual([gates([0.5, 0], [0, 1]), mean(1, 1)]);
    expect(writeInside(withGate(changed, between({ layer: 0, head: 0 }, { layer: 1, head: 1 }), 1))).toEqual([]);
  });

  it("a second gate of a head that has a factor there is left alone, before or after it", () => {
    for (const list of [[gates([0.5, 1]), scale(0, 0, 2)], [scale(0, 0, 2), gates([0.5, 1])], [gates([0.5, 1]), gates([1, 2])]]) {
      const inside = readInside(list);
      expect(inside.others).toEqual([list[1]]);
      expect(new Set(writeInside(inside))).toEqual(new Set(list));
    }
  });

  it("keep their order in a layer in which a mean sees what was changed before it", () => {
    const list = [mean(0, 1), scale(0, 0, 0), scale(1, 1, 0), scale(1, 0, 0)];
    const inside = readInside(list);
    expect(inside.others).toEqual(list.slice(0, 2));
    expect(writeInside(inside)).toEqual([mean(0, 1), scale(0, 0, 0), scale(1, 0, 0), scale(1, 1, 0)]);
    expect(readInside([mean(0, 0), scale(0, 1, 0)]).others).toEqual([]);
    expect(readInside([mean(0, 0), gates([1, 2])]).others).toEqual([mean(0, 0)]);
  });

  it("cut in all layers name none", () => {
    const inside: Inside = { ...readInside([]), cuts: { groups: ["question"], reader: "answer", layers: null } };
    expect(writeInside(inside)).toEqual([cut("question", ["last", "answer"])]);
    expect(readInside(writeInside(inside))).toEqual(inside);
  });
});

describe("the rank correlation", () => {
  it("is 1, -1 and, with ties, Spearman's", () => {
    expect(rankCorrelation([1, 2, 3], [10, 20, 21])).toBeCloseTo(1);
    expect(rankCorrelation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1);
    // scipy.stats.spearmanr([1, 2, 2, 4, 5], [3, 1, 4, 4, 9]).statistic
    expect(rankCorrelation([1, 2, 2, 4, 5], [3, 1, 4, 4, 9])).toBeCloseTo(0.7631578947368421);
    expect(rankCorrelation([1, 1, 1], [1, 2, 3])).toBeNull();
  });
});

describe("the lens", () => {
  const boxes = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => [10 * column, 10 * row, 10 * column + 10, 10 * row + 10] as const));

  it("finds the patch at a point, the smallest of several", () => {
    expect(boxAt(boxes, [15, 25])).toBe(7);
    expect(boxAt([[0, 0, 30, 30], ...boxes], [15, 25])).toBe(8);
    expect(boxAt(boxes, [31, 5])).toBe(-1);
  });

  it("goes from patch to patch by arrow keys, and stays at the edge", () => {
    expect([[1, 0], [0, 1], [-1, 0], [0, -1]].map((step) => boxBeside(boxes, 4, step as [number, number]))).toEqual([5, 7, 3, 1]);
    expect(boxBeside(boxes, 2, [1, 0])).toBe(2);
  });
});

describe("the document", () => {
  const box = { op: "question", text: "a" } as const;

  it("undoes gates and drawings in one line of steps", () => {
    const one = commit(EMPTY, [], false, [scale(0, 0, 0)]);
    const two = commit(one, [box]);
    const three = commit(two, two.operations, false, []);
    expect(undo(three)).toMatchObject({ operations: [box], inside: [scale(0, 0, 0)] });
    expect(undo(undo(three))).toMatchObject({ operations: [], inside: [scale(0, 0, 0)] });
    expect(undo(undo(undo(three))).inside).toBeUndefined();
    expect(redo(redo(redo(undo(undo(undo(three))))))).toEqual(three);
    const merged = commit(one, [], true, [scale(0, 0, 0.5)]);
    expect(merged.past).toHaveLength(1);
    expect(undo(merged).inside).toBeUndefined();
  });

  it("travels with them, whole or what is new of it", () => {
    const before = commit(EMPTY, [], false, [scale(0, 0, 0)]);
    const after = commit(before, [box], false, [scale(0, 0, 0), mean(1, 1)]);
    expect(readDocument(JSON.parse(JSON.stringify(writeDocument(after))))).toEqual(readDocument(writeDocument(after)));
    const { kept, ...part } = news(before, after);
    expect(patched(before, part, kept)).toEqual(after);
    expect(isShort(commit(EMPTY, [], false, Array.from({ length: 300 }, (_, i) => scale(0, i, 0))))).toBe(true);
    const full = Array.from({ length: 500 }, (_, i) => scale(0, i, 0));
    expect(isShort(commit(commit(EMPTY, [], false, full), [], false, []))).toBe(false);
  });
});

describe("the panel", () => {
  const MODEL = { name: "embedded", note: "", device: "cpu", parameters: 1, quantization: null, label: "embedded", plain_label: "embedded", layers: 2, heads: 3, unavailable: {} };
  const HEADS = [[0.1, 0.2, 0.3], [0.6, 0.5, 0.4]];
  let page: Page;

  const first = (): Record<string, unknown> => {
    const made = trial() as { view: { attention: object } };
    const attention = { ...made.view.attention, by_head: HEADS, by_head_of: { question: HEADS } };
    return { ...made, stimulus: "s0", view: { ...made.view, attention } };
  };
  const inside = (): unknown => (page.model.get("document") as { inside?: unknown }).inside;
  const cell = (layer: number, head: number): HTMLElement => {
    const found = page.find("inside-matrix").querySelector<HTMLElement>(`[data-at="${layer},${head}"]`);
    if (!found) throw new Error("no such cell");
    return found;
  };
  const press = async (layer: number, head: number, init: PointerEventInit = {}): Promise<void> => {
    cell(layer, head).dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, button: 0, buttons: 1, ...init }));
    await settle();
  };
  const type = async (layer: number, head: number, key: string, init: KeyboardEventInit = {}): Promise<void> => {
    cell(layer, head).dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...init }));
    await settle();
  };

  beforeEach(async () => {
    browser();
    Element.prototype.releasePointerCapture = () => undefined;
    page = await open(new FakeModel(traits({ model: MODEL, trials: [first()], shown: 1, inputs: { context: "", question: "Is there a star?", truth: "Yes", image_preset: "natural", context_preset: "empty", key: "k0", stimulus: "s0" } })));
    await page.click("inside-toggle");
  });
  afterEach(() => leave(page));

  it("shows what was recorded, each cell with a name, the first layer and head in the corner", async () => {
    expect(cell(0, 0).getAttribute("aria-label")).toBe("L0H0, attention on image 0.10, gate × 1.00");
    expect(cell(1, 0).textContent).toBe("0.60");
    await page.click("inside-question");
    expect(cell(0, 1).getAttribute("aria-label")).toContain("attention on question 0.20");
    expect(page.find("inside-context").getAttribute("aria-disabled")).toBe("true");
  });

  it("does not lose a drag over heads when contributions arrive on the way, nor move the matrix", async () => {
    const view = { ...(first().view as object), attention: null };
    page.model.kernel({ trials: [{ ...first(), view }] }); // nothing is recorded: what is shown are the gates
    await settle();
    const row = (): (string | undefined)[] => Array.from(page.find("inside-matrix").parentElement?.previousElementSibling?.children ?? [], (child) => (child as HTMLElement).dataset.testid);
    const [before, kept] = [row(), cell(1, 2)];
    await press(0, 1);
    page.model.kernel({ trials: [{ ...first(), view, inside: { contribution: CONTRIBUTION } }] });
    await settle();
    expect(cell(1, 2)).toBe(kept); // the same element: a pointer that is pressed goes on
    kept.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, buttons: 1 }));
    await settle();
    expect(page.text("gate-heads").trim()).toBe("4 heads");
    expect(row()).toEqual(before);
  });

  it("keeps the room of the text below it while a cell is pointed at: a click on what stands below is not lost", async () => {
    const help = page.find("inside-cell").textContent;
    cell(1, 1).dispatchEvent(new FocusEvent("focusin", { bubbles: true }));
    await settle();
    expect(page.text("inside-cell")).toBe(`${help}L1H1, attention on image 0.50, gate × 1.00`);
    expect(page.find("inside-cell").querySelector("[aria-hidden=true]")?.className).toContain("isi-unseen");
  });

  it("presses the button of what is shown, also where the chosen one is not recorded", async () => {
    expect(page.find("inside-image").getAttribute("aria-pressed")).toBe("true");
    const view = { ...(first().view as object), attention: null };
    page.model.kernel({ trials: [{ ...first(), view }] });
    await settle();
    expect(page.find("inside-image").getAttribute("aria-pressed")).toBe("false");
    expect(page.find("inside-gates").getAttribute("aria-pressed")).toBe("true");
  });

  it("sets the gates of heads that are dragged over, in one step each, and takes them back", async () => {
    await press(0, 1);
    cell(1, 2).dispatchEvent(new PointerEvent("pointermove", { bubbles: true, buttons: 1 }));
    await settle();
    expect(page.text("gate-heads").trim()).toBe("4 heads");
    await page.type("gate-slider", "0");
    expect(inside()).toEqual([scale(0, 1, 0), scale(0, 2, 0), scale(1, 1, 0), scale(1, 2, 0)]);
    expect(page.text("inside-summary")).toBe("4 heads changed");
    await page.click("gate-mean");
    expect(inside()).toEqual([mean(0, 1), mean(0, 2), mean(1, 1), mean(1, 2)]);
    await page.click("inside-reset");
    expect(inside()).toBeUndefined();
    await page.key("z", { ctrlKey: true });
    expect(inside()).toHaveLength(4);
  });

  it("is undone from the slider and from the list of readers, too: neither has a text of its own", async () => {
    await press(0, 1);
    await page.type("gate-slider", "0");
    await page.key("z", { ctrlKey: true }, "gate-slider");
    expect(inside()).toBeUndefined();
    await page.key("z", { ctrlKey: true, shiftKey: true }, "gate-slider");
    expect(inside()).toEqual([scale(0, 1, 0)]);
    await page.key("z", { ctrlKey: true }, "cut-reader");
    expect(inside()).toBeUndefined();
    await page.key("y", { ctrlKey: true }, "cut-reader");
    expect(inside()).toEqual([scale(0, 1, 0)]);
    await page.key("z", {}, "gate-slider");
    expect(inside()).toEqual([scale(0, 1, 0)]);
  });

  it("works by keys alone: arrows choose, with Shift several; 0 1 2 M set the gate", async () => {
    await type(0, 0, "0");
    expect(inside()).toEqual([scale(0, 0, 0)]);
    await type(0, 0, "ArrowRight");
    await type(0, 1, "ArrowRight", { shiftKey: true });
    await type(0, 2, "m");
    expect(inside()).toEqual([scale(0, 0, 0), mean(0, 1), mean(0, 2)]);
    await type(0, 2, "1");
    expect(inside()).toEqual([scale(0, 0, 0)]);
  });

  it("takes these keys on other keyboards, and none that composes a text", async () => {
    await type(0, 0, "ь", { code: "KeyM" });
    expect(inside()).toEqual([mean(0, 0)]);
    await type(0, 0, "à", { code: "Digit0" });
    expect(inside()).toEqual([scale(0, 0, 0)]);
    await type(0, 0, "m", { isComposing: true });
    expect(inside()).toEqual([scale(0, 0, 0)]);
  });

  it("cuts attention to a part, in some layers, for the answer alone", async () => {
    await page.click("cut-image");
    expect(inside()).toEqual([cut("image", OUTSIDE)]);
    await page.type("cut-from", "1");
    expect(inside()).toEqual([cut("image", OUTSIDE, [1])]);
    const reader = page.find("cut-reader") as HTMLSelectElement;
    reader.value = "answer";
    reader.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(inside()).toEqual([cut("image", ["last", "answer"], [1])]);
    await page.click("cut-image");
    expect(inside()).toBeUndefined();
  });

  it("runs under the changes, and stands beside the unmodified trial", async () => {
    await press(1, 0);
    await page.type("gate-slider", "0");
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), key: "k1", edit: page.model.get("edit") } });
    await page.click("inside-run");
    const runs = page.model.sent.filter(({ content }) => content.kind === "run").map(({ content }) => content);
    expect(runs).toMatchObject([{ measures: ["answer", "uncertainty", "attention"] }]);
    expect(runs[0]).not.toHaveProperty("plain");
    const made = first() as { view: object };
    const changed = { ...made, id: 2, key: "k1", view: { ...made.view, model: "embedded, 1 head changed", interventions: "1 head changed", intervention_lines: ["L1H0 × 0"] } };
    page.model.kernel({ trials: [first(), changed], shown: 2 });
    await settle();
    expect(page.text("inside-beside")).toContain("unmodified, trial 1");
    expect(page.text("inside-beside")).toContain("1 head changed, trial 2");
    expect(page.text("trial-2")).toContain("1 head changed");
    expect(page.find("results").dataset.stale).toBe("false");
  });

  it("runs the unmodified one first where there is none", async () => {
    page.model.kernel({ trials: [], shown: -1 });
    await page.click("inside-gates");
    await press(1, 0);
    await page.type("gate-slider", "2");
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), edit: page.model.get("edit") } });
    await page.click("inside-run");
    const runs = page.model.sent.filter(({ content }) => content.kind === "run").map(({ content }) => content.plain);
    expect(runs).toEqual([true, undefined]);
  });

  it("says why nothing can be changed in a model behind a server", async () => {
    page.model.kernel({ model: { ...MODEL, layers: 0, heads: 0, unavailable: { interventions: "A server shows only text." } } });
    await settle();
    expect(page.text("inside-summary")).toContain("A server shows only text.");
    expect(page.text("gate-editor")).toContain("A server shows only text.");
    expect(page.find("inside-run").getAttribute("aria-disabled")).toBe("true");
    expect(page.maybe("cut-image")).toBeNull();
  });

  it("lists what Python has set, to be removed one by one", async () => {
    page.model.kernel({
      document: { version: 1, operations: [], past: [], future: [], inside: [{ kind: "steer", version: 1 }, scale(0, 0, 0)] },
      inputs: { ...(page.model.get("inputs") as object), inside: ["steered in layer 1", "L0H0 × 0"] },
    });
    await settle();
    expect(page.text("inside-others")).toContain("steered in layer 1");
    await page.click("inside-other-0");
    expect(inside()).toEqual([scale(0, 0, 0)]);
  });

  it("shows what is recorded without a kernel, and why nothing can be changed", async () => {
    leave(page);
    browser();
    const { widget } = await import("../src/widget");
    const alone = widget(() => Promise.resolve(null));
    const traced = { title: "Trace from trial 1 to trial 2", help: "Share.", rows: ["L0"], columns: ["image", "last"], values: [[1, null]], sentences: [["All of it.", "Not traced."]] };
    const model = new FakeModel(traits({ model: MODEL, trials: [first()], shown: 1, traced }));
    await alone.initialize({ model: model as never, signal: new AbortController().signal, experimental: {} as never });
    page = await open(model, alone);
    await page.click("inside-toggle");
    expect(cell(1, 0).getAttribute("aria-label")).toBe("L1H0, attention on image 0.60");
    expect(page.text("inside-off")).toContain("needs the kernel");
    await page.click("inside-question");
    expect(cell(0, 1).getAttribute("aria-label")).toContain("attention on question 0.20");
    await type(0, 0, "ArrowRight");
    expect(page.maybe("gate-editor")).toBeNull();
    await page.click("inside-trace");
    expect(page.find("inside-trace").getAttribute("aria-pressed")).toBe("true");
    expect(page.find("inside-question").getAttribute("aria-pressed")).toBe("false");
    expect(page.find("trace-matrix").querySelector("[role=gridcell]")?.getAttribute("aria-label")).toBe("All of it.");
  });

  const CONTRIBUTION = { values: [[0, 0.5, -0.25], [2, 0, 0]], unit: "nats", help: "What each head does." };

  it("measures the effect of heads at once in the embedded model, and shows it with both signs", async () => {
    expect(page.model.last("heads")).toMatchObject({ trial: 1 });
    page.model.kernel({ trials: [{ ...first(), inside: { contribution: CONTRIBUTION } }] });
    page.model.answer("done", {}, [], page.model.last("heads")?.id);
    await settle();
    await page.click("inside-contribution");
    expect(cell(0, 2).getAttribute("aria-label")).toBe("L0H2, contribution −0.25 nats, gate × 1.00");
    expect(cell(0, 2).dataset.hue).toBe("minus");
    expect(page.text("inside-legend")).toContain("+2.00 nats");
    expect(page.text("inside-correlation")).toContain("Attention is not importance.");
    expect(page.text("inside-correlation")).toContain("L1H0 has the most of both");
    expect(page.find("inside-scatter").querySelectorAll("circle")).toHaveLength(6);
  });

  it("shows small effects with more decimals", async () => {
    page.model.kernel({ trials: [{ ...first(), inside: { contribution: { ...CONTRIBUTION, values: [[0, 0.034, -0.002], [0.0305, 0, 0]] } } }] });
    await settle();
    await page.click("inside-contribution");
    expect(cell(0, 1).textContent).toBe("+0.034");
    expect(cell(0, 2).getAttribute("aria-label")).toContain("contribution −0.002 nats");
    expect(page.text("inside-legend")).toContain("+0.034 nats");
    expect(page.text("inside-correlation")).toContain("(+0.034)");
  });

  it("says that attention misleads where what is looked at is thrown away", async () => {
    // tests/planted_models.py, "decoys": every idle head looks at the picture, those that make the answer do not.
    const attention = [[0.01, 0.02, 0.03], [0, 0.5, 0.96], [0.2, 0, 0.8]];
    const values = [[0, 0, 0], [0.62, 0, 0], [0, 0.69, 0]];
    const { view, ...rest } = first() as { view: { attention: object } };
    page.model.kernel({ trials: [{ ...rest, view: { ...view, attention: { ...view.attention, by_head: attention } }, inside: { contribution: { ...CONTRIBUTION, values } } }] });
    await settle();
    const told = page.text("inside-correlation");
    // scipy.stats.spearmanr of both, flattened: -0.7219
    expect(told).toContain("Rank correlation of attention on the image with the size of the effect: −0.72, 9 heads.");
    expect(told).toContain("L1H2 looks at the image most (0.96) and changes the answer by 0.00; L2H1 changes it most (+0.69) and looks with 0.00.");
    expect(page.find("inside-scatter").querySelector("svg")?.getAttribute("aria-label")).toContain("−0.72");
  });

  it("of another model asks first, and can be asked again when it failed", async () => {
    page.model.kernel({ model: { ...MODEL, name: "org/seven", label: "org/seven", plain_label: "org/seven" }, trials: [{ ...first(), id: 3, view: { ...(first().view as object), model: "org/seven" } }], shown: 3 });
    await settle();
    const before = page.model.sent.filter(({ content }) => content.kind === "heads").length;
    await page.click("inside-measure");
    expect(page.model.sent.filter(({ content }) => content.kind === "heads")).toHaveLength(before + 1);
    expect(page.model.last("heads")).not.toHaveProperty("exact");
    expect(page.maybe("inside-measure")).toBeNull();
    page.model.answer("error", { message: "no", hint: "" }, [], page.model.last("heads")?.id);
    await settle();
    expect(page.maybe("inside-measure")).not.toBeNull();
  });

  it("of many heads is an estimate first, labelled, with its agreement; exact on request, with progress, time left and cancel", async () => {
    const large = { ...MODEL, name: "org/seven", label: "org/seven", plain_label: "org/seven", layers: 32, heads: 32 };
    const seven = { ...first(), id: 3, view: { ...(first().view as object), model: "org/seven" } };
    page.model.kernel({ model: large, trials: [seven], shown: 3 });
    await settle();
    expect(page.text("inside-measure")).toBe("Estimate the effect of each head");
    await page.click("inside-measure");
    const asked = page.model.last("heads");
    expect(page.text("working-heads")).toContain("waiting for its turn");
    const clock = vi.spyOn(performance, "now").mockReturnValue(1000);
    const status = { state: "running", id: asked?.id, measures: ["heads"], stage: "heads", note: "", done: 0, total: 40, queued: 0 };
    page.model.kernel({ status });
    await settle();
    clock.mockReturnValue(11_000);
    page.model.message({ kind: "progress", id: asked?.id, stage: "heads", done: 10, total: 40 });
    await settle();
    expect(page.text("working-heads")).toContain("10 of 40");
    expect(page.find("working-heads").querySelector("[data-testid=time-left]")?.textContent).toBe("≤ 30 s left");
    await page.click("cancel-heads");
    expect(page.model.last("cancel")).toMatchObject({ run: asked?.id });
    page.model.answer("dropped", {}, [], asked?.id);
    page.model.kernel({ status: { ...status, state: "idle", id: null, measures: [] } });
    await settle();
    expect(page.maybe("working-heads")).toBeNull();
    expect(page.maybe("inside-measure")).not.toBeNull();
    const estimate = "Estimated from 8 gradients: rank correlation 0.93.";
    page.model.kernel({ trials: [{ ...seven, inside: { contribution: { ...CONTRIBUTION, estimate } } }] });
    await settle();
    await page.click("inside-contribution");
    expect(page.find("inside-matrix").getAttribute("aria-label")).toBe("contribution, estimated, by layer, trial 3");
    expect(page.text("inside-legend")).toContain("nats, estimated");
    expect(page.text("inside-scatter")).toContain("estimated effect of each head");
    expect(page.text("inside-estimate")).toBe(estimate);
    await page.click("inside-exact");
    expect(page.model.last("heads")).toMatchObject({ trial: 3, exact: true });
    page.model.kernel({ trials: [{ ...seven, inside: { contribution: CONTRIBUTION } }] });
    await settle();
    expect(page.text("inside-legend")).not.toContain("estimated");
    expect(page.maybe("inside-estimate")).toBeNull();
    page.model.answer("done", {}, [], page.model.last("heads")?.id);
    await settle();
    expect(page.maybe("inside-exact")).toBeNull();
  });

  it("shows what a cancelled run has measured, and goes on from there", async () => {
    const { view, ...rest } = first() as { view: Record<string, Record<string, unknown>> };
    const attention = [[0.9, 0.5, 0.1], [0.2, 0.3, 0.4]];
    page.model.answer("dropped", {}, [], page.model.last("heads")?.id);
    const trial = { ...rest, view: { ...view, attention: { ...view.attention, by_head: attention } } };
    const measured = 4;
    page.model.kernel({ trials: [{ ...trial, inside: { contribution: { ...CONTRIBUTION, values: [[0, 0.5, -0.25], [2, null, null]], estimate: "Measured: 4 of 6 heads.", measured } } }] });
    await settle();
    await page.click("inside-contribution");
    expect(page.find("inside-matrix").getAttribute("aria-label")).toBe("contribution, partly measured, by layer, trial 1");
    expect(cell(1, 1).textContent).toBe("–");
    expect(cell(1, 1).getAttribute("aria-label")).toBe("L1H1, gate × 1.00");
    expect(page.text("inside-estimate")).toBe("Measured: 4 of 6 heads.");
    expect(page.text("inside-correlation")).toContain("4 heads");
    expect(page.text("inside-exact")).toContain("Measure 2 more heads");
    await page.click("inside-exact");
    expect(page.model.last("heads")).toMatchObject({ trial: 1, exact: true });
  });

  it("traces between two pinned trials, in either direction; each cell is a sentence", async () => {
    expect(page.find("trace").getAttribute("aria-disabled")).toBe("true");
    page.model.kernel({ trials: [first(), { ...first(), id: 2, stimulus: "s1" }], pinned: [1, 2] });
    await settle();
    await page.click("trace");
    expect(page.model.last("trace")).toMatchObject({ clean: 1, corrupt: 2 });
    page.model.kernel({ traced: { title: "Trace from trial 1 to trial 2", help: "Share.", rows: ["L0", "L1"], columns: ["image", "last"], values: [[1, 0], [0.5, null]], sentences: [["All of it.", "Nothing."], ["Half.", "Not traced."]] } });
    page.model.answer("done", {}, [], page.model.last("trace")?.id);
    await settle();
    const cells = page.find("trace-matrix").querySelectorAll("[role=gridcell]");
    expect(Array.from(cells, (one) => one.getAttribute("aria-label"))).toEqual(["All of it.", "Nothing.", "Half.", "Not traced."]);
    expect(Array.from(cells, (one) => one.textContent)).toEqual(["+1.00", "0.00", "+0.50", "–"]);
    await page.click("trace-turn");
    await page.click("trace");
    expect(page.model.last("trace")).toMatchObject({ clean: 2, corrupt: 1 });
  });

  it("looks through the lens: by pointer, and by keys from patch to patch", async () => {
    await page.click("lens");
    const lens = { boxes: [[0, 0, 400, 600], [400, 0, 800, 600]], vocabulary: [" star", "sun"], words: [[[0, 1]], [[1, 0]], [[0, 1]]], probabilities: [[[0.75, 0.2]], [[0.5, 0.3]], [[1, 0]]], unplaced: "" };
    expect(readLens(lens)).toEqual(lens);
    page.model.answer("lens", lens, [], page.model.last("lens")?.id);
    await settle();
    expect(page.text("lens-words")).toContain("star 0.75");
    page.find("lens-patch").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    await settle();
    expect(page.text("lens-words")).toContain("sun 0.50");
    expect(page.find("lens-patch").getAttribute("aria-label")).toContain("Layer 0: sun 0.50");
    // it stays on for the next trial
    page.model.kernel({ trials: [first(), { ...first(), id: 2 }], shown: 2 });
    await settle();
    expect(page.model.last("lens")).toMatchObject({ trial: 2 });
    page.model.answer("lens", lens, [], page.model.last("lens")?.id);
    await settle();
    expect(page.find("lens-patch")).toBeTruthy();
    expect(page.model.get("lens_on")).toBe(true);
    await page.click("lens");
    expect(page.maybe("lens-patch")).toBeNull();
    expect(page.model.get("lens_on")).toBe(false);
  });

  it("has the lens on after a reload, once the trial is of the input; what cannot be read turns it off", async () => {
    leave(page);
    const inputs = { context: "", question: "Is there a star?", truth: "Yes", image_preset: "natural", context_preset: "empty", stimulus: "s0" };
    page = await open(new FakeModel(traits({ model: MODEL, trials: [first()], shown: 1, lens_on: true, inputs: { ...inputs, key: "other" } })));
    expect(page.model.last("lens")).toBeUndefined();
    page.model.kernel({ inputs: { ...inputs, key: "k0" } });
    await settle();
    const asked = page.model.last("lens");
    expect(asked).toMatchObject({ trial: 1 });
    page.model.answer("dropped", {}, [], asked?.id);
    await settle();
    expect(page.model.get("lens_on")).toBe(false);
    expect(page.model.last("lens")).toBe(asked);
  });
});
