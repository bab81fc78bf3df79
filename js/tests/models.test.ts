// The list of models: what it shows, what it asks the kernel for, how it is used by keys, and what a switch does to the results.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { browser, FakeModel, offer, open, settle, traits, trial } from "./fake";

let page: Awaited<ReturnType<typeof open>>;

beforeEach(async () => {
  browser();
  page = await open(new FakeModel(traits({ trials: [trial(1)], shown: 1 })));
});
afterEach(() => {
  vi.useRealTimers();
  page.end();
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

async function list(over: Record<string, unknown> = {}): Promise<void> {
  await page.click("model");
  page.model.answer("models", offer(over));
  await settle();
}
const loaded = (): unknown => page.model.last("load");
const off = (name: string): boolean => page.find(`model-${name}`).getAttribute("aria-disabled") === "true";
const other = { name: "org/small-2b", note: "", device: "cuda:0", parameters: 2e9, quantization: "nf4", label: "org/small-2b nf4", unavailable: {} };

describe("the list of models", () => {
  it("is asked for when it opens, each time", async () => {
    expect(page.model.last("models")).toBeUndefined();
    await page.click("model");
    expect(page.model.last("models")).toMatchObject({ kind: "models" });
    expect(page.text("model-list")).toContain("Waiting for the list");
    expect(page.find("model").getAttribute("aria-expanded")).toBe("true");
    await page.click("model");
    expect(page.maybe("model-list")).toBeNull();
    await page.click("model");
    expect(page.model.sent.filter(({ content }) => content.kind === "models")).toHaveLength(2);
  });

  it("takes the focus when it opens, not from another field when the kernel's list comes", async () => {
    await page.click("model");
    expect(document.activeElement).toBe(page.find("model-search"));
    page.find("model-other").focus();
    page.model.answer("models", offer());
    await settle();
    expect(page.find("model-embedded")).not.toBeNull();
    expect(document.activeElement).toBe(page.find("model-other"));
  });

  it("gives the focus back to its button, however soon it is closed", async () => {
    page.find("model").focus();
    page.find("model").click();
    while (page.maybe("model-list") === null) await Promise.resolve();
    // Before the browser has painted the list.
    page.find("model-search").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true, composed: true, cancelable: true }));
    await settle();
    expect(page.maybe("model-list")).toBeNull();
    expect(document.activeElement).toBe(page.find("model"));
  });

  it("shows family, size, licence, and the memory needed against what is free", async () => {
    await list();
    expect(page.text("model-free")).toBe("10 GiB free on cuda:0");
    const row = page.text("model-org/small-2b");
    for (const word of ["org/", "small-2b", "2.0 B", "apache-2.0", "needs 4.0 GiB of 10 GiB free"]) expect(row).toContain(word);
    const families = Array.from(page.el.querySelectorAll(".isi-family"), (x) => x.textContent);
    expect(families).toEqual(["Embedded", "Small", "Middle"]);
    expect(page.find("model-embedded").getAttribute("aria-selected")).toBe("true");
  });

  it("marks what does not fit, says why and what would, and does not load it", async () => {
    await list();
    expect(off("org/middle-13b")).toBe(true);
    expect(page.text("model-org/middle-13b")).toContain("needs 26 GiB: does not fit, in 4 bit it would");
    expect(page.text("model-org/large-70b")).toMatch(/needs 140 GiB: does not fit$/);
    expect(page.find("model-org/large-70b").title).toContain("does not fit");
    await page.click("model-org/middle-13b");
    expect(loaded()).toBeUndefined();
    await page.click("precision-nf4");
    expect(off("org/middle-13b")).toBe(false);
    await page.click("model-org/middle-13b");
    expect(loaded()).toMatchObject({ kind: "load", name: "org/middle-13b", quantization: "nf4" });
    expect(page.maybe("model-list")).toBeNull();
  });

  it("counts what the present model would leave", async () => {
    await list({ free: 2 * 2 ** 30, held: 3 * 2 ** 30 });
    expect(page.text("model-org/small-2b")).toContain("needs 4.0 GiB of 5.0 GiB free");
    expect(off("org/small-2b")).toBe(false);
  });

  it("blames no model where the free memory is not known", async () => {
    await list({ free: null });
    expect(page.maybe("model-free")).toBeNull();
    expect(off("org/large-70b")).toBe(false);
    expect(page.text("model-org/large-70b")).toMatch(/needs 140 GiB$/);
  });

  it("takes a model that has no such precision as it is", async () => {
    page.model.kernel({ model: other });
    await list();
    expect(page.find("precision-nf4").getAttribute("aria-pressed")).toBe("true");
    await page.click("model-embedded");
    expect(loaded()).toMatchObject({ name: "embedded", quantization: null });
  });

  it("does not load what is there, but does in another precision", async () => {
    page.model.kernel({ model: other });
    await list();
    await page.click("model-org/small-2b");
    expect(loaded()).toBeUndefined();
    expect(page.maybe("model-list")).toBeNull();
    await list();
    await page.click("precision-int8");
    await page.click("model-org/small-2b");
    expect(loaded()).toMatchObject({ name: "org/small-2b", quantization: "int8" });
  });

  it("is searched and used by keys alone", async () => {
    await list();
    const field = page.find("model-search");
    expect(document.activeElement).toBe(field);
    expect(field.getAttribute("role")).toBe("combobox");
    await page.type("model-search", "llama2 13", "none");
    expect(page.maybe("model-org/small-2b")).toBeNull();
    await page.type("model-search", "b", "none");
    const active = (): string | undefined => document.getElementById(field.getAttribute("aria-activedescendant") ?? "")?.dataset.testid;
    expect(active()).toBe("model-embedded");
    await page.key("ArrowDown", {}, "model-search");
    expect(active()).toBe("model-org/small-2b");
    await page.key("Enter", {}, "model-search");
    expect(loaded()).toMatchObject({ name: "org/small-2b", quantization: null });
  });

  it("says when nothing matches, and closes on Escape", async () => {
    await list();
    await page.type("model-search", "zebra", "none");
    expect(page.text("model-list")).toContain("No listed model");
    await page.key("Enter", {}, "model-search");
    expect(loaded()).toBeUndefined();
    await page.key("Escape", {}, "model-search");
    expect(page.maybe("model-list")).toBeNull();
  });

  it("takes any other name or folder", async () => {
    await list();
    await page.click("model-load");
    expect(loaded()).toBeUndefined();
    await page.click("precision-int8");
    (page.find("model-other") as HTMLInputElement).value = " /data/my-llava ";
    await page.key("Enter", {}, "model-other");
    expect(loaded()).toMatchObject({ name: "/data/my-llava", quantization: "int8" });
  });

  it("says that the kernel is gone", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    page.find("model").click();
    vi.advanceTimersByTime(20_000);
    vi.useRealTimers();
    await settle();
    expect(page.text("error-message")).toContain("list of models");
  });
});

