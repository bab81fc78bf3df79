// Panels, runs, results, errors, two views: what is sent and what is shown.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { browser, FakeModel, open, preview, settle, traits, trial } from "./fake";

let page: Awaited<ReturnType<typeof open>>;
const operations = (): unknown => page.model.operations();
const pressed = (test: string): string | null => page.find(test).getAttribute("aria-pressed");

beforeEach(async () => {
  browser();
  page = await open();
});
afterEach(() => {
  vi.useRealTimers();
  page.end();
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

async function reopen(over: Record<string, unknown>): Promise<void> {
  page.end();
  page.el.remove();
  page = await open(new FakeModel(traits(over)));
}

const running = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  status: { state: "running", id: "r", measures: ["answer", "uncertainty"], stage: "samples", done: 3, total: 10, queued: 0, ...over },
});

describe("presets", () => {
  it("of the image: a choice, replaced by the next, gone with natural", async () => {
    await page.click("image-annotated");
    expect(operations()).toEqual([{ op: "image", preset: "annotated", seed: null }]);
    expect(pressed("image-annotated")).toBe("true");
    await page.click("image-random");
    expect(operations()).toMatchObject([{ op: "image", preset: "random" }]);
    await page.click("image-natural");
    expect(operations()).toEqual([]);
  });

  it("of the context", async () => {
    await page.click("context-complementary");
    expect(operations()).toEqual([{ op: "context", preset: "complementary", seed: null }]);
    expect(pressed("context-complementary")).toBe("true");
    expect(pressed("context-empty")).toBe("false");
    await page.click("context-empty");
    expect(operations()).toEqual([]);
  });

  it("random draws a new seed each time", async () => {
    await page.click("context-random");
    const first = operations();
    await page.click("context-empty");
    await page.click("context-random");
    expect(operations()).not.toEqual(first);
  });

  it("of a few data sets show only where an observation has them", async () => {
    expect(page.el.querySelector('[data-testid="context-nudging"]')).toBeNull();
    const observation = page.model.get("observation") as { context_presets: string[] };
    page.model.kernel({ observation: { ...observation, context_presets: [...observation.context_presets, "nudging"] } });
    await settle();
    expect(page.find("context-nudging").title).toContain("without stating it");
  });

  it("that an observation lacks are off and say why", async () => {
    const button = page.find("context-irrelevant");
    expect(button.getAttribute("aria-disabled")).toBe("true");
    expect(button.title).toContain("no irrelevant context");
    await page.click("context-irrelevant");
    expect(page.model.saved).toHaveLength(0);
  });
});

describe("text", () => {
  it("of the context is edited, marked, and one undo step per visit", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const field = page.find("context") as HTMLTextAreaElement;
    for (const text of ["A st", "A star."]) {
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      vi.advanceTimersByTime(1000);
    }
    vi.useRealTimers();
    field.dispatchEvent(new FocusEvent("blur"));
    await settle();
    expect(operations()).toEqual([{ op: "context", text: "A star.", preset: null, seed: null }]);
    expect(page.find("context-edited")).toBeTruthy();
    expect(pressed("context-empty")).toBe("false");
    await page.click("undo");
    expect(operations()).toEqual([]);
  });

  it("say whose truth is known before anything runs", async () => {
    expect(page.text("truth-tip")).toMatch(/^truthThe right answer/);
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), truth_holds: null } });
    await settle();
    expect(page.text("truth-tip")).toMatch(/^truth of the original picture/);
    expect(page.text("truth-tip")).toContain("may have changed it");
    expect(page.find("truth").dataset).toMatchObject({ truth: "Yes", holds: "false" });
  });

  it("of the question: Enter commits, reset goes back, and the truth is unknown meanwhile", async () => {
    expect(page.find("truth").dataset.truth).toBe("Yes");
    await page.type("question", "Is there a cat?", "enter");
    expect(operations()).toEqual([{ op: "question", text: "Is there a cat?" }]);
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), question: "Is there a cat?", truth: null, key: "k1" } });
    await settle();
    expect(page.find("truth").dataset.truth).toBe("");
    expect(page.text("truth")).toContain("no truth: question changed");
    await page.click("question-reset");
    expect(operations()).toEqual([]);
  });

  it("typed back to the original is no edit", async () => {
    await page.type("question", "Is there a star?");
    expect(page.model.saved).toHaveLength(0);
  });
});

