// The input panels: choosing an observation, presets, tokens, settings, runs that follow changes, time left, camera, files.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { duration } from "../src/numbers";
import { changed, complete, DEFAULTS, limits, SCHEMA, type Setting } from "../src/settings";
import { Pace } from "../src/state/pace";
import { TOOL_KEYS } from "../src/state/screen";
import { readStatus } from "../src/read";
import { MAX_BYTES } from "../src/upload";
import { browser, FakeModel, open, PIXEL, SETTINGS, settle, traits, trial } from "./fake";

let page: Awaited<ReturnType<typeof open>>;
const operations = (): unknown => page.model.operations();

const LEVELS = ["object", "attribute", "relation", "counting"];
const many = (count: number): unknown[] =>
  Array.from({ length: count }, (_, index) => ({
    index,
    id: `o${index}`,
    question: `Question number ${index}?`,
    answer: index % 5 === 0 ? null : index % 2 ? "Yes" : "No",
    level: LEVELS[index % 4],
  }));

async function start(over: Record<string, unknown> = {}): Promise<void> {
  page = await open(new FakeModel(traits(over)));
}

beforeEach(browser);
afterEach(() => {
  vi.useRealTimers();
  page.end();
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe("choosing an observation", () => {
  const asked = (): number[][] => page.model.sent.filter(({ content }) => content.kind === "thumbnails").map(({ content }) => content.indexes as number[]);
  const rows = (): string[] => Array.from(page.el.querySelectorAll('[data-testid="observation-list"] li'), (x) => (x as HTMLElement).dataset.testid ?? "");
  const images = (): number => page.el.querySelectorAll('[data-testid="observation-list"] img').length;
  const answer = async (indexes: number[], buffers = indexes.map(() => PIXEL)): Promise<void> => {
    page.model.answer("thumbnails", { indexes }, buffers);
    await settle();
  };

  it("draws the rows in view only, and says where they are in the whole", async () => {
    await start({ observations: many(1000), observation_index: 500 });
    await page.click("observation-picker");
    expect(rows()).toContain("observation-500");
    expect(rows().length).toBeLessThan(40);
    expect(page.find("observation-500").getAttribute("aria-posinset")).toBe("501");
    expect(page.find("observation-500").getAttribute("aria-setsize")).toBe("1000");
    expect(page.find("observation-500").getAttribute("aria-selected")).toBe("true");
    const list = page.find("observation-list").querySelector("ul");
    if (!list) throw new Error("no list");
    // The list keeps its own height: what is not drawn takes rows in it, and padding would stretch the list.
    const gaps = [...list.querySelectorAll<HTMLElement>(".isi-gap")].map((gap) => Number.parseFloat(gap.style.height));
    const high = gaps.reduce((sum, gap) => sum + gap, 0) + 48 * list.querySelectorAll("[role=option]").length;
    expect(list.getAttribute("style")).toBeNull();
    expect(high).toBe(48 * 1000);
    list.scrollTop = 48 * 100;
    list.dispatchEvent(new Event("scroll"));
    await settle();
    expect(rows()).toContain("observation-100");
    expect(rows()).not.toContain("observation-500");
    expect(page.find("observation-search").hasAttribute("aria-activedescendant")).toBe(false);
  });

  it("goes through them by keys, further than what is drawn", async () => {
    await start({ observations: many(1000), observation_index: 0 });
    await page.click("observation-picker");
    for (let i = 0; i < 60; i++) {
      page.find("observation-search").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true, cancelable: true }));
      if (i % 5 === 4) await settle();
    }
    await settle();
    const active = document.getElementById(page.find("observation-search").getAttribute("aria-activedescendant") ?? "");
    expect(active?.dataset.testid).toMatch(/^observation-\d\d$/);
    await page.key("Enter", {}, "observation-search");
    expect(`observation-${String(page.model.get("observation_index"))}`).toBe(active?.dataset.testid);
  });

  it("asks for pictures a batch at a time, of what is in view now, and never twice", async () => {
    await start({ observations: many(300), observation_index: 0 });
    expect(asked()).toEqual([]);
    await page.click("observation-picker");
    expect(asked()).toHaveLength(1);
    expect(asked()[0]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    const list = page.find("observation-list").querySelector("ul");
    if (!list) throw new Error("no list");
    list.scrollTop = 48 * 200;
    list.dispatchEvent(new Event("scroll"));
    await settle();
    expect(asked()).toHaveLength(1); // the answer has not come
    await answer(asked()[0] ?? []);
    expect(asked()).toHaveLength(2);
    expect(Math.min(...(asked()[1] ?? []))).toBeGreaterThan(190);
    await answer(asked()[1] ?? []);
    expect(images()).toBeGreaterThan(5);
    const before = asked().length;
    await page.key("Escape", {}, "observation-search");
    await page.click("observation-picker");
    expect(asked().slice(before).flat().filter((index) => index < 12)).toEqual([]);
    expect(images()).toBeGreaterThan(5);
  });

  it("takes a picture that cannot be read as none, without asking again", async () => {
    await start();
    await page.click("observation-picker");
    await answer([0, 1], [new DataView(new ArrayBuffer(0)), PIXEL]);
    expect(asked()).toHaveLength(1);
    expect(page.find("observation-0").querySelector("img")).toBeNull();
    expect(page.find("observation-1").querySelector("img")).not.toBeNull();
  });

  it("filters by level and truth: any of one, all of both; and the list comes back", async () => {
    await start({ observations: many(40), observation_index: 0 });
    await page.click("observation-picker");
    await page.click("filter-level-object");
    expect(page.find("filter-level-object").getAttribute("aria-pressed")).toBe("true");
    expect(rows()).toEqual([0, 4, 8, 12, 16, 20, 24, 28, 32, 36].map((i) => `observation-${i}`));
    await page.click("filter-level-attribute");
    await page.click("filter-answer-Yes");
    expect(rows()).toEqual([1, 9, 13, 17, 21, 29, 33, 37].map((i) => `observation-${i}`));
    await page.type("observation-search", "3", "none");
    expect(rows()).toEqual([13, 33, 37].map((i) => `observation-${i}`));
    await page.type("observation-search", "", "none");
    for (const test of ["filter-level-object", "filter-level-attribute", "filter-answer-Yes"]) await page.click(test);
    expect(page.el.querySelector('[data-testid="observation-list"] .isi-search .isi-muted')?.textContent).toBe("40");
  });

  it("filters by difficulty where a data set has grades", async () => {
    const graded = many(6).map((row, index) => ({ ...(row as object), difficulty: ["easy", "middle", "hard"][index % 3] }));
    await start({ observations: graded, observation_index: 0 });
    await page.click("observation-picker");
    await page.click("filter-difficulty-hard");
    expect(rows()).toEqual(["observation-2", "observation-5"]);
    await page.click("filter-difficulty-hard");
    await page.type("observation-search", "easy", "none");
    expect(rows()).toEqual(["observation-0", "observation-3"]);
  });

  it("offers no filter where all are alike", async () => {
    await start({ observations: [0, 1].map((index) => ({ index, id: "", question: "Is it?", answer: "Yes", level: null })) });
    await page.click("observation-picker");
    expect(page.el.querySelector('[data-testid^="filter-"]')).toBeNull();
  });

  it("goes to the next and the previous one, of those that the filter leaves", async () => {
    await start({ observations: many(12), observation_index: 4 });
    const to = (): unknown => page.model.get("observation_index");
    await page.click("observation-next");
    expect(to()).toBe(5);
    await page.click("observation-back");
    expect(to()).toBe(4);
    await page.click("observation-picker");
    await page.click("filter-level-object");
    await page.key("Escape", {}, "observation-search");
    expect(page.find("observation-next").title).toContain("of the 3 that the list is filtered to");
    await page.click("observation-next");
    expect(to()).toBe(8);
    const last = page.find("observation-next");
    expect(last.getAttribute("aria-disabled")).toBe("true");
    expect(last.title).toContain("there is none");
    await page.click("observation-next");
    expect(to()).toBe(8);
  });

  it("has no buttons for the next one where there is one only, and goes to the first from an image of one's own", async () => {
    await start({ observations: many(1) });
    expect(page.maybe("observation-next")).toBeNull();
    page.end();
    page.el.remove();
    await start({ observation_index: -1 });
    expect(page.find("observation-back").getAttribute("aria-disabled")).toBe("true");
    await page.click("observation-next");
    expect(page.model.get("observation_index")).toBe(0);
  });
});

