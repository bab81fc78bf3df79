// Results in depth and the history: tokens, curve, heads, averages; restore, note, delete, pin, compare, export.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { largest } from "../src/charts/heads";
import { words } from "../src/panels/compare";
import type { Operation } from "../src/protocol";
import { browser, FakeModel, leave, open, settle, traits, trial, type Traits } from "./fake";

let page: Awaited<ReturnType<typeof open>>;
beforeEach(browser);
afterEach(() => leave(page));

const told = (text: string, p: number, ...others: [string, number][]): unknown => ({
  text,
  logprob: Math.log(p),
  alternatives: others.map(([other, q]) => ({ text: other, logprob: Math.log(q) })),
});
const ANSWER = {
  text: "No star.",
  correct: false,
  mark: "wrong",
  judged: "wrong",
  finished: true,
  tokens: [told("No", 0.6, ["Yes", 0.39], ["", 0.001]), told(" star", 0.9, [" sun", 0.05]), told(".", 1)],
  yes_no: null,
};
const base = (trial() as { view: Traits }).view;
const uncertainty = (over: Traits = {}): Traits => ({ ...(base.uncertainty as Traits), ...over });
const attention = (over: Traits = {}): Traits => ({ ...(base.attention as Traits), ...over });
const HEADS = { by_head: [[0.1, 0.2], [0.05, 0.7]], by_token: [{ image: 0.1, context: 0, question: 0.3, other: 0.6 }, { image: 0.6, context: 0, question: 0.2, other: 0.2 }, { image: 0.05, context: 0, question: 0.25, other: 0.7 }] };
const CURVE = { label: "Semantic entropy", unit: "nats", samples: [1, 2, 3], mean: [0, 0.4, 0.6], low: [0, 0, 0.6], high: [0, 0.7, 0.6], scale: 3, definition: "As of fewer." };

async function show(...trials: unknown[]): Promise<void> {
  const list = trials.length > 0 ? trials : [trial(1, "k0", { answer: ANSWER, attention: attention(HEADS) })];
  page = await open(new FakeModel(traits({ trials: list, shown: (list.at(-1) as { id: number }).id, notes: {} })));
}

describe("tokens of the answer", () => {
  it("read as the answer, each on a bar as long as it is probable", async () => {
    await show();
    expect(page.text("answer")).toBe("No star.");
    expect(page.find("token-1").style.getPropertyValue("--isi-p")).toBe("90%");
    expect(page.find("token-0").getAttribute("aria-label")).toBe("No, probability 0.60; others: Yes 0.39, end of the answer 0.001");
  });

  it("tell the alternatives on focus and on hover, the likeliest first", async () => {
    await show();
    expect(page.maybe("token-told")).toBeNull();
    page.find("token-0").focus();
    await settle();
    const rows = [...page.find("token-told").children].map((row) => row.textContent);
    expect(rows).toEqual(["No0.60", "Yes0.39", "(end)0.001"]);
    page.find("isi-probe").focus();
    await settle();
    expect(page.maybe("token-told")).toBeNull();
    page.find("token-1").dispatchEvent(new PointerEvent("pointerenter"));
    await settle();
    expect(page.text("token-told")).toContain("sun0.05");
  });

  it("are one stop of the Tab key, and arrows go from one to the next", async () => {
    await show();
    expect([0, 1, 2].map((i) => page.find(`token-${i}`).tabIndex)).toEqual([0, -1, -1]);
    page.find("token-0").focus();
    await page.key("ArrowRight", {}, "token-0");
    expect(document.activeElement).toBe(page.find("token-1"));
    expect(page.find("token-1").tabIndex).toBe(0);
    await page.key("End", {}, "token-1");
    expect(document.activeElement).toBe(page.find("token-2"));
    expect(page.model.saved).toHaveLength(0);
  });

  it("are chosen by a press: the attention is then that token's, until it is let go or another trial is shown", async () => {
    await show(trial(1), trial(2, "k0", { answer: ANSWER, attention: attention(HEADS) }));
    await page.click("token-1");
    expect(page.find("token-1").getAttribute("aria-pressed")).toBe("true");
    expect(page.text("attention-image")).toContain("0.60");
    await page.click("attention-relative");
    expect(page.text("attention-image")).toContain("0.75");
    await page.click("attention-absolute");
    await page.click("attention-token");
    expect(page.text("attention-image")).toContain("0.25");
    await page.click("token-1");
    await page.click("trial-1");
    await page.click("trial-2");
    expect(page.find("token-1").getAttribute("aria-pressed")).toBe("false");
  });

  it("that are not the text, or have no probability, leave the answer as it is", async () => {
    await show(trial(1, "k0", { answer: { ...ANSWER, tokens: [told("No", 0.5)] } }));
    expect(page.text("answer")).toBe("No star.");
    expect(page.maybe("token-0")).toBeNull();
    page.model.kernel({ trials: [trial(2, "k0", { answer: { ...ANSWER, tokens: [{ text: "No star.", logprob: null }] } })], shown: 2 });
    await settle();
    expect(page.text("answer")).toBe("No star.");
    expect(page.maybe("token-0")).toBeNull();
  });

  it("keep white space and parts of characters", async () => {
    const tokens = [told("One", 0.9), told("\n", 0.8), told("", 0.5), told("ü", 0.5), told(" x", 0.5)];
    await show(trial(1, "k0", { answer: { ...ANSWER, text: "One\nü x", tokens } }));
    expect(page.text("answer")).toBe("One\nü x");
    expect(page.maybe("token-2")).toBeNull();
  });
});