describe("loading", () => {
  const loading = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
    status: { state: "running", id: "l", measures: ["load"], stage: "model", done: 40, total: 100, queued: 0, ...over },
  });

  it("shows how far it is, beside the model and in the status, and can be cancelled", async () => {
    page.model.kernel(loading());
    await settle();
    expect(page.text("status")).toContain("Loading the model");
    expect((page.find("model-progress") as HTMLProgressElement).value).toBe(40);
    expect(page.maybe("progress-answer")).toBeNull();
    expect(page.text("spoken")).toBe("Loading the model");
    await page.click("cancel");
    expect(page.model.last("cancel")).toMatchObject({ kind: "cancel", run: "" });
  });

  it("ends with the new model; the trials of the old one stay and say so", async () => {
    page.model.kernel(loading());
    page.model.kernel({ model: other, status: { state: "idle" } });
    await settle();
    expect(page.text("model")).toContain("org/small-2b nf4");
    expect(page.text("spoken")).toBe("Model: org/small-2b nf4");
    expect(page.text("status")).toContain("embedded, not the current model");
    expect(page.find("status").dataset.state).toBe("other-model");
    expect(page.text("trial-1")).toContain("embedded");
    await page.click("rerun");
    expect(page.model.last("run")).toMatchObject({ measures: ["answer", "uncertainty", "attention"] });
    page.model.kernel({ status: { state: "running", id: page.model.last("run")?.id, measures: ["answer"], stage: "", done: 0, total: 0, queued: 0 } });
    page.model.kernel({ trials: [trial(1), trial(2, "k0", { model: other.label })], shown: 2, status: { state: "idle" } });
    await settle();
    expect(page.find("status").dataset.state).toBe("current");
    expect(page.text("trial-2")).not.toContain("org/");
  });

  it("that fails leaves the old model", async () => {
    page.model.kernel(loading());
    page.model.kernel({ status: { state: "idle" }, error: { message: "There is no model folder 'x'.", hint: "", id: "l" } });
    await settle();
    expect(page.text("error-message")).toContain("no model folder");
    expect(page.text("model")).toContain("embedded");
    expect(page.find("status").dataset.state).toBe("current");
  });
});

describe("what a model cannot give", () => {
  beforeEach(() => page.model.kernel({ model: { ...other, label: "embedded", unavailable: { attention: "Its layers take no recorder." } } }));

  it("cannot be asked for, and the button says why", async () => {
    await settle();
    const button = page.find("run-attention");
    expect(button.getAttribute("aria-disabled")).toBe("true");
    expect(button.title).toContain("Its layers take no recorder.");
    await page.click("run-attention");
    expect(page.model.last("run")).toBeUndefined();
    expect(page.find("run-answer").getAttribute("aria-disabled")).toBeNull();
  });

  it("is explained where its result would be", async () => {
    page.model.kernel({ trials: [trial(2, "k0", { attention: null })], shown: 2 });
    await settle();
    expect(page.text("attention-panel")).toContain("Its layers take no recorder.");
    expect(page.text("attention-panel")).not.toContain("good first hint");
  });

  it("is left to the kernel when everything is run, and left out when a trial is run again", async () => {
    await settle();
    await page.click("run");
    expect(page.model.last("run")).toMatchObject({ measures: ["answer", "uncertainty", "attention"] });
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), key: "k9" } });
    await settle();
    page.model.kernel({ status: { state: "running", id: page.model.last("run")?.id, measures: [], stage: "", done: 0, total: 0, queued: 0 } });
    page.model.kernel({ status: { state: "idle" } });
    await settle();
    await page.click("rerun");
    expect(page.model.last("run")).toMatchObject({ measures: ["answer", "uncertainty"] });
  });
});

describe("a model seen with interventions", () => {
  const changed = { model: "embedded, 2 heads changed", interventions: "2 heads changed", intervention_lines: ["L2H0 × 0", "L1H3 → mean"] };

  it("is said on the card of its trials and beside the answer, line by line on hover", async () => {
    expect(page.maybe("interventions")).toBeNull();
    expect(page.text("trial-1")).not.toContain("changed");
    page.model.kernel({ model: { ...other, name: "embedded", label: changed.model }, trials: [trial(1), trial(2, "k1", changed)], shown: 2 });
    await settle();
    expect(page.text("interventions")).toBe("2 heads changed");
    expect(page.find("interventions").title).toBe("L2H0 × 0\nL1H3 → mean");
    expect(page.text("trial-2")).toContain("2 heads changed");
    expect(page.text("trial-1")).toContain("embedded");
  });
});
