import type { AnyModel } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { study } from "../src/study/widget";
import { FakeModel, browser, settle, type Traits, within } from "./fake";

const column = (name: string, label: string, over: Traits = {}): Traits => ({ name, label, unit: "", definition: `What ${label} is.`, scale: 1, segment: "", ...over });
const ACCURACY = column("correct", "Accuracy");
const ENTROPY = column("bayesian_semantic_entropy", "Semantic entropy", { unit: "nats", scale: 3 });
const IMAGE = column("attention_relative_image", "Attention, image", { segment: "image" });

const cell = (value: number, low: number | null = null, high: number | null = null): Traits => ({ value, low, high, count: 40 });
const group = (condition: string, accuracy: number, over: Traits = {}): Traits => ({
  model: "embedded",
  condition,
  rows: 40,
  failed: 0,
  unjudged: 0,
  cells: [cell(accuracy, accuracy - 0.1, accuracy + 0.05), cell(0.6), null],
  majority: 0.5,
  yes: 0.45,
  bias: 0.1,
  ...over,
});

const row = (number: number, over: Traits = {}): Traits => ({
  row: number,
  model: "embedded",
  condition: "noise",
  observation: `scene-${number}`,
  question: "Is there a star?",
  seed: 0,
  answer: "No",
  truth: "Yes",
  verdict: "wrong",
  reason: "",
  values: [0.61, 0.4],
  ...over,
});

const QUERY = { model: "", condition: "", verdict: "all", sort: "row", descending: false, start: 0 };
const page = (over: Traits = {}): Traits => ({
  query: QUERY,
  rows: [row(0), row(1, { verdict: "right", answer: "Yes" }), row(2, { verdict: "failed", answer: "", reason: "InputError: the context is too long", values: [null, null] })],
  columns: [ENTROPY, IMAGE],
  total: 80,
  start: 0,
  counts: { all: 80, right: 50, wrong: 28, unjudged: 0, failed: 2 },
  size: 25,
  ...over,
});

const PROGRESS = { state: "running", done: 60, total: 80, failed: 2, unjudged: 0, seconds: 20, rate: 3, left: 7, note: "", error: "", stopping: false, resumable: true };

const state = (over: Traits = {}): Traits => ({
  about: { conditions: 2, observations: 40, seeds: 1, models: 1, data: "scenes", store: "runs/a" },
  progress: PROGRESS,
  table: { columns: [ACCURACY, ENTROPY, IMAGE], groups: [group("plain", 0.9), group("noise", 0.6, { failed: 2 })], intervals: "" },
  plots: {
    baseline: "plain",
    note: "95% intervals.",
    plots: [
      {
        column: ACCURACY,
        differences: [{ model: "embedded", condition: "noise", value: -0.3, low: -0.4, high: -0.2, p: 0.0004, pairs: 40 }],
        curves: [{ model: "embedded", group: "noise", parameter: "sigma", points: [{ level: 0.1, value: 0.8, low: 0.7, high: 0.9 }, { level: 0.3, value: 0.6, low: 0.5, high: 0.7 }] }],
      },
      { column: ENTROPY, differences: [{ model: "embedded", condition: "noise", value: 0.2, low: null, high: null, p: null, pairs: 40 }], curves: [] },
    ],
  },
  failures: { reasons: [{ kind: "InputError", reason: "the context is too long", rows: 2, first: 2 }], others: 0 },
  query: QUERY,
  page: page(),
  opened: { row: -1, state: "", message: "" },
  error: null,
  widget_id: "w1",
  ...over,
});

async function open(over: Traits = {}, model = new FakeModel(state(over))) {
  const abort = new AbortController();
  const props = { model: model as unknown as AnyModel, signal: abort.signal, experimental: {} as never, host: {} as never };
  const definition = study();
  await definition.initialize(props);
  const el = document.createElement("div");
  document.body.append(el);
  await definition.render({ ...props, el });
  await settle();
  const { find, maybe } = within(el);
  return {
    model,
    el,
    find,
    maybe,
    end: () => abort.abort(),
    text: (test: string) => find(test).textContent,
    click: async (test: string) => {
      find(test).click();
      await settle();
    },
    change: async (change: Traits) => {
      model.kernel(change);
      await settle();
    },
  };
}