describe("charts", () => {
  it("show the entropy by number of samples with its band", async () => {
    await show(trial(1, "k0", { uncertainty: uncertainty({ curve: CURVE }) }));
    const figure = page.find("curve");
    expect(figure.querySelector("svg")?.getAttribute("aria-label")).toBe("Semantic entropy by number of samples: 0.00 of 1, 0.60 nats of 3");
    const numbers = (name: string): number[] => [...(figure.querySelector(name)?.getAttribute("d") ?? "").matchAll(/-?\d+(\.\d+)?/g)].map(([x]) => Number(x));
    const expected = [0, 0, 50, 0.4, 100, 0.6].map((x, i) => (i % 2 ? 100 - (100 * x) / 3 : x));
    numbers(".isi-line").forEach((x, i) => expect(x).toBeCloseTo(expected[i] ?? NaN, 6));
    expect(numbers(".isi-line")).toHaveLength(6);
    expect(numbers(".isi-band")).toHaveLength(12);
    expect(page.text("curve-tip")).toContain("As of fewer.");
  });

  it("leave a curve out that is none", async () => {
    await show(trial(1, "k0", { uncertainty: uncertainty({ curve: { ...CURVE, low: [0] } }) }));
    expect(page.maybe("curve")).toBeNull();
    expect(page.find("entropy-semantic_entropy")).toBeTruthy();
  });

  it("count layers from 0, as Python does, in the chart and under the pointer", async () => {
    await show();
    expect(page.text("attention-layers")).toBe("layer 01");
    page.find("attention-layers").previousElementSibling?.dispatchEvent(new PointerEvent("pointermove", { clientX: 100, clientY: 10, bubbles: true }));
    await settle();
    expect(page.text("attention-layers")).toMatch(/^layer 0: image 0\.20/);
  });

  it("show the share of the image by layer and head, and tell the largest and the one under the pointer", async () => {
    await show();
    const figure = page.find("attention-heads");
    expect(figure.textContent).toContain("most in layer 1, head 1: 0.70");
    // Every cell is drawn once, whatever its shade: a path is a "M" for each of its cells.
    const shade = [...figure.querySelectorAll("path")];
    const cells = shade.flatMap((path) => path.getAttribute("d")?.match(/M/g) ?? []);
    expect(cells).toHaveLength(4);
    // The shade is the share itself, so that it is the same in every trial: 0.7 is 8 of 12 steps.
    expect(shade.map((path) => Number(path.getAttribute("fill-opacity"))).at(-1)).toBeCloseTo(0.06 + (0.94 * 8) / 12, 6);
    expect(page.text("attention-heads")).toMatch(/0\s+1/);
    figure.querySelector("svg")?.dispatchEvent(new PointerEvent("pointermove", { clientX: 300, clientY: 100, bubbles: true }));
    await settle();
    expect(figure.textContent).toContain("layer 1, head 0: 0.05");
    // The same by key.
    const chart = figure.querySelector("svg") as SVGSVGElement;
    for (const key of ["ArrowDown", "ArrowDown", "ArrowLeft"]) {
      chart.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
      await settle();
    }
    expect(figure.textContent).toContain("layer 0, head 1: 0.20");
    await show(trial(1, "k0", { answer: ANSWER, attention: attention({ ...HEADS, by_head: [[0, 0], [0, 0]] }) }));
    expect(page.text("attention-heads")).toContain("none in any head");
    expect(largest([[0.1], [0.3, 0.2]])).toEqual({ layer: 1, head: 0 });
  });
});