describe("observations", () => {
  it("are searched and chosen", async () => {
    await page.click("observation-picker");
    await page.type("observation-search", "circle attribute", "none");
    expect(page.maybe("observation-0")).toBeNull();
    await page.key("Enter", {}, "observation-search");
    expect(page.model.get("observation_index")).toBe(1);
    expect(page.maybe("observation-list")).toBeNull();
  });

  it("no match is said", async () => {
    await page.click("observation-picker");
    await page.type("observation-search", "zebra", "none");
    expect(page.text("observation-list")).toContain("No observation");
    await page.key("Escape", {}, "observation-search");
    expect(page.maybe("observation-list")).toBeNull();
  });
});

describe("runs", () => {
  it("send what is asked, with the settings", async () => {
    await page.click("settings");
    await page.type("settings-samples", "20");
    expect(page.model.get("settings")).toMatchObject({ samples: 20, temperature: 0.9 });
    await page.click("run");
    const message = page.model.last("run");
    expect(message).toMatchObject({ kind: "run", measures: ["answer", "uncertainty", "attention"], settings: { samples: 20 } });
    expect(typeof message?.id).toBe("string");
    await page.click("run-attention");
    expect(page.model.last("run")).toMatchObject({ measures: ["attention"] });
    expect(page.model.last("run")?.id).not.toBe(message?.id);
  });

  it("settings out of range are held, and nonsense is put back", async () => {
    await page.click("settings");
    await page.type("settings-samples", "5000");
    expect(page.model.get("settings")).toMatchObject({ samples: 1000 });
    await page.type("settings-temperature", "0");
    expect(page.model.get("settings")).toMatchObject({ temperature: 0.05 });
    await page.type("settings-seed", "");
    expect((page.find("settings-seed") as HTMLInputElement).value).toBe("0");
  });

  it("show progress where the result will be, and the queue", async () => {
    page.model.kernel(running({ queued: 1 }));
    await settle();
    expect(page.find("status").dataset.state).toBe("running");
    expect(page.text("status")).toContain("samples");
    expect(page.text("queued")).toContain("1");
    expect(page.text("progress-uncertainty")).toContain("3 of 10");
    expect(page.maybe("progress-answer")).toBeNull();
    expect(page.maybe("progress-attention")).toBeNull();
    page.model.message({ kind: "progress", id: "r", stage: "samples", done: 7, total: 10 });
    await settle();
    expect(page.text("progress-uncertainty")).toContain("7 of 10");
  });

  it("are cancelled by button and by Escape, with what waits behind them", async () => {
    page.model.kernel(running({ queued: 1 }));
    await settle();
    expect(page.find("cancel").title).toContain("what waits");
    await page.click("cancel");
    expect(page.model.last("cancel")).toMatchObject({ kind: "cancel", run: "" });
    page.model.sent.length = 0;
    await page.key("Escape");
    expect(page.model.last("cancel")).toMatchObject({ kind: "cancel", run: "" });
    page.model.kernel(running({ state: "cancelling" }));
    await settle();
    expect(page.find("status").dataset.state).toBe("cancelling");
  });

  it("Ctrl+Enter in a field takes what is typed there, and waits for the kernel to have it", async () => {
    const field = page.find("question") as HTMLTextAreaElement;
    field.value = "Is there a cat?";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await page.key("Enter", { ctrlKey: true }, "question");
    expect(operations()).toEqual([{ op: "question", text: "Is there a cat?" }]);
    expect(page.model.last("run")).toBeUndefined();
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), question: "Is there a cat?", key: "k1" } });
    await settle();
    expect(page.model.last("run")).toBeDefined();
  });

  it("a kernel that is gone is said after a while, and what was there stays", async () => {
    await reopen({ trials: [trial()], shown: 1 });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    page.find("run").click();
    vi.advanceTimersByTime(30_000);
    vi.useRealTimers();
    await settle();
    expect(page.text("error-message")).toContain("did not start");
    expect(page.text("error-hint")).toContain("kernel is gone");
    expect(page.text("answer")).toBe("No star.");
    expect(page.maybe("cancel")).toBeNull();
  });
});