beforeEach(() => browser());
afterEach(() => {
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe("the head of a study", () => {
  it("shows what it is, how far it is and how long it takes", async () => {
    const view = await open();
    expect(view.text("title")).toBe("2 conditions × 40 observations");
    expect(view.text("where")).toBe("scenes · runs/a");
    expect(view.text("facts")).toBe("60 of 80 rows2 failed3 rows/s7 s left");
    expect(view.find("progress").getAttribute("aria-valuenow")).toBe("60");
    await view.change({ progress: { ...PROGRESS, rate: null, left: null, note: "loading llava" } });
    expect(view.text("facts")).toContain("loading llava");
  });

  it("cancels, says that it stops, and resumes", async () => {
    const view = await open();
    await view.click("cancel");
    expect(view.model.last("cancel")).toEqual({ kind: "cancel" });
    expect(view.text("cancel")).toBe("Stopping");
    await view.change({ progress: { ...PROGRESS, stopping: true } });
    expect(view.find("cancel").getAttribute("aria-disabled")).toBe("true");
    await view.change({ progress: { ...PROGRESS, state: "cancelled" } });
    expect(view.maybe("cancel")).toBeNull();
    expect(view.el.querySelector("[role=status]")?.textContent).toBe("The study is cancelled: 60 of 80 rows");
    await view.click("resume");
    expect(view.model.last("resume")).toEqual({ kind: "resume" });
    await view.change({ progress: { ...PROGRESS, state: "finished", done: 80, seconds: 25 } });
    expect(view.maybe("resume")).toBeNull();
    expect(view.text("facts")).toBe("80 rowsfinished in 25 s2 failed");
  });

  it("offers no resume where the kernel cannot", async () => {
    const view = await open({ progress: { ...PROGRESS, state: "opened", resumable: false } });
    expect(view.maybe("resume")).toBeNull();
    expect(view.maybe("cancel")).toBeNull();
  });

  it("explains a kernel that does not answer, until it does", async () => {
    const view = await open();
    vi.useFakeTimers();
    view.find("cancel").click();
    await vi.advanceTimersByTimeAsync(4100);
    vi.useRealTimers();
    await settle();
    expect(view.text("problem")).toContain("may be running another cell");
    await view.change({ progress: { ...PROGRESS, stopping: true } });
    expect(view.maybe("problem")).toBeNull();
  });

  it("shows what stopped it", async () => {
    const view = await open({ progress: { ...PROGRESS, state: "failed", error: "More than 20 % of the rows failed." } });
    expect(view.find("problem").getAttribute("role")).toBe("alert");
    expect(view.text("problem")).toContain("More than 20 %");
    await view.change({ error: { message: "Rows cannot be sorted by 'x'.", hint: "" } });
    await view.click("dismiss");
    expect(view.model.last("dismiss")).toEqual({ kind: "dismiss" });
  });
});

describe("the table of conditions", () => {
  it("has each measure as number and bar, on one scale", async () => {
    const view = await open();
    const line = view.find("condition-noise");
    expect(line.querySelector('[data-label="Accuracy"] strong')?.textContent).toBe("0.60");
    expect(line.querySelector('[data-label="Accuracy"] .isi-muted')?.textContent).toBe("[0.50, 0.65]");
    expect(line.querySelector('[data-label="Semantic entropy"] .isi-value')?.getAttribute("width")).toBe("20%"); // 0.6 of 3
    expect(line.querySelector(".isi-usual")?.getAttribute("x1")).toBe("50%"); // the majority
    expect((line.querySelector('[data-label="Accuracy"]') as HTMLElement).title).toBe(
      "95% interval 0.50 to 0.65; 40 rows; the most frequent true answer alone 0.50; of the questions of yes or no, yes is true in 0.45; the model says it +0.10 more often",
    );
    expect(line.textContent).toContain("2 failed");
    expect(line.querySelector(".isi-none")).not.toBeNull();
    expect(view.text("summary-note")).toContain("intervals come when the study is over");
    await view.change({ table: { columns: [ACCURACY], groups: [group("plain", 0.9)], intervals: "95% intervals over 40 observations." } });
    expect(view.text("summary-note")).toContain("over 40 observations");
  });

  it("shows the rows of a condition, and all again", async () => {
    const view = await open();
    view.find("condition-noise").querySelector("button")?.click();
    await settle();
    expect(view.model.saved.at(-1)).toEqual({ query: { ...QUERY, model: "embedded", condition: "noise" } });
    expect(view.find("rows").dataset.waiting).toBe("true");
    await view.change({ page: page({ query: { ...QUERY, model: "embedded", condition: "noise" } }) });
    expect(view.find("rows").dataset.waiting).toBe("false");
    view.find("condition-noise").querySelector("button")?.click();
    await settle();
    expect(view.model.saved.at(-1)).toEqual({ query: QUERY });
  });

  it("groups the lines by model where there are several", async () => {
    const view = await open({ table: { columns: [ACCURACY], groups: [group("plain", 0.9), group("plain", 0.8, { model: "other" })], intervals: "" } });
    expect([...view.el.querySelectorAll(".isi-model")].map((head) => head.textContent)).toEqual(["embedded", "other"]);
  });

  it("marks entropies of answers that could not be compared, in the table and in the rows", async () => {
    const entropy = { ...ENTROPY, meanings: true };
    const table = { columns: [ACCURACY, entropy], groups: [group("plain", 0.9), group("noise", 0.6, { doubtful: 3 })], intervals: "" };
    const view = await open({ table, page: page({ columns: [entropy], rows: [row(0, { doubt: "Only rules compared them." }), row(1)] }) });
    expect(view.text("condition-noise")).toContain("3 doubtful");
    expect(view.text("condition-noise").match(/0\.60 \(!\)/g)).toHaveLength(1); // not at the accuracy
    expect(view.text("condition-plain")).not.toContain("(!)");
    expect(view.text("row-0")).toContain("(!)");
    expect(view.find("row-0").querySelector("[title='Only rules compared them.']")).not.toBeNull();
    expect(view.text("row-1")).not.toContain("(!)");
  });

  it("teaches before the first row", async () => {
    const view = await open({ table: {}, plots: {}, failures: {}, page: {}, progress: { ...PROGRESS, done: 0, failed: 0 } });
    expect(view.el.textContent).toContain("once it has rows");
    expect(view.text("no-rows")).toContain("A press on one opens it");
    expect(view.maybe("plot")).toBeNull();
  });
});

describe("the plot", () => {
  it("draws differences around zero, and names them", async () => {
    const view = await open();
    const drawn = view.find("differences").querySelector("svg");
    expect(drawn?.getAttribute("aria-label")).toBe("noise: Accuracy −0.30, 95% interval −0.40 to −0.20, p < .001, 40 pairs");
    expect(drawn?.querySelector(".isi-mean")?.getAttribute("cx")).toBe("14%"); // 50 − 48 · 0.3 / 0.4
    const select = view.find("plot-measure") as HTMLSelectElement;
    select.value = "bayesian_semantic_entropy";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(view.find("differences").querySelector("svg")?.getAttribute("aria-label")).toBe("noise: Semantic entropy +0.20, 40 pairs");
  });

  it("draws curves over a grid", async () => {
    const view = await open();
    await view.click("plot-curves");
    const drawn = view.find("curves").querySelector("svg");
    expect(drawn?.getAttribute("aria-label")).toBe("Accuracy over sigma: noise: 0.80 at 0.1, 0.60 at 0.3");
    expect(drawn?.querySelectorAll("circle")).toHaveLength(2);
  });
});

describe("the rows", () => {
  it("are those of one page, with why a row failed", async () => {
    const view = await open();
    expect(view.text("range")).toBe("1–25 of 80 rows");
    expect(view.text("row-0")).toContain("Is there a star?");
    expect(view.text("row-2")).toContain("the context is too long");
    expect(view.maybe("sort-seed")).toBeNull();
    expect(view.maybe("show-unjudged")).toBeNull(); // there are none
    await view.click("page-next");
    expect(view.model.saved.at(-1)).toEqual({ query: { ...QUERY, start: 25 } });
    await view.click("page-last");
    expect(view.model.saved.at(-1)).toEqual({ query: { ...QUERY, start: 75 } });
  });

  it("are filtered and sorted by the kernel, from the first page on", async () => {
    const view = await open({ page: page({ start: 25, query: { ...QUERY, start: 25 } }), query: { ...QUERY, start: 25 } });
    await view.click("show-wrong");
    expect(view.model.saved.at(-1)).toEqual({ query: { ...QUERY, verdict: "wrong" } });
    await view.click("sort-bayesian_semantic_entropy");
    await view.click("sort-bayesian_semantic_entropy");
    expect(view.model.saved.at(-1)).toEqual({ query: { ...QUERY, verdict: "wrong", sort: "bayesian_semantic_entropy", descending: true } });
    expect(view.find("sort-bayesian_semantic_entropy").closest("th")?.getAttribute("aria-sort")).toBe("descending");
  });

  it("open in a probe by a press anywhere, and by their number", async () => {
    const view = await open();
    view.find("row-1").querySelector("td")?.click();
    expect(view.model.last("open")).toEqual({ kind: "open", row: 1 });
    view.find("row-2").querySelector("button")?.click();
    expect(view.model.last("open")).toEqual({ kind: "open", row: 2 });
    expect(view.model.sent.filter(({ content }) => content.kind === "open")).toHaveLength(2);
    await view.change({ opened: { row: 2, state: "opening", message: "" } });
    expect(view.text("opened")).toContain("Row 2 is being opened");
    const scroll = vi.spyOn(Element.prototype, "scrollIntoView");
    await view.change({ opened: { row: 2, state: "open", message: "" } });
    expect(scroll).toHaveBeenCalledOnce();
    await view.change({ opened: { row: 3, state: "open", message: "" } }); // opened by Python
    await view.change({ opened: { row: 2, state: "open", message: "" } });
    expect(scroll).toHaveBeenCalledOnce();
    expect(view.text("opened")).toContain("study.probe(2)");
    expect(view.find("row-2").className).toBe("isi-chosen");
    await view.click("close-row");
    expect(view.model.last("open")).toEqual({ kind: "open", row: -1 });
    await view.change({ opened: { row: 2, state: "error", message: "its picture is gone" } });
    expect(view.text("opened")).toContain("cannot be opened: its picture is gone");
  });

  it("are walked through by keys", async () => {
    const view = await open();
    const key = (name: string): boolean => document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true })) ?? true;
    const at = (): string | undefined => (document.activeElement as HTMLElement).dataset.row;
    view.find("row-0").querySelector("button")?.focus();
    expect(key("ArrowDown")).toBe(false);
    expect(at()).toBe("1");
    key("End");
    expect(at()).toBe("2");
    key("ArrowDown");
    expect(at()).toBe("2");
    key("Home");
    expect(at()).toBe("0");
    expect(key("x")).toBe(true);
    key("PageDown");
    await settle();
    expect(view.model.saved.at(-1)).toEqual({ query: { ...QUERY, start: 25 } });
  });

  it("have columns for models and seeds where there are several", async () => {
    const view = await open({ about: { conditions: 2, observations: 40, seeds: 3, models: 2, data: "d", store: "" } });
    expect(view.maybe("sort-seed")).not.toBeNull();
    expect(view.maybe("sort-model")).not.toBeNull();
    expect(view.text("title")).toBe("2 conditions × 40 observations × 3 seeds × 2 models");
    expect(view.text("where")).toBe("d · not stored");
  });

  it("lists why rows failed", async () => {
    const view = await open();
    expect(view.text("failures")).toContain("2 rows failed: why");
    await view.click("failure-2");
    expect(view.model.last("open")).toEqual({ kind: "open", row: 2 });
  });
});