describe("averages", () => {
  const averages = {
    semantic_entropy: { mean: 0.23, percentile: 83.4 },
    rao_quadratic_entropy: null,
    clusters: { mean: 1.4, percentile: 70 },
    attention_absolute: { image: 0.4, context: 0, question: 0.3, other: 0.3 },
    attention_relative: null,
    note: "Averages of 200 scenes.",
  };

  it("are a tick on the bar, and words in the tip", async () => {
    await show(trial(1, "k0", { averages }));
    const row = page.find("entropy-semantic_entropy");
    expect(Number.parseFloat(row.querySelector(".isi-usual")?.getAttribute("x1") ?? "")).toBeCloseTo((100 * 0.23) / 3, 6);
    // Said on the tick itself, which stands where the line is.
    const tick = page.find("entropy-semantic_entropy-tick");
    expect(Number.parseFloat(tick.style.left)).toBeCloseTo((100 * 0.23) / 3, 6);
    expect(tick.tabIndex).toBe(0);
    expect(tick.textContent).toContain("Average 0.23");
    expect(tick.textContent).toContain("more uncertain than 83 % of the observations, equal ones counted half. Averages of 200 scenes.");
    expect(row.querySelector("svg")?.getAttribute("aria-label")).toBe("Semantic entropy: 0.61, on average 0.23");
    expect(page.text("clusters-tip")).toContain("1.4 on average; this is more than in 70 %");
    expect(page.find("attention-image").querySelector(".isi-usual")?.getAttribute("x1")).toBe("40%");
    await page.click("attention-relative");
    expect(page.find("attention-image").querySelector(".isi-usual")).toBeNull();
  });

  it("are not claimed where there are none", async () => {
    await show(trial(1, "k0", { averages: "broken" }));
    expect(page.el.querySelector(".isi-usual")).toBeNull();
    expect(page.maybe("clusters-tip")).toBeNull();
  });
});

describe("scales", () => {
  const at = (value: number, high: number, samples: number): unknown =>
    uncertainty({
      samples,
      scale_note: "Bars end at 3 nats.",
      entropies: [{ name: "semantic_entropy", label: "Semantic entropy", value, low: 0, high, maximum: Math.log(samples), scale: 3, unit: "nats", definition: "Over meanings." }],
    });
  const width = (root: ParentNode): number => Number.parseFloat(root.querySelector(".isi-value")?.getAttribute("width") ?? "");

  it("give the same number the same length, on the panel and side by side, whatever the samples and the others", async () => {
    const trials = [trial(1, "k1", { uncertainty: at(0.6, 0.9, 4) }), trial(2, "k2", { uncertainty: at(0.6, 2.4, 50) }), trial(3, "k0", { uncertainty: at(0.3, 0.4, 10) })];
    page = await open(new FakeModel(traits({ trials, shown: 3, notes: {}, pinned: [1, 2, 3] })));
    const lengths: number[] = [];
    for (const id of [1, 2, 3]) {
      await page.click(`trial-${id}`);
      lengths.push(width(page.find("entropy-semantic_entropy")));
    }
    expect(lengths).toEqual([20, 20, 10].map((x) => expect.closeTo(x, 6) as number));
    expect(page.text("uncertainty-panel")).toContain("Bars end at 3 nats.");
    await page.click("compare");
    const row = [...page.find("compare-panel").querySelectorAll("tbody tr")].find((line) => line.textContent.startsWith("Semantic entropy"));
    expect([...(row?.querySelectorAll("td") ?? [])].map(width)).toEqual(lengths);
  });

  it("say with an arrow where a bar goes on beyond its end", async () => {
    await show(trial(1, "k0", { uncertainty: at(0.6, 2.9, 50) }));
    expect(page.find("entropy-semantic_entropy").querySelector(".isi-beyond")).toBeNull();
    await show(trial(1, "k0", { uncertainty: at(3.4, 3.8, 50) }));
    expect(page.find("entropy-semantic_entropy").querySelector(".isi-beyond")).not.toBeNull();
  });
});