describe("results", () => {
  beforeEach(() => reopen({ trials: [trial()], shown: 1 }));

  it("name each kind of drawing once, with its number", async () => {
    const box = { op: "box", x: 1, y: 1, width: 2, height: 2, color: "#000000", fill: true, line_width: 3 };
    const made = trial() as { view: object };
    const view = { ...made.view, operations: [box, { op: "noise", sigma: 0.2, seed: 0, region: null }, box, box] };
    await reopen({ trials: [{ ...made, view }], shown: 1 });
    expect(page.text("sent-image")).toBe("natural + box × 3 + noise");
    expect(page.find("sent-image").title).toBe("natural + box × 3 + noise");
  });

  it("show input, answer against truth, probabilities", () => {
    expect(page.text("sent-image")).toBe("natural + box");
    expect(page.text("sent-context")).toBe("empty");
    expect(page.text("answer")).toBe("No star.");
    expect(page.find("mark").dataset.correct).toBe("false");
    expect(page.text("mark")).toContain("wrong");
    expect(page.text("answer-truth")).toContain("Yes");
    expect(page.text("yes-no-no")).toContain("0.71");
    expect(page.text("answer-probability")).toContain("p 0.50");
  });

  it("show reasoning beside the answer, folded", async () => {
    expect(page.maybe("reasoning")).toBeNull();
    const answer = { text: "No star.", correct: false, finished: true, tokens: [], yes_no: null };
    await reopen({ trials: [trial(1, "k0", { answer: { ...answer, reasoning: "<b>I see</b> no star." } })], shown: 1 });
    expect(page.find("reasoning").hasAttribute("open")).toBe(false);
    expect(page.text("reasoning")).toContain("<b>I see</b> no star.");
    expect(page.text("answer")).toBe("No star.");
  });

  it("show the entropy with unit, interval and definition", () => {
    const row = page.text("entropy-semantic_entropy");
    expect(row).toContain("0.61");
    expect(row).toContain("nats");
    expect(row).toContain("[0.33, 0.69]");
    expect(page.text("entropy-semantic_entropy-tip")).toContain("Entropy over meanings.");
  });

  it("show the answers of a cluster on demand", async () => {
    expect(page.maybe("cluster-0-answers")).toBeNull();
    await page.click("cluster-0-toggle");
    expect(page.text("cluster-0-answers")).toContain("5×");
    expect(page.text("cluster-0-answers")).toContain("No.");
    expect(page.find("cluster-0-toggle").getAttribute("aria-expanded")).toBe("true");
  });

  it("show attention absolute or relative, with token counts", async () => {
    expect(page.text("attention-image")).toContain("0.25");
    expect(page.text("attention-image")).toContain("64 tokens");
    expect(page.text("attention-other")).toContain("0.50");
    await page.click("attention-relative");
    expect(page.text("attention-image")).toContain("0.50");
    expect(page.maybe("attention-other")).toBeNull();
  });

  it("show a system prompt and earlier turns as segments of their own, never among the inputs", async () => {
    const shares = { image: 0.2, context: 0, question: 0.2, system: 0.1, history: 0.05, other: 0.45 };
    const attention = {
      segments: ["image", "context", "question", "system", "history", "other"],
      absolute: shares,
      relative: { image: 0.5, context: 0, question: 0.5 },
      token_counts: { image: 64, context: 0, question: 6, system: 9, history: 21, other: 12 },
      modality_dominance_index: null,
      by_layer: [shares],
      by_head: [[0.2]],
      by_token: [shares],
    };
    page.model.kernel({ trials: [trial(2, "k0", { attention })], shown: 2 });
    await settle();
    expect(page.text("attention-system")).toContain("system prompt");
    expect(page.text("attention-system")).toContain("9 tokens");
    expect(page.text("attention-history")).toContain("0.05");
    await page.click("attention-relative");
    expect(page.maybe("attention-system")).toBeNull();
    expect(page.text("attention-image")).toContain("0.50");
    expect(page.text("attention-panel")).toContain("earlier turns left out");
  });

  it("what was not run is not shown, and says what it would be", async () => {
    page.model.kernel({ trials: [trial(2, "k0", { uncertainty: null, attention: null })], shown: 2 });
    await settle();
    expect(page.maybe("entropy-semantic_entropy")).toBeNull();
    expect(page.text("uncertainty-panel")).toContain("grouped by meaning");
    expect(page.text("attention-panel")).toContain("Attention is not importance");
  });

  it("are marked when the input has changed, at once and until it is the same again", async () => {
    expect(page.find("results").dataset.stale).toBe("false");
    await page.key("b");
    await page.drag([10, 20], [110, 70]);
    expect(page.find("results").dataset.stale).toBe("true");
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), key: "k1" }, preview: preview("k1") });
    await settle();
    expect(page.text("stale")).toContain("Input changed since trial 1");
    await page.click("rerun");
    expect(page.model.last("run")).toMatchObject({ measures: ["answer", "uncertainty", "attention"] });
    await page.click("undo");
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), key: "k0" }, status: { state: "idle" } });
    await settle();
    expect(page.find("results").dataset.stale).toBe("false");
  });

  it("whose tokens have no probability claim none", async () => {
    const answer = { text: "Yes.", correct: true, finished: true, tokens: [{ text: "Yes", logprob: -1 }, { text: ".", logprob: null }], yes_no: null };
    page.model.kernel({ trials: [trial(2, "k0", { answer })], shown: 2 });
    await settle();
    expect(page.text("answer")).toBe("Yes.");
    expect(page.maybe("answer-probability")).toBeNull();
  });

  it("of sampled answers show counts, never another probability beside them", async () => {
    const uncertainty = {
      samples: 4,
      temperature: 1,
      caveats: [],
      entropies: [
        { name: "semantic_entropy", label: "Semantic entropy", value: null, unit: "nats", definition: "S" },
        { name: "discrete_semantic_entropy", label: "Discrete semantic entropy", value: 0.56, unit: "nats", definition: "D" },
      ],
      clusters: [{ id: 0, name: "no", count: 3, probability: null, answers: [{ text: "no", count: 3 }] }],
    };
    page.model.kernel({ trials: [trial(2, "k0", { uncertainty })], shown: 2 });
    await settle();
    expect(page.text("cluster-0")).toContain("3 of 4");
    expect(page.text("cluster-0")).not.toContain("0.00");
    expect(page.find("cluster-0").querySelector(".isi-value")?.getAttribute("width")).toBe("75%");
    expect(page.text("trial-2")).toContain("SE 0.56");
  });

  it("of enumerated answers show probabilities and what they come from, no counts", async () => {
    const uncertainty = {
      samples: 2,
      temperature: 1,
      basis: "2 answers with 99.0% of the probability at temperature 1",
      caveats: [],
      entropies: [{ name: "bayesian_semantic_entropy", label: "Semantic entropy, enumerated", value: 0.2, low: 0.1, high: 0.3, unit: "nats", definition: "S" }],
      clusters: [{ id: 0, name: "no", count: null, probability: 0.95, answers: [{ text: "no", count: null, probability: 0.94 }, { text: "none", count: null, probability: 0.01 }] }],
    };
    page.model.kernel({ trials: [trial(2, "k0", { uncertainty })], shown: 2 });
    await settle();
    expect(page.text("uncertainty-panel")).toContain("99.0% of the probability");
    expect(page.text("cluster-0")).toContain("0.95");
    expect(page.text("cluster-0")).not.toMatch(/ of 2|null/);
    await page.click("cluster-0-toggle");
    expect(page.text("cluster-0-answers")).toContain("0.940");
    expect(page.text("cluster-0-answers")).not.toMatch(/×|null/);
  });

  it("say under them what could not be measured", async () => {
    expect(page.maybe("notes")).toBeNull();
    page.model.kernel({ trials: [trial(2, "k0", { attention: null, notes: ["attention is not available: no recorder."] })], shown: 2 });
    await settle();
    expect(page.text("notes")).toBe("attention is not available: no recorder.");
  });

  it("are spoken to screen readers", async () => {
    page.model.message({ kind: "result", id: "r", trial: 1 });
    await settle();
    expect(page.text("spoken")).toBe("Answer: No star., wrong. Semantic entropy 0.61 nats.");
    expect(page.find("spoken").getAttribute("aria-live")).toBe("polite");
  });

  it("of every run stay in the strip; a click shows one", async () => {
    page.model.kernel({ trials: [trial(1), trial(2, "k1", { answer: null })], shown: 2 });
    await settle();
    expect(pressed("trial-2")).toBe("true");
    expect(page.text("trial-1")).toContain("SE 0.61");
    await page.click("trial-1");
    expect(page.model.get("shown")).toBe(1);
    expect(page.text("answer")).toBe("No star.");
  });

  it("Copy as Python asks the kernel and shows what it says", async () => {
    const write = vi.fn(() => Promise.resolve());
    vi.stubGlobal("navigator", { clipboard: { writeText: write } });
    await page.click("copy-code");
    const id = page.model.last("code")?.id;
    page.model.message({ kind: "code", id, text: "s = obs.stimulus()" });
    await settle();
    expect((page.find("code") as HTMLTextAreaElement).value).toBe("s = obs.stimulus()");
    expect(write).toHaveBeenCalledWith("s = obs.stimulus()");
    expect(page.maybe("insert-cell")).toBeNull(); // nothing here says which notebook it is
  });

  it("and puts it into a cell below its own, where the host has a notebook", async () => {
    const view = { outputs: [{ data: { "application/vnd.jupyter.widget-view+json": { model_id: "me" } } }] };
    const insertCell = vi.fn();
    const sharedModel = { cells: [{}, { outputs: [{ data: {} }, {}] }, view, view].map((cell) => ({ toJSON: () => cell })), insertCell };
    const context = { model: { readOnly: false, sharedModel } };
    Object.assign(page.model, { widget_manager: { context } });
    const ask = async (): Promise<void> => {
      await page.click("copy-code");
      page.model.message({ kind: "code", id: page.model.last("code")?.id, text: `s = ${Math.random()}` });
      await settle();
    };
    await ask();
    expect(page.maybe("insert-cell")).toBeNull(); // not in this notebook
    page.model.kernel({ widget_id: "me" });
    await ask();
    const { value } = page.find("code") as HTMLTextAreaElement;
    await page.click("insert-cell");
    expect(insertCell).toHaveBeenCalledExactlyOnceWith(3, { cell_type: "code", source: value, metadata: { trusted: true } });
    expect(page.maybe("code")).toBeNull();
    context.model.readOnly = true;
    await ask();
    expect(page.maybe("insert-cell")).toBeNull();
  });
});