describe("random presets", () => {
  for (const part of ["image", "context"] as const) {
    it(`of the ${part}: another one is drawn by the kernel, by its button or the preset itself`, async () => {
      await start();
      expect(page.maybe(`${part}-reshuffle`)).toBeNull();
      await page.click(`${part}-random`);
      expect(operations()).toMatchObject([{ op: part, preset: "random" }]);
      page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), key: "k1" } });
      await settle();
      await page.click(`${part}-reshuffle`);
      expect(page.model.last("reshuffle")).toMatchObject({ kind: "reshuffle", part });
      await page.click(`${part}-random`);
      expect(page.model.sent.filter(({ content }) => content.kind === "reshuffle")).toHaveLength(2);
      await page.click(part === "image" ? "image-natural" : "context-empty");
      expect(page.maybe(`${part}-reshuffle`)).toBeNull();
    });
  }

  it("wait for the kernel to have the last edit, and say so when none comes", async () => {
    await start();
    await page.click("context-random");
    await page.click("context-reshuffle");
    expect(page.model.last("reshuffle")).toBeUndefined();
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), key: "k1" } });
    await settle();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    page.find("context-reshuffle").click();
    vi.advanceTimersByTime(10_000);
    vi.useRealTimers();
    await settle();
    expect(page.text("error-message")).toContain("The kernel did not draw another random context");
  });

  it("a new one that came is no silence", async () => {
    await start({ document: { version: 1, operations: [{ op: "context", preset: "random", seed: 1 }], past: [], future: [] } });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    page.find("context-reshuffle").click();
    page.model.kernel({ document: { version: 1, operations: [{ op: "context", preset: "random", seed: 2 }], past: [], future: [] } });
    page.model.message({ kind: "done", id: page.model.last("reshuffle")?.id });
    vi.advanceTimersByTime(10_000);
    vi.useRealTimers();
    await settle();
    expect(page.find("error").hidden).toBe(true);
  });
});