describe("the judgement of a picture that was drawn on", () => {
  it("is of the original picture's truth, in a word and in full", async () => {
    await show(trial(1, "k0", { answer: { ...ANSWER, mark: "differs", judged: "differs from the truth of the original picture" }, truth: "Yes" }));
    expect(page.text("answer-panel")).toContain("differs");
    expect(page.find("mark").title).toBe("differs from the truth of the original picture");
    expect(page.text("answer-truth")).toBe("Differs from the truth of the original picture: Yes");
    for (const mark of page.el.querySelectorAll(".isi-mark")) expect(mark.className).toBe("isi-mark isi-differs"); // in no colour
    expect(page.text("trial-1")).toContain("differs");
    expect(page.text("answer-panel")).not.toContain("wrong");
  });

  it("is in full where trials stand side by side", async () => {
    const edited = { answer: { ...ANSWER, mark: "agrees", correct: true, judged: "agrees with the truth of the original picture" }, truth: "No" };
    await show(trial(1, "k0", { answer: ANSWER }), trial(2, "k1", edited));
    await page.click("trial-1-pin");
    await page.click("trial-2-pin");
    await page.click("compare");
    const marks = [...page.find("compare-panel").querySelectorAll(".isi-mark")].map((mark) => mark.textContent);
    expect(marks).toEqual(["wrong", "agrees with the truth of the original picture"]);
  });

  it("says whose truth it is where the answer is not judged", async () => {
    const unjudged = { ...ANSWER, correct: null, mark: "", judged: "" };
    await show(trial(1, "k0", { answer: unjudged, truth: "1", truth_holds: null }));
    expect(page.text("answer-truth")).toBe("Truth of the original picture: 1");
    await show(trial(1, "k0", { answer: unjudged, truth: "1" }));
    expect(page.text("answer-truth")).toBe("Truth: 1");
  });
});