describe("the still in the notebook", () => {
  it("is asked for by a page that has an older one, and replaced", async () => {
    vi.useFakeTimers();
    const outputs = [{ data: { "text/html": '<div data-study="w1" data-still="1">' } }];
    const cell = { outputs: { length: 1, get: (i: number) => outputs[i], set: (i: number, value: { data: { "text/html": string } }) => (outputs[i] = value) } };
    const model = new FakeModel(state({ stills: 2 }));
    Object.assign(model, { widget_manager: { context: { model: { cells: [cell] } } } });
    const opened = open({}, model);
    await vi.advanceTimersByTimeAsync(2000);
    await opened;
    vi.useRealTimers();
    expect(model.last("still")).toEqual({ kind: "still" });
    model.message({ kind: "still", number: 3, data: { "text/html": "new" } });
    expect(outputs[0]?.data["text/html"]).toBe("new");
  });
});

describe("without a kernel", () => {
  it("shows what was saved, and disables what needs one", async () => {
    const model = new FakeModel(state());
    (model as unknown as Traits).widget_manager = { get_model: () => Promise.resolve({ comm_live: false }) };
    const view = await open({}, model);
    model.emit("comm_live_update");
    await settle();
    expect(view.text("problem")).toContain("no kernel for this study");
    expect(view.text("problem")).toContain("Run All Above Selected Cell, then this cell. Finished rows are in its store");
    expect(view.text("facts")).toContain("was running when this was saved");
    expect(view.maybe("cancel")).toBeNull();
    view.find("row-1").querySelector("td")?.click();
    await view.click("sort-answer");
    expect(model.sent).toEqual([]);
    expect(model.saved).toEqual([]);
    expect(view.find("show-wrong").getAttribute("aria-disabled")).toBe("true");
  });

  it("is noticed as soon as it is shown", async () => {
    const model = new FakeModel(state());
    (model as unknown as Traits).widget_manager = { get_model: () => Promise.resolve({ comm_live: false }) };
    const view = await open({}, model);
    expect(view.maybe("problem")).not.toBeNull();
  });

  it("takes anything for a state", async () => {
    for (const wrong of [null, 7, "x", [1, null], { groups: [{ cells: [null, 3, {}] }, 4], rows: [null], plots: [{}], reasons: [3] }]) {
      const view = await open(Object.fromEntries(Object.keys(state()).map((name) => [name, wrong])));
      expect(view.find("facts")).not.toBeNull();
      view.end();
    }
  });

  it("leaves no listener behind", async () => {
    const view = await open();
    expect(view.model.count()).toBeGreaterThan(5);
    view.end();
    expect(view.model.count()).toBe(0);
  });
});

it("shows texts of models as text", async () => {
  const view = await open({ page: page({ rows: [row(0, { answer: "<img src=x onerror=alert(1)>", condition: "<b>x</b>" })] }) });
  expect(view.el.querySelector("img, b")).toBeNull();
  expect(view.text("row-0")).toContain("<img src=x");
});