describe("tokens", () => {
  const asked = (): number => page.model.sent.filter(({ content }) => content.kind === "tokens").length;
  const told = (over: Record<string, unknown> = {}): Record<string, unknown> => ({ key: "k0", model: "embedded", counts: { template: 5, image: 64, context: 0, question: 6 }, problem: "", ...over });
  const pause = (): Promise<void> => new Promise((done) => setTimeout(done, 320));
  const tell = async (over: Record<string, unknown> = {}): Promise<void> => {
    page.model.answer("tokens", told(over));
    await settle();
  };

  it("are asked for once, and shown beside the fields", async () => {
    await start();
    await pause();
    expect(asked()).toBe(1);
    expect(page.text("tokens-question")).toBe("");
    await tell();
    expect(page.text("tokens-question")).toBe("6 tokens");
    expect(page.text("tokens-context")).toBe("0 tokens");
    expect(page.find("tokens-question").title).toBe("Of the prompt's 75 tokens");
    await pause();
    expect(asked()).toBe(1);
  });

  it("of an older text or another model are not shown, and asked for anew a moment after the last change", async () => {
    await start();
    await pause();
    await tell();
    await page.type("context", "A star.", "enter");
    expect(page.text("tokens-context")).toBe("");
    await pause();
    const before = asked();
    for (const key of ["k1", "k2", "k3"]) page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), context: "A star.", key } });
    await pause();
    expect(asked()).toBe(before + 1);
    await tell({ key: "k1", counts: { context: 99 } });
    expect(page.text("tokens-context")).toBe("");
    await pause();
    expect(asked()).toBe(before + 2); // that was of an older text
    await tell({ key: "k3", counts: { context: 1 } });
    expect(page.text("tokens-context")).toBe("1 token");
    page.model.kernel({ model: { ...(page.model.get("model") as object), label: "other" } });
    await settle();
    expect(page.text("tokens-context")).toBe("");
    await pause();
    expect(asked()).toBe(before + 3);
  });

  it("are not asked for while the model is busy, but when it is free again", async () => {
    const status = { state: "running", id: "r", measures: ["answer"], stage: "answer", note: "", done: 1, total: 9, queued: 0 };
    await start({ status });
    await pause();
    expect(asked()).toBe(0);
    page.model.kernel({ status: { ...status, state: "idle", id: null } });
    await pause();
    expect(asked()).toBe(1);
  });

  it("of the original and of the text that replaces it; as many are marked", async () => {
    await start();
    await pause();
    await tell({ counts: { context: 5, question: 7 }, original: { context: 0, question: 6 } });
    expect(page.text("tokens-context")).toBe("5 tokens");
    expect(page.text("tokens-question")).toBe("6 → 7 tokens");
    expect(page.find("tokens-question").title).toBe("The original question has 6 tokens, this one 7. Of the prompt's 12 tokens");
    expect(page.find("tokens-question").dataset.equal).toBe("false");
    expect(page.find("tokens-context").dataset.equal).toBeUndefined();
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), key: "k1" } });
    await pause();
    await tell({ key: "k1", counts: { context: 0, question: 6 }, original: { question: 6 } });
    expect(page.text("tokens-question")).toBe("6 = 6 tokens");
    expect(page.find("tokens-question").title).toContain("symmetric token replacement");
    expect(page.find("tokens-question").className).toBe("isi-count isi-right");
  });

  it("that are too many are said before a run", async () => {
    await start();
    expect(page.find("prompt-problem").hidden).toBe(true);
    await pause();
    await tell({ counts: null, problem: "The prompt has 2100 tokens and this model reads at most 1024. Shorten the context." });
    expect(page.find("prompt-problem").hidden).toBe(false);
    expect(page.text("prompt-problem")).toContain("reads at most 1024");
    expect(page.text("tokens-context")).toBe("");
    await page.type("context", "A star.", "enter");
    expect(page.find("prompt-problem").hidden).toBe(true);
  });
});