describe("trials", () => {
  beforeEach(() => show(trial(1, "k1", { answer: ANSWER, context: "A sun." }), trial(2, "k0"), trial(5, "k5", { operations: [] })));

  it("are restored by a message; what is there already says so", async () => {
    await page.click("trial-restore");
    expect(page.model.last("restore")).toMatchObject({ kind: "restore", trial: 5 });
    await page.click("trial-2");
    expect(page.find("trial-restore").title).toContain("it is the current input");
    page.model.sent.length = 0;
    await page.click("trial-restore");
    expect(page.model.last("restore")).toBeUndefined();
  });

  it("are deleted by a second press; leaving the button takes the first one back", async () => {
    await page.click("trial-delete");
    expect(page.text("trial-delete")).toBe("Really delete?");
    page.find("trial-delete").dispatchEvent(new FocusEvent("focusout", { bubbles: true }));
    await settle();
    expect(page.text("trial-delete")).toBe("Delete");
    await page.click("trial-delete");
    expect(page.model.last("delete")).toBeUndefined();
    await page.click("trial-delete");
    expect(page.model.last("delete")).toMatchObject({ kind: "delete", trial: 5 });
    await page.click("trial-delete");
    await page.click("trial-1");
    expect(page.text("trial-delete")).toBe("Delete");
  });

  it("have notes, sent once and shown at once", async () => {
    await page.type("trial-note", "  covers the star ");
    expect(page.model.last("note")).toMatchObject({ kind: "note", trial: 5, text: "covers the star" });
    expect(page.text("trial-5")).toContain("covers the star");
    page.model.sent.length = 0;
    await page.type("trial-note", "covers the star");
    expect(page.model.last("note")).toBeUndefined();
    page.model.kernel({ notes: { 5: "from Python" } });
    await settle();
    expect((page.find("trial-note") as HTMLInputElement).value).toBe("from Python");
  });

  it("give their own Python, as the kernel says it", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    Object.defineProperty(navigator, "clipboard", { configurable: true, value: { writeText } });
    await page.click("trial-copy");
    const asked = page.model.last("code");
    expect(asked?.trial).toBe(page.model.get("shown"));
    page.model.message({ kind: "code", id: asked?.id, text: "trial" });
    await settle();
    expect(writeText).toHaveBeenCalledWith("trial");
    expect((page.find("code") as HTMLTextAreaElement).value).toBe("trial");
  });

  it("are copied as conditions of a study: those that are pinned, else all", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    Object.defineProperty(navigator, "clipboard", { configurable: true, value: { writeText } });
    const label = (): string | null => page.find("as-conditions").getAttribute("title");
    page.model.kernel({ pinned: [] });
    await settle();
    expect(label()).toContain("the inputs of all trials conditions");
    page.model.kernel({ pinned: [5] });
    await settle();
    expect(label()).toContain("the inputs of trial 5 conditions");
    await page.click("as-conditions");
    page.model.answer("conditions", { text: "conditions = []" });
    await settle();
    expect(writeText).toHaveBeenCalledWith("conditions = []");
    expect((page.find("code") as HTMLTextAreaElement).value).toBe("conditions = []");
    page.model.kernel({ pinned: [] });
  });

  it("are exported: those that are pinned, else the shown one; the file is saved by the view that asked", async () => {
    const saved: string[] = [];
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      saved.push(`${this.download} ${this.href.slice(0, 5)}`);
    });
    const second = await open(page.model, page.definition);
    await page.click("export");
    expect(page.text("export-panel")).toContain("Trial 5");
    await page.click("export-csv");
    expect(page.model.last("export")).toMatchObject({ trials: [5], format: "csv" });
    await page.click("trial-2-pin");
    await page.click("trial-1-pin");
    await page.click("export");
    await page.click("export-pdf");
    const asked = page.model.last("export");
    expect(asked).toMatchObject({ trials: [1, 2], format: "pdf" });
    const file = { kind: "export", id: asked?.id, name: "trials-1-2.pdf", type: "application/pdf" };
    page.model.emit("msg:custom", { ...file, id: "another" }, [new DataView(new ArrayBuffer(2))]);
    await settle();
    expect(saved).toEqual([]);
    page.model.emit("msg:custom", file, [new DataView(new ArrayBuffer(2))]);
    await settle();
    expect(saved).toEqual(["trials-1-2.pdf blob:"]);
    await page.click("export");
    await page.click("export-html");
    expect(page.model.last("export")).toMatchObject({ trials: [1, 2], format: "html" });
    await page.click("export");
    expect(page.text("export-panel")).toContain("The whole session: 3 trials");
    await page.click("export-all-html");
    expect(page.model.last("export")).toMatchObject({ trials: [1, 2, 5], format: "html" });
    second.end();
  });

  it("that are pinned are compared, with what differs marked", async () => {
    expect(page.find("compare").title).toContain("pin two trials");
    for (const id of [5, 1]) await page.click(`trial-${id}-pin`);
    expect(page.find("trial-1-pin").getAttribute("aria-pressed")).toBe("true");
    page.model.kernel({ notes: { 1: "the sunny one" } });
    await page.click("compare");
    const table = page.find("compare-panel");
    expect([...table.querySelectorAll("thead th")].map((th) => th.textContent)).toEqual(["Trial 1", "Trial 5"]);
    const row = (name: string): HTMLTableRowElement => [...table.querySelectorAll("tr")].find((tr) => tr.querySelector("th[scope=row]")?.textContent === name) as HTMLTableRowElement;
    expect(row("context").textContent).toBe("contextA sun.empty (differs)");
    expect([...row("context").querySelectorAll("td")].map((td) => td.dataset.differs)).toEqual(["false", "true"]);
    expect(row("question").querySelector("mark")).toBeNull();
    expect(row("note").textContent).toBe("notethe sunny one");
    expect(row("drawn on it").textContent).toContain("Box  1, 2  3 × 4");
    expect(row("Semantic entropy, nats").textContent).toContain("0.61 [0.33, 0.69]");
    await page.click("compare-only");
    expect(row("question")).toBeUndefined();
    expect(row("context")).toBeDefined();
    await page.click("compare-5-unpin");
    expect(page.maybe("compare-5")).toBeNull();
    await page.click("compare-close");
    expect(page.maybe("compare-panel")).toBeNull();
  });

  it("are pinned for every view, and in the kernel", async () => {
    await page.click("trial-5-pin");
    await page.click("trial-1-pin");
    expect(page.model.get("pinned")).toEqual([1, 5]);
    page.model.kernel({ pinned: [5] });
    await settle();
    expect(page.find("trial-1-pin").getAttribute("aria-pressed")).toBe("false");
    expect(page.find("trial-5-pin").getAttribute("aria-pressed")).toBe("true");
  });

  it("have notes of several lines; Escape takes back what was typed", async () => {
    page.model.kernel({ notes: { 5: "one\ntwo" } });
    await settle();
    const field = page.find("trial-note") as HTMLTextAreaElement;
    expect(field.value).toBe("one\ntwo");
    field.value = "wrong";
    await page.key("Escape", {}, "trial-note");
    expect(field.value).toBe("one\ntwo");
    field.value = "one\ntwo\nthree";
    await page.key("Enter", {}, "trial-note");
    expect(page.model.last("note")).toMatchObject({ kind: "note", trial: 5, text: "one\ntwo\nthree" });
  });

  it("that go lose their pins", async () => {
    for (const id of [1, 2, 5]) await page.click(`trial-${id}-pin`);
    page.model.kernel({ trials: [trial(1), trial(5)], shown: 5 });
    await settle();
    expect(page.text("compare")).toBe("Compare 2");
  });
});