describe("what is not shown as it was written", () => {
  it("is said below the question", async () => {
    expect(page.find("prompt-problem").hidden).toBe(true);
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), warning: "The font has no letters for 中." } });
    await settle();
    expect(page.text("prompt-problem")).toContain("no letters for 中");
  });
});

describe("a kernel that is gone", () => {
  const gone = (): void => {
    expect(page.text("error-message")).toContain("The kernel of this probe is gone");
    expect(page.find("still")).toBeTruthy();
    expect(page.maybe("run")).toBeNull();
    expect(page.find("copy-code").getAttribute("aria-disabled")).toBe("true");
  };

  it("is told by the widget manager", async () => {
    const widget = { comm_live: true };
    Object.assign(page.model, { widget_manager: { get_model: () => Promise.resolve(widget) } });
    page.model.emit("comm_live_update");
    await settle();
    expect(page.maybe("still")).toBeNull();
    widget.comm_live = false;
    page.model.kernel({ kept: { folder: "work", problem: "", note: "" } });
    page.model.emit("comm_live_update");
    await settle();
    expect(page.text("error-hint")).toContain("Run All Above Selected Cell, then this cell. The session work brings all work back.");
    gone();
    await page.key("b");
    await page.key("Delete");
    expect(page.model.operations()).toEqual([]);
  });

  it("or by an error when something is asked of it", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => undefined);
    page.model.send = () => {
      throw new Error("Cannot send");
    };
    await page.click("run");
    await settle();
    gone();
    expect(page.find("status").dataset.state).toBe("empty");
  });
});

