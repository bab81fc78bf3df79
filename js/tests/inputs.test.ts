// The input panels: choosing an observation, presets, tokens, settings, runs that follow changes, time left, camera, files.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { duration } from "../src/panels/progress";
import { DEFAULTS } from "../src/panels/settings";
import { Pace } from "../src/state/pace";
import { TOOL_KEYS } from "../src/state/screen";
import { Store } from "../src/state/store";
import { readStatus } from "../src/read";
import { accept, MAX_BYTES } from "../src/upload";
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
    page.model.message({ kind: "thumbnails", indexes }, buffers);
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
      expect(page.model.last("reshuffle")).toEqual({ kind: "reshuffle", part });
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
    expect(page.text("error-message")).toContain("Another random context was not drawn");
  });

  it("a new one that came is no silence", async () => {
    await start({ document: { version: 1, operations: [{ op: "context", preset: "random", seed: 1 }], past: [], future: [] } });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    page.find("context-reshuffle").click();
    page.model.kernel({ document: { version: 1, operations: [{ op: "context", preset: "random", seed: 2 }], past: [], future: [] } });
    vi.advanceTimersByTime(10_000);
    vi.useRealTimers();
    await settle();
    expect(page.find("error").hidden).toBe(true);
  });
});

describe("tokens", () => {
  const asked = (): number => page.model.sent.filter(({ content }) => content.kind === "tokens").length;
  const told = (over: Record<string, unknown> = {}): unknown => ({ kind: "tokens", key: "k0", model: "embedded", counts: { template: 5, image: 64, context: 0, question: 6 }, problem: "", ...over });
  const pause = (): Promise<void> => new Promise((done) => setTimeout(done, 320));
  const tell = async (over: Record<string, unknown> = {}): Promise<void> => {
    page.model.message(told(over));
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
    await tell({ key: "k3", counts: { context: 1 } });
    expect(page.text("tokens-context")).toBe("1 token");
    page.model.kernel({ model: { ...(page.model.get("model") as object), label: "other" } });
    await settle();
    expect(page.text("tokens-context")).toBe("");
    await pause();
    expect(asked()).toBe(before + 2);
  });

  it("are not asked for while the model is busy, but when it is free again", async () => {
    const status = { state: "running", id: "r", what: ["answer"], stage: "answer", note: "", done: 1, total: 9, queued: 0 };
    await start({ status });
    await pause();
    expect(asked()).toBe(0);
    page.model.kernel({ status: { ...status, state: "idle", id: null } });
    await pause();
    expect(asked()).toBe(1);
  });

  it("that are too many are said before a run", async () => {
    await start();
    expect(page.find("prompt-problem").hidden).toBe(true);
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
    const source = readFileSync("isi_widget/settings.py", "utf8");
    const fields = Array.from(source.matchAll(/^ {4}(\w+): [^\n=]+ = ([^\n]+)$/gm), ([, name, value]) => [name, value]).filter(([name]) => name !== "what");
    expect(fields).toHaveLength(11);
    const python = (value: unknown): string => (typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value));
    for (const [name, value] of fields) {
      const here = python(DEFAULTS[name as keyof typeof DEFAULTS]);
      expect([name, here === "1" && name === "top_p" ? "1.0" : here]).toEqual([name, value]);
    }
    expect(SETTINGS).toEqual(DEFAULTS);
  });

  it("are all there, go to the kernel, and travel with a run", async () => {
    await start();
    await page.click("settings");
    for (const [name, value] of Object.entries({ samples: 3, temperature: 0.5, top_k: 40, top_p: 0.9, seed: 7, max_new_tokens: 12 })) {
      await page.type(`settings-${name}`, String(value), "none");
      expect(set()[name]).toBe(value);
    }
    for (const name of ["strict", "prepend_question"]) {
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
    pace.left(readStatus({ state: "running", id: "r", what: ["answer"], stage: "samples", total: 100, done, ...over }), 1000 * seconds);

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
    const status = { state: "running", id: "r", what: ["uncertainty"], stage: "samples", note: "", done: 0, total: 100, queued: 0 };
    await start({ status });
    expect(page.maybe("time-left")).toBeNull();
    clock.mockReturnValue(5000);
    page.model.message({ kind: "progress", id: "r", stage: "samples", done: 10, total: 100 });
    await settle();
    expect(page.text("time-left")).toBe("≤ 45 s left");
    clock.mockReturnValue(9000);
    await vi.waitFor(() => expect(page.text("time-left")).toBe("≤ 41 s left"), 3000);
    page.model.kernel({ status: { ...status, state: "idle", id: null, what: [] } });
    await settle();
    expect(page.maybe("time-left")).toBeNull();
  });

  it("of a model that is loaded is no upper bound", async () => {
    const clock = vi.spyOn(performance, "now").mockReturnValue(0);
    const status = { state: "running", id: "l", what: ["load"], stage: "model", note: "loading", done: 0, total: 100, queued: 0 };
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
    expect(page.model.last("upload")).toEqual({ kind: "upload", name: "camera.jpg" });
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

  it("of HEIC that the browser reads are sent as JPEG, without a word", async () => {
    await start();
    HTMLCanvasElement.prototype.toBlob = (done) => done(new Blob(["jpeg"], { type: "image/jpeg" }));
    await take(file("IMG_1.heic", "image/heic"));
    expect(page.model.last("upload")).toEqual({ kind: "upload", name: "IMG_1.heic" });
    expect(page.find("error").hidden).toBe(true);
  });

  it("of AVIF and others go to the kernel, which judges", async () => {
    await start();
    failing();
    await take(file("a.avif", "image/avif", [new Uint8Array([0, 0, 0, 24, ...new TextEncoder().encode("ftypavif")])]));
    expect(page.model.last("upload")).toEqual({ kind: "upload", name: "a.avif" });
  });

  it("that are large and broken say what to do", async () => {
    await start();
    failing();
    const store = new Store(page.model as never, new AbortController().signal);
    const large = file("a.png", "image/png");
    Object.defineProperty(large, "size", { value: MAX_BYTES + 1 });
    await accept(large, store);
    expect(store.notice.value?.message).toContain("is over 8 MiB and the browser cannot read it");
    expect(store.notice.value?.hint).toContain("Save it again as JPEG or PNG");
  });
});

describe("large files", () => {
  const large = (): File => {
    const made = new File(["data"], "large.png", { type: "image/png" });
    Object.defineProperty(made, "size", { value: MAX_BYTES + 1 });
    return made;
  };
  const upload = async (): Promise<Store> => {
    await start();
    const store = new Store(page.model as never, new AbortController().signal);
    await accept(large(), store);
    return store;
  };
  const sent = (): string => new TextDecoder().decode(page.model.sent.findLast(({ content }) => content.kind === "upload")?.buffers[0]);

  it("are scaled down in a worker, which is ended", async () => {
    const ended = vi.fn();
    let code = "";
    vi.stubGlobal("Worker", class {
      onmessage: ((event: unknown) => void) | null = null;
      constructor(url: string) {
        code = url;
      }
      postMessage([file, longest, bytes]: [File, number, number]): void {
        expect([file.name, longest, bytes]).toEqual(["large.png", 4096, MAX_BYTES]);
        queueMicrotask(() => this.onmessage?.({ data: { blob: new Blob(["small"]), before: "8000 × 6000", after: "4096 × 3072" } }));
      }
      terminate = ended;
    });
    const store = await upload();
    expect(code).toMatch(/^blob:/);
    expect(sent()).toBe("small");
    expect(store.notice.value?.message).toContain("from 8000 × 6000 to 4096 × 3072 pixels");
    expect(ended).toHaveBeenCalledOnce();
  });

  it("are scaled down on the page where no worker is allowed, at once or later", async () => {
    HTMLCanvasElement.prototype.toBlob = (done) => done(new Blob(["here"], { type: "image/jpeg" }));
    vi.stubGlobal("createImageBitmap", () => Promise.resolve({ width: 8000, height: 6000, close: () => undefined }));
    vi.stubGlobal("Worker", class {
      onerror: (() => void) | null = null;
      postMessage(): void {
        queueMicrotask(() => this.onerror?.());
      }
      terminate = (): void => undefined;
    });
    expect((await upload()).notice.value?.message).toContain("from 8000 × 6000 to 4096 × 3072 pixels");
    expect(sent()).toBe("here");
    page.end();
    page.el.remove();
    vi.stubGlobal("Worker", function refuse() {
      throw new DOMException("refused", "SecurityError");
    });
    expect((await upload()).notice.value?.message).toContain("4096 × 3072");
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