describe("comparing", () => {
  const compared = async (first: Traits, second: Traits): Promise<Record<string, string[]>> => {
    await show(trial(1, "a", first), trial(2, "b", second));
    await page.click("trial-1-pin");
    await page.click("trial-2-pin");
    await page.click("compare");
    const marked: Record<string, string[]> = {};
    for (const tr of page.find("compare-panel").querySelectorAll("tbody tr")) {
      marked[tr.querySelector("th")?.textContent ?? ""] = [...tr.querySelectorAll("mark")].map((mark) => mark.textContent.replace(" (differs)", ""));
    }
    return marked;
  };
  const entropy = (value: number, low: number, high: number): Traits => uncertainty({ entropies: [{ name: "e", label: "E", value, low, high, maximum: 2.3, unit: "", definition: "" }] });

  it("marks an entropy only where the intervals do not meet", async () => {
    expect((await compared({ uncertainty: entropy(0.2, 0.1, 0.3) }, { uncertainty: entropy(0.5, 0.31, 0.8) })).E).toEqual(["0.50"]);
    page.end();
    expect((await compared({ uncertainty: entropy(0.2, 0.1, 0.3) }, { uncertainty: entropy(0.5, 0.3, 0.8) })).E).toEqual([]);
  });

  it("marks a share that is 0.05 away, and no smaller one", async () => {
    const marked = await compared({ attention: attention({ relative: { image: 0.5, context: 0.1, question: 0.4 } }) }, { attention: attention({ relative: { image: 0.54, context: 0, question: 0.46 } }) });
    expect(marked["attention on the inputs"]).toEqual(["context 0.00", "question 0.46"]);
  });

  it("marks a probability of yes or no that is 0.05 away", async () => {
    const answer = (yes: number): Traits => ({ answer: { ...ANSWER, yes_no: { yes, no: 0.9 - yes, rest: 0.1 } } });
    expect((await compared(answer(0.2), answer(0.24)))["p(yes), p(no)"]).toEqual([]);
    page.end();
    expect((await compared(answer(0.2), answer(0.26)))["p(yes), p(no)"]).toEqual(["0.26, 0.64"]);
  });

  it("shows settings only where they differ", async () => {
    const marked = await compared({ settings: { samples: 10, seed: 1 } }, { settings: { samples: 10, seed: 2 } });
    expect(marked.seed).toEqual(["2"]);
    expect(marked).not.toHaveProperty("samples");
  });

  it("says drawings in words", () => {
    const say = (op: unknown): string => words(op as Operation);
    expect(say({ op: "box", x: 1, y: 2, width: 3.25, height: 4, color: "#000000", fill: true, line_width: 3 })).toBe("Box  1, 2  3.25 × 4  #000000");
    expect(say({ op: "arrow", start: [1, 2], end: [3, 4], color: "#ff0000", width: 5 })).toBe("Arrow  1, 2 → 3, 4  #ff0000  width 5");
    expect(say({ op: "noise", sigma: 0.2, seed: 1, region: null })).toBe("Noise  sigma 0.2  seed 1  region all");
    expect(say({ op: "noise", sigma: 0.2, seed: 1, region: [[0, 0], [1, 1], [0, 1]] })).toContain("region 3 corners");
    expect(say({ op: "foreign", name: "swirl", raw: {} })).toBe("swirl");
  });
});