describe("errors", () => {
  it("of the kernel show with their hint, can be dismissed, and the widget stays usable", async () => {
    expect(page.find("error").hidden).toBe(true);
    page.model.kernel({ error: { message: "The model failed.", hint: "Use fewer samples.", id: "r" } });
    page.model.message({ kind: "error", id: "r", message: "The model failed.", hint: "Use fewer samples." });
    await settle();
    expect(page.find("error").getAttribute("role")).toBe("alert");
    expect(page.text("error-message")).toBe("The model failed.");
    expect(page.text("error-hint")).toBe("Use fewer samples.");
    await page.click("error-dismiss");
    expect(page.model.get("error")).toBeNull();
    expect(page.find("error").hidden).toBe(true);
    await page.click("run");
    expect(page.model.last("run")).toBeDefined();
  });
});

describe("uploads", () => {
  const choose = async (file: File): Promise<void> => {
    const input = page.find("file") as HTMLInputElement;
    Object.defineProperty(input, "files", { configurable: true, value: [file] });
    input.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
  };

  it("of an image send its bytes", async () => {
    await choose(new File([new Uint8Array([1, 2, 3])], "cat.png", { type: "image/png" }));
    expect(page.model.last("upload")).toMatchObject({ kind: "upload", name: "cat.png", part: 0, parts: 1 });
    expect(page.model.sent.findLast(({ content }) => content.kind === "upload")?.buffers[0]?.byteLength).toBe(3);
  });

  it("of something else, of nothing, and of what is too large to send are refused with what to do", async () => {
    await choose(new File(["x"], "notes.pdf", { type: "application/pdf" }));
    expect(page.text("error-message")).toContain("notes.pdf is not an image");
    await choose(new File([], "empty.png", { type: "image/png" }));
    expect(page.text("error-message")).toContain("is empty");
    const huge = new File(["x"], "huge.tiff", { type: "image/tiff" });
    Object.defineProperty(huge, "size", { value: 65 * 2 ** 20 });
    await choose(huge);
    expect(page.text("error-message")).toContain("at most 64 MiB");
    expect(page.model.last("upload")).toBeUndefined();
  });

  it("by paste", async () => {
    const event = new Event("paste", { bubbles: true, cancelable: true });
    Object.assign(event, { clipboardData: { files: [new File([new Uint8Array(5)], "p.png", { type: "image/png" })] } });
    page.find("isi-probe").dispatchEvent(event);
    await settle();
    expect(page.model.last("upload")).toMatchObject({ kind: "upload", name: "p.png" });
  });
});