describe("settings", () => {
  const set = (): Record<string, unknown> => page.model.get("settings") as Record<string, unknown>;

  it("have the defaults of isi_widget.Settings", () => {
    const schema = JSON.parse(readFileSync("js/src/settings.json", "utf8")) as { name: string; default: unknown }[];
    expect(DEFAULTS).toEqual(Object.fromEntries(schema.map((setting) => [setting.name, setting.default])));
    expect(SETTINGS).toEqual(DEFAULTS);
  });

  it("that an older kernel does not send are at their defaults", () => {
    expect(complete({ samples: 3 })).toEqual({ ...DEFAULTS, samples: 3 });
    expect(changed(complete({ samples: 3 }))).toEqual(["samples"]);
  });

  it("are a form made of the schema: every setting with its label and its help", async () => {
    await start();
    await page.click("settings");
    const text = page.text("settings-panel");
    const special = ["do_sample", "num_beams"];
    for (const { name, label, help, kind, when, choices } of SCHEMA.filter((setting) => !special.includes(setting.name))) {
      if (when && DEFAULTS[when.name] !== when.value) {
        expect(page.maybe(`settings-${name}`)).toBeNull();
        continue;
      }
      expect(text).toContain(label);
      if (kind === "choice") for (const choice of choices) expect(page.find(`settings-${name}-${choice.value}`).title).toBe(choice.help);
      else expect(page.find(`settings-${name}`).closest("label")?.title).toBe(help);
    }
  });

  it("have the limits of the schema; a number that must be above its minimum starts one step above", () => {
    // (a limit on one side alone: a number beyond it is held, too; see "settings out of range")
    const of = (name: string) => limits(SCHEMA.find((setting) => setting.name === name) as Setting);
    expect(of("samples")).toEqual({ low: 1, high: 1000, step: 1 });
    expect(of("temperature")).toEqual({ low: 0.05, step: 0.05 });
    expect(of("seed").high).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("are all there, go to the kernel, and travel with a run", async () => {
    await start();
    await page.click("settings");
    for (const [name, value] of Object.entries({ samples: 3, temperature: 0.5, top_k: 40, top_p: 0.9, seed: 7, max_new_tokens: 12 })) {
      await page.type(`settings-${name}`, String(value), "none");
      expect(set()[name]).toBe(value);
    }
    for (const name of ["strict_entailment", "prepend_question"]) {
      const before = set()[name];
      await page.click(`settings-${name}`);
      expect(set()[name]).toBe(!before);
    }
    await page.click("settings-likelihood-sampled");
    expect(set().likelihood).toBe("sampled");
    await page.click("run");
    expect(page.model.last("run")?.settings).toEqual(set());
    expect(Object.keys(set()).sort()).toEqual(Object.keys(DEFAULTS).sort());
  });

  it("draw answers or enumerate them, and show what enters either", async () => {
    await start();
    await page.click("settings");
    expect(page.maybe("settings-mass")).toBeNull();
    await page.click("settings-method-enumerated");
    expect(set()).toMatchObject({ method: "enumerated", mass: 0.99, budget: 512 });
    expect(page.maybe("settings-samples")).toBeNull();
    for (const [name, value] of Object.entries({ mass: 0.95, budget: 100 })) {
      await page.type(`settings-${name}`, String(value), "none");
      expect(set()[name]).toBe(value);
    }
    expect(page.text("settings")).toContain("95 % × T 0.9");
    await page.click("settings-method-sampled");
    expect(page.maybe("settings-samples")).not.toBeNull();
  });

  it("say why a server's answers cannot be enumerated", async () => {
    await start();
    page.model.kernel({ model: { ...(page.model.get("model") as object), unavailable: { enumeration: "A server shows only text." } } });
    await settle();
    await page.click("settings");
    expect(page.find("settings-method-enumerated").title).toContain("A server shows only text.");
    await page.click("settings-method-enumerated");
    expect(set().method).toBe("sampled");
  });

  it("make the shown answer in one of three ways, never two at once", async () => {
    await start();
    await page.click("settings");
    expect(page.find("settings-answer-greedy").getAttribute("aria-pressed")).toBe("true");
    expect(page.maybe("settings-num_beams")).toBeNull();
    await page.click("settings-answer-beams");
    expect(set()).toMatchObject({ do_sample: false, num_beams: 4 });
    await page.type("settings-num_beams", "8", "none");
    expect(set()).toMatchObject({ do_sample: false, num_beams: 8 });
    await page.click("settings-answer-sampled");
    expect(set()).toMatchObject({ do_sample: true, num_beams: 1 });
    await page.click("settings-answer-greedy");
    expect(set()).toEqual(DEFAULTS);
  });

  it("that differ from their defaults say so, and go back together", async () => {
    await start();
    await page.click("settings");
    expect(page.el.querySelector('[data-testid^="default-"]')).toBeNull();
    expect(page.find("settings-reset").getAttribute("aria-disabled")).toBe("true");
    page.model.kernel({ settings: { ...SETTINGS, samples: 20, top_k: 40, prepend_question: false, num_beams: 3 } });
    await settle();
    expect(page.text("default-samples")).toBe("default 10");
    expect(page.text("default-top_k")).toBe("default 0");
    expect(page.text("default-prepend_question")).toBe("default on");
    expect(page.text("default-do_sample")).toBe("default greedy");
    expect(page.maybe("default-temperature")).toBeNull();
    expect(page.text("settings")).toBe("20 × T 0.9 · 3 more");
    expect(page.find("settings").title).toContain("top_k 40, default 0");
    await page.click("settings-reset");
    expect(set()).toEqual(DEFAULTS);
    expect(page.el.querySelector('[data-testid^="default-"]')).toBeNull();
  });
});

describe("run on change", () => {
  it("is a switch that page and kernel share", async () => {
    await start();
    const box = page.find("run-on-change") as HTMLInputElement;
    expect(box.getAttribute("role")).toBe("switch");
    expect(box.checked).toBe(false);
    await page.click("run-on-change");
    expect(page.model.saved).toEqual([{ run_on_change: true }]);
    page.model.kernel({ run_on_change: false });
    await settle();
    expect(box.checked).toBe(false);
  });
});

describe("time left", () => {
  const at = (pace: Pace, seconds: number, done: number, over: Record<string, unknown> = {}): number | null =>
    pace.left(readStatus({ state: "running", id: "r", measures: ["answer"], stage: "samples", total: 100, done, ...over }), 1000 * seconds);

  it("is what is left at the pace so far, once there is one", () => {
    const pace = new Pace();
    expect(at(pace, 0, 0)).toBeNull();
    expect(at(pace, 0.5, 10)).toBeNull(); // too early to say
    expect(at(pace, 2, 20)).toBeCloseTo(8);
    expect(at(pace, 10, 20)).toBeCloseTo(40);
    expect(at(pace, 11, 1, { stage: "clusters" })).toBeNull();
    expect(at(pace, 20, 2, { stage: "clusters" })).toBeNull(); // one step is no pace
    expect(at(pace, 21, 3, { stage: "clusters" })).toBeCloseTo(485);
    expect(at(pace, 22, 4, { stage: "clusters", state: "cancelling" })).toBeNull();
    expect(at(pace, 23, 5, { id: "s" })).toBeNull();
  });

  it("of a page that comes late is that of what it has seen", () => {
    const pace = new Pace();
    at(pace, 100, 50);
    expect(at(pace, 110, 60)).toBeCloseTo(40);
  });

  it("is said in whole units", () => {
    expect([0, 0.2, 1.2, 99, 100, 61 * 60, 100 * 60].map(duration)).toEqual(["1 s", "1 s", "2 s", "99 s", "2 min", "61 min", "2 h"]);
  });

  it("stands beside the progress bar and counts down", async () => {
    const clock = vi.spyOn(performance, "now");
    clock.mockReturnValue(0);
    const status = { state: "running", id: "r", measures: ["uncertainty"], stage: "samples", note: "", done: 0, total: 100, queued: 0 };
    await start({ status });
    expect(page.maybe("time-left")).toBeNull();
    clock.mockReturnValue(5000);
    page.model.message({ kind: "progress", id: "r", stage: "samples", done: 10, total: 100 });
    await settle();
    expect(page.text("time-left")).toBe("≤ 45 s left");
    clock.mockReturnValue(9000);
    await vi.waitFor(() => expect(page.text("time-left")).toBe("≤ 41 s left"), 20_000);
    page.model.kernel({ status: { ...status, state: "idle", id: null, measures: [] } });
    await settle();
    expect(page.maybe("time-left")).toBeNull();
  });

  it("of a model that is loaded is no upper bound", async () => {
    const clock = vi.spyOn(performance, "now").mockReturnValue(0);
    const status = { state: "running", id: "l", measures: ["load"], stage: "model", note: "loading", done: 0, total: 100, queued: 0 };
    await start({ status });
    clock.mockReturnValue(10_000);
    page.model.kernel({ status: { ...status, done: 50 } });
    await settle();
    expect(page.text("time-left")).toBe("10 s left");
  });
});

describe("camera", () => {
  const stop = vi.fn();
  function camera(kinds: string[], getUserMedia = (): Promise<unknown> => Promise.resolve({ getTracks: () => [{ stop }] })): void {
    stop.mockClear();
    const enumerateDevices = (): Promise<unknown> => Promise.resolve(kinds.map((kind) => ({ kind })));
    vi.stubGlobal("navigator", Object.assign(Object.create(navigator) as object, { mediaDevices: { getUserMedia, enumerateDevices, addEventListener: () => undefined, removeEventListener: () => undefined } }));
    vi.spyOn(HTMLMediaElement.prototype, "srcObject", "set").mockImplementation(() => undefined);
    HTMLMediaElement.prototype.play = () => Promise.resolve();
  }

  it("is hidden where there is none, or the page may not ask for it", async () => {
    await start();
    expect(page.maybe("camera")).toBeNull();
    page.end();
    page.el.remove();
    camera(["audioinput"]);
    await start();
    expect(page.maybe("camera")).toBeNull();
  });

  it("takes a picture, sends it as a file, and is let go", async () => {
    camera(["videoinput"]);
    HTMLCanvasElement.prototype.toBlob = (done) => done(new Blob(["jpeg"], { type: "image/jpeg" }));
    await start();
    await page.click("camera");
    expect(page.find("camera-take").getAttribute("aria-disabled")).toBe("true");
    page.find("camera-video").dispatchEvent(new Event("loadeddata"));
    await settle();
    await page.click("camera-take");
    expect(page.model.last("upload")).toMatchObject({ kind: "upload", name: "camera.jpg" });
    expect(new TextDecoder().decode(page.model.sent.findLast(({ content }) => content.kind === "upload")?.buffers[0])).toBe("jpeg");
    expect(page.maybe("camera-panel")).toBeNull();
    expect(stop).toHaveBeenCalledOnce();
  });

  it("is let go when the panel is closed", async () => {
    camera(["videoinput"]);
    await start();
    await page.click("camera");
    await page.key("Escape");
    expect(stop).toHaveBeenCalledOnce();
    expect(page.model.last("upload")).toBeUndefined();
  });

  it("that is refused is said, with what to do", async () => {
    camera(["videoinput"], () => Promise.reject(new DOMException("no", "NotAllowedError")));
    await start();
    await page.click("camera");
    await settle();
    expect(page.text("error-message")).toBe("The browser did not allow the camera.");
    expect(page.text("error-hint")).toContain("Allow it");
    expect(page.maybe("camera-panel")).toBeNull();
  });
});

describe("files", () => {
  const file = (name: string, type: string, bytes: BlobPart[] = ["data"]): File => new File(bytes, name, { type });
  const failing = (): unknown => vi.stubGlobal("createImageBitmap", () => Promise.reject(new Error("no")));
  const shown = (): [string, string] => [page.text("error-message"), page.text("error-hint")];
  const take = async (what: File): Promise<void> => {
    // The page's own store: another one over the same model would say its words elsewhere.
    const input = page.find("file") as HTMLInputElement;
    Object.defineProperty(input, "files", { value: [what], configurable: true });
    input.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    await settle();
  };

  it("of HEIC are refused in one sentence that says what to do, by name, type or content", async () => {
    await start();
    failing();
    const content = new Uint8Array([0, 0, 0, 24, ...new TextEncoder().encode("ftypheic"), 0, 0]);
    for (const [i, heic] of [file("IMG_1.HEIC", ""), file("a", "image/heif"), file("photo.jpg", "image/jpeg", [content])].entries()) {
      await take(heic);
      expect([i, ...shown()]).toEqual([i, `${heic.name} is a HEIC photo, which this browser cannot read.`, expect.stringContaining("Save it as JPEG first")]);
      await page.click("error-dismiss");
    }
    expect(page.model.last("upload")).toBeUndefined();
  });

  it("of HEIC that the browser reads are sent without loss, and that is said", async () => {
    await start();
    const types: unknown[] = [];
    HTMLCanvasElement.prototype.toBlob = (done, type) => {
      types.push(type);
      done(new Blob(["png"], { type: "image/png" }));
    };
    await take(file("IMG_1.heic", "image/heic"));
    expect(types).toEqual(["image/png"]);
    expect(page.model.last("upload")).toMatchObject({ kind: "upload", name: "IMG_1.heic" });
    expect(page.text("error-message")).toContain("the browser has decoded it");
  });

  it("of AVIF and others go to the kernel, which judges", async () => {
    await start();
    failing();
    await take(file("a.avif", "image/avif", [new Uint8Array([0, 0, 0, 24, ...new TextEncoder().encode("ftypavif")])]));
    expect(page.model.last("upload")).toMatchObject({ kind: "upload", name: "a.avif" });
  });

  it("that are large go as they are, in parts that are no message of 10 MiB, in order", async () => {
    await start();
    failing();
    const bytes = new Uint8Array(9_900_000).map((_, i) => i % 251);
    await take(file("noise.png", "image/png", [bytes]));
    const sent = page.model.sent.filter(({ content }) => content.kind === "upload");
    expect(sent.map(({ content }) => [content.name, content.part, content.parts])).toEqual([0, 1, 2].map((part) => ["noise.png", part, 3]));
    expect(new Set(sent.map(({ content }) => content.id)).size).toBe(1);
    expect(Math.max(...sent.map(({ buffers }) => buffers[0]?.byteLength ?? 0))).toBeLessThan(8 * 2 ** 20);
    const whole = await new Blob(sent.map(({ buffers }) => buffers[0] as ArrayBuffer)).arrayBuffer();
    expect(Buffer.compare(Buffer.from(whole), Buffer.from(bytes))).toBe(0);
    expect(page.find("error").hidden).toBe(true);
  });

  it("that are too large for any page say so, and what to do", async () => {
    await start();
    const large = file("a.png", "image/png");
    Object.defineProperty(large, "size", { value: MAX_BYTES + 1 });
    await take(large);
    expect(shown()).toEqual(["a.png has 65 MiB; a page can send at most 64 MiB.", "Load it in Python: probe.open_image(path)."]);
    expect(page.model.last("upload")).toBeUndefined();
  });
});

describe("pictures of other pages", () => {
  const PNG = "data:image/png;base64,iVBORw0KGgo=";
  const drop = async (data: Record<string, string>, on = "stage", type = "drop"): Promise<Event> => {
    const event = new Event(type, { bubbles: true, cancelable: true, composed: true });
    const transfer = { files: [], types: Object.keys(data), getData: (kind: string) => data[kind] ?? "" };
    Object.assign(event, type === "paste" ? { clipboardData: transfer } : { dataTransfer: transfer });
    page.find(on).dispatchEvent(event);
    await settle();
    return event;
  };
  const sent = (): Uint8Array => new Uint8Array(page.model.sent.findLast(({ content }) => content.kind === "upload")?.buffers[0] ?? new ArrayBuffer(0));

  it.each([
    ["as HTML", { "text/html": `<a href="https://a.org"><img alt="x" src="${PNG}"></a>`, "text/uri-list": "https://a.org" }],
    ["as an address", { "text/uri-list": `# a comment\r\n${PNG}` }],
  ])("that stand in the page itself are taken, %s", async (_, data) => {
    await start();
    const event = await drop(data);
    expect(event.defaultPrevented).toBe(true);
    expect(page.model.last("upload")).toMatchObject({ name: "dragged.png", parts: 1 });
    expect([...sent()]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  });

  it("blobs of a page are taken where the browser gives them", async () => {
    await start();
    vi.stubGlobal("fetch", () => Promise.resolve({ blob: () => Promise.resolve(new Blob(["pixels"], { type: "image/webp" })) }));
    await drop({ "text/uri-list": "blob:http://localhost/1" });
    expect(new TextDecoder().decode(sent())).toBe("pixels");
    vi.stubGlobal("fetch", () => Promise.reject(new Error("another origin")));
    await drop({ "text/uri-list": "blob:https://elsewhere.org/2" });
    expect(page.text("error-message")).toContain("blob:https://elsewhere.org/2");
  });

  it.each(["https://a.org/cat.jpg", "http://a.org/cat.jpg", "file:///home/me/cat.jpg", "data:text/plain,hello", "data:image/png;base64,***"])(
    "others are never fetched; what to do is said: %s",
    async (address) => {
      await start();
      const fetched = vi.fn();
      vi.stubGlobal("fetch", fetched);
      const event = await drop({ "text/uri-list": address, "text/html": `<img src="${address}">` });
      expect(event.defaultPrevented).toBe(true);
      expect(fetched).not.toHaveBeenCalled();
      expect(page.text("error-message")).toContain(address);
      expect(page.text("error-hint")).toContain("Save it");
      expect(page.model.last("upload")).toBeUndefined();
    },
  );

  it("the page says that it takes them while they are dragged over it; words into a field stay the field's", async () => {
    await start();
    expect((await drop({ "text/uri-list": "" }, "stage", "dragover")).defaultPrevented).toBe(true);
    expect(page.find("isi-probe").classList.contains("isi-dropping")).toBe(true);
    for (const type of ["dragover", "drop"]) {
      expect((await drop({ "text/html": "<b>words</b>", "text/plain": "words" }, "question", type)).defaultPrevented).toBe(false);
    }
    expect((await drop({ "text/html": "<b>words</b>", "text/plain": "words" }, "stage")).defaultPrevented).toBe(false);
    expect(page.maybe("error-message")).toBeNull();
  });

  it("pasted ones, too", async () => {
    await start();
    await drop({ "text/html": `<img src="${PNG}">` }, "isi-probe", "paste");
    expect(page.model.last("upload")).toMatchObject({ name: "dragged.png" });
  });
});

describe("own pictures", () => {
  const own = { index: 2, id: "cat.png", question: "Is there a cat?", answer: null, level: null, own: true };

  it("opening one is a step that the kernel takes back and makes again", async () => {
    const crossing = { at: 0, remove: 0, insert: [], observation: 0 };
    await start({ document: { version: 1, operations: [], past: [crossing], future: [{ ...crossing, observation: 3 }] } });
    const before = page.model.operations();
    await page.click("undo");
    await page.key("z", { ctrlKey: true, shiftKey: true });
    expect(page.model.sent.map(({ content }) => content.kind).filter((kind) => kind === "undo" || kind === "redo")).toEqual(["undo", "redo"]);
    expect(page.model.operations()).toBe(before);
    // a gesture of one's own comes after it, and keeps it
    await page.type("question", "Is there a dog?");
    const { past } = page.model.get("document") as { past: unknown[] };
    expect(past).toMatchObject([crossing, { at: 0, remove: 1 }]);
    expect(Object.keys(past[1] as object)).not.toContain("observation");
    await page.click("undo");
    expect(page.model.sent.filter(({ content }) => content.kind === "undo")).toHaveLength(1);
  });

  it("stand in the list; their truth is typed, the data set's is not", async () => {
    await start();
    expect(page.maybe("truth-field")).toBeNull();
    const rows = page.model.get("observations") as unknown[];
    page.model.kernel({
      observations: [...rows, own],
      observation: { ...own, context: "", width: 8, height: 6, image_presets: [], context_presets: ["empty"] },
      observation_index: 2,
      inputs: { context: "", question: "Is there a cat?", truth: null, image_preset: "natural", context_preset: "empty", key: "k1" },
    });
    await settle();
    expect(page.text("observation-picker")).toContain("Own image 2");
    await page.click("observation-picker");
    expect(page.text("observation-2")).toContain("cat.png");
    await page.type("truth-field", " Yes ", "enter");
    expect(page.model.last("truth")).toMatchObject({ kind: "truth", text: "Yes" });
  });
});

it("the tools that the kernel knows are those of the page", async () => {
  await start();
  const [, list = ""] = /^TOOLS = \(([^)]*)\)/m.exec(readFileSync("isi_widget/widget/protocol.py", "utf8")) ?? [];
  const kernel = Array.from(list.matchAll(/"(\w+)"/g), ([, name]) => name ?? "");
  expect(kernel.length).toBeGreaterThan(5);
  expect(kernel.sort()).toEqual(Object.values(TOOL_KEYS).sort());
});

it("a trial's own settings are not the present ones", async () => {
  await start({ trials: [trial(1)], shown: 1, settings: { ...SETTINGS, samples: 99 } });
  expect(page.text("settings")).toContain("99 ×");
});