describe("without a kernel", () => {
  it("results, notes and the Python of a trial are there; what needs a kernel is not", async () => {
    const { widget } = await import("../src/widget");
    const model = new FakeModel(traits({ trials: [trial(1, "k0", { answer: ANSWER, attention: attention(HEADS) })], shown: 1, notes: { 1: "kept" } }));
    const definition = widget(() => Promise.resolve(null));
    page = await open(model, definition);
    expect(page.text("trial-noted")).toBe("kept");
    await page.click("token-1");
    expect(page.text("attention-image")).toContain("0.60");
    await page.click("trial-copy");
    expect((page.find("code") as HTMLTextAreaElement).value).toBe("isi.run_trial(vlm, s)");
    for (const test of ["trial-restore", "trial-delete", "trial-1-pin", "compare", "export"]) expect(page.maybe(test)).toBeNull();
    expect(model.sent).toHaveLength(0);
  });

  it("saved during a run, it shows the last result: nothing runs any more", async () => {
    const { widget } = await import("../src/widget");
    const status = { state: "running", id: "r", measures: ["answer"], stage: "answer", note: "", done: 1, total: 4, queued: 0 };
    page = await open(new FakeModel(traits({ trials: [trial(1)], shown: 1, status })), widget(() => Promise.resolve(null)));
    expect(page.find("status").dataset.state).toBe("current");
    expect(page.maybe("progress-answer")).toBeNull();
    expect(page.maybe("cancel")).toBeNull();
  });

  it("texts of notes, tokens and averages are texts", async () => {
    const EVIL = `<img src=x onerror="window.hit=1">`;
    const tokens = [told(EVIL, 0.5, [EVIL, 0.2])];
    await show(trial(1, "k0", { answer: { ...ANSWER, text: EVIL, tokens }, averages: { semantic_entropy: { mean: 0, percentile: 1 }, note: EVIL }, uncertainty: uncertainty({ curve: { ...CURVE, label: EVIL, definition: EVIL, unit: EVIL } }) }), trial(2, "k2", { answer: { ...ANSWER, text: EVIL, tokens }, settings: { a: EVIL }, operations: [{ op: "text", x: 1, y: 1, text: EVIL }] }));
    page.model.kernel({ notes: { 1: EVIL, 2: EVIL } });
    page.find("token-0").focus();
    await page.click("trial-1-pin");
    await page.click("trial-2-pin");
    await page.click("compare");
    expect(page.text("answer")).toContain(EVIL);
    expect(page.text("compare-panel")).toContain(EVIL);
    expect(page.el.querySelectorAll("img[src=x]")).toHaveLength(0);
  });
});

describe("all work", () => {
  it("is saved as one file by a button, and kept in a folder that is named", async () => {
    await show();
    expect(page.maybe("kept")).toBeNull();
    page.model.kernel({ kept: { folder: "runs/my-session", problem: "", note: "" } });
    await settle();
    expect(page.text("kept")).toBe("kept in my-session");
    expect(page.find("kept").title).toContain("runs/my-session");
    expect(page.maybe("session-note")).toBeNull();
    page.model.kernel({ kept: { folder: "s", problem: "The disk is full.", note: "Made with LLaVA." } });
    await settle();
    expect(page.text("kept")).toBe("not kept");
    expect(page.find("kept").title).toBe("The disk is full.");
    expect(page.text("session-note")).toBe("Made with LLaVA.");
    const links: HTMLAnchorElement[] = [];
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      links.push(this);
    });
    await page.click("save");
    page.model.answer("save", { name: "s.isi", type: "application/octet-stream" }, [new DataView(new ArrayBuffer(2))]);
    await settle();
    expect(links.map((link) => link.download)).toEqual(["s.isi"]);
  });

  it("takes anything for where it is kept", async () => {
    for (const kept of [null, 3, "x", { folder: null, note: [] }]) {
      page = await open(new FakeModel(traits({ kept })));
      expect(page.maybe("kept")).toBeNull();
      leave(page);
    }
    await show();
  });
});