describe("safety", () => {
  const EVIL = `<img src=x onerror="window.hit=1"><script>window.hit=1</script><svg onload="window.hit=1">`;

  it("text from data, model and user is text, never markup", async () => {
    const rows = [{ index: 0, id: EVIL, question: EVIL, answer: EVIL, level: EVIL }];
    await reopen({
      observations: rows,
      observation: { ...rows[0], context: EVIL, width: 800, height: 600, image_presets: ["natural"], context_presets: [] },
      inputs: { context: EVIL, question: EVIL, truth: EVIL, image_preset: "natural", context_preset: null, key: "k0" },
      model: { name: EVIL, note: EVIL, device: EVIL, label: EVIL, quantization: EVIL, unavailable: { attention: EVIL } },
      error: { message: EVIL, hint: EVIL, id: null },
      document: { version: 1, operations: [{ op: "text", x: 1, y: 1, text: EVIL }, { op: EVIL }], past: [], future: [] },
      trials: [
        trial(1, "k0", {
          question: EVIL,
          context: EVIL,
          truth: EVIL,
          model: EVIL,
          notes: [EVIL],
          answer: { text: EVIL, correct: true, tokens: [], yes_no: null },
          uncertainty: { samples: 1, temperature: 1, caveats: [EVIL], entropies: [{ name: "e", label: EVIL, value: 1, unit: EVIL, definition: EVIL }], clusters: [{ id: 0, name: EVIL, count: 1, probability: 1, answers: [{ text: EVIL, count: 1 }] }] },
        }),
      ],
      shown: 1,
    });
    await page.click("observation-picker");
    await page.click("cluster-0-toggle");
    expect(page.text("answer")).toBe(EVIL);
    expect(page.text("error-message")).toBe(EVIL);
    expect(page.text("observation-0")).toContain(EVIL);
    await page.click("model");
    page.model.answer("models", { free: 1, held: 0, device: EVIL, models: [{ name: EVIL, family: EVIL, parameters: 1, licence: EVIL, memory: { none: 2 } }] });
    page.model.kernel({ status: { state: "running", id: EVIL, measures: ["answer"], stage: EVIL, done: 0, total: 1, queued: 0 } });
    page.model.message({ kind: "partial", id: EVIL, answer: EVIL, samples: [EVIL] });
    await settle();
    expect(page.text("answer-partial")).toBe(EVIL);
    expect(page.text("sample-0")).toContain(EVIL);
    expect(page.text("model-list")).toContain(EVIL);
    expect(page.el.querySelectorAll("script, img[src=x], svg[onload]")).toHaveLength(0);
    expect((window as unknown as { hit?: number }).hit).toBeUndefined();
  });
});

describe("views", () => {
  it("two of one model stay in step; tool and selection are each one's own", async () => {
    const second = await open(page.model, page.definition);
    await page.key("b");
    expect(second.find("tool-box").getAttribute("aria-pressed")).toBe("false");
    await page.drag([10, 20], [110, 70]);
    expect(second.find("shape-0")).toBeTruthy();
    expect(second.maybe("handle-se")).toBeNull();
    await second.click("undo");
    expect(page.maybe("shape-0")).toBeNull();
    second.end();
  });

  it("two models share nothing", async () => {
    const other = await open();
    await page.click("image-annotated");
    expect(other.model.operations()).toEqual([]);
    other.end();
  });

  it("leave no listener behind", () => {
    expect(page.model.count()).toBeGreaterThan(0);
    page.end();
    expect(page.model.count()).toBe(0);
  });

  it("follow the theme of JupyterLab", async () => {
    document.body.setAttribute("data-jp-theme-light", "false");
    await settle();
    expect(page.find("isi-probe").dataset.theme).toBe("dark");
    document.body.setAttribute("data-jp-theme-light", "true");
    await settle();
    expect(page.find("isi-probe").dataset.theme).toBe("light");
    document.body.removeAttribute("data-jp-theme-light");
  });

  it("list the keys on ?", async () => {
    await page.key("?");
    expect(page.text("keys")).toContain("undo");
    await page.key("Escape");
    expect(page.maybe("keys")).toBeNull();
  });

  it("keep JupyterLab's shortcuts out, and are focusable", () => {
    const root = page.find("isi-probe");
    expect(root.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    expect(root.tabIndex).toBe(0);
  });
});
