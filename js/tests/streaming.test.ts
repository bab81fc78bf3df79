// What a run says while it goes on: shown where its results will stand, replaced by them, gone with a cancel or a failure.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { browser, FakeModel, leave, open, settle, traits, trial } from "./fake";

let page: Awaited<ReturnType<typeof open>>;
const ALL = ["answer", "uncertainty", "attention"];

beforeEach(async () => {
  browser();
  page = await open(new FakeModel(traits({ trials: [trial(1)], shown: 1 })));
});
afterEach(() => leave(page));

const run = async (stage: string, id = "r", state = "running"): Promise<void> => {
  page.model.kernel({ status: { state, id, measures: ALL, stage, done: 1, total: 10, queued: 0 } });
  await settle();
};
const idle = { status: { state: "idle", id: null, measures: [], stage: "", done: 0, total: 0, queued: 0 } };
const say = async (answer: string | null, samples: string[] = [], id = "r"): Promise<void> => {
  page.model.message({ kind: "partial", id, answer, samples });
  await settle();
};
const gone = (): void => {
  expect(page.maybe("answer-partial")).toBeNull();
  expect(page.maybe("samples-partial")).toBeNull();
};

describe("a run that speaks", () => {
  it("shows the answer so far, with a caret while it grows", async () => {
    await run("answer");
    await say("No, I");
    expect(page.text("answer-partial")).toBe("No, I");
    expect(page.find("answer-partial").className).toBe("isi-growing");
    expect(page.find("answer-panel").getAttribute("aria-busy")).toBe("true");
    expect(page.maybe("answer")).toBeNull();
    await run("samples");
    expect(page.find("answer-partial").className).toBe("");
  });

  it("shows the samples that have ended, equal ones together, no row ever moving", async () => {
    await run("samples");
    await say("No.", ["No."]);
    await say("No.", ["No.", "Yes.", "Yes."]);
    expect(page.text("samples-partial")).toContain("3 samples so far");
    expect(page.text("sample-0")).toBe("No.1");
    expect(page.text("sample-1")).toBe("Yes.2");
    expect(page.maybe("entropy-semantic_entropy")).toBeNull();
  });

  it("shows eight wordings and counts the others", async () => {
    await run("samples");
    await say(null, Array.from({ length: 11 }, (_, i) => `Answer ${i}`));
    expect(page.find("sample-7")).toBeTruthy();
    expect(page.maybe("sample-8")).toBeNull();
    expect(page.text("samples-partial")).toContain("and 3 other wordings");
  });

  it("leaves what it has not said yet as it was, marked as of the trial before", async () => {
    await run("answer");
    await say("No");
    expect(page.text("sent")).toContain("of trial 1");
    expect(page.find("results").className).toContain("isi-stale");
    expect(page.find("entropy-semantic_entropy")).toBeTruthy();
    expect(page.find("attention-image")).toBeTruthy();
  });

  it("keeps the height of what it replaces", async () => {
    vi.spyOn(HTMLElement.prototype, "offsetHeight", "get").mockReturnValue(411);
    await run("samples");
    await say("No", ["No."]);
    expect(page.find("uncertainty-panel").style.minHeight).toBe("411px");
    expect(page.find("attention-panel").style.minHeight).toBe("");
    page.model.kernel(idle);
    await settle();
    expect(page.find("uncertainty-panel").style.minHeight).toBe("");
  });

  it("says nothing to screen readers but its stage and its end", async () => {
    await run("answer");
    const before = page.text("spoken");
    await say("No, I see");
    expect(page.text("spoken")).toBe(before);
    expect(before).toBe("Running: answer");
  });
});

describe("it goes", () => {
  beforeEach(async () => {
    await run("samples");
    await say("No.", ["No."]);
  });

  it("when the result is there, before the kernel is idle", async () => {
    page.model.kernel({ trials: [trial(1), trial(2)], shown: 2 });
    page.model.message({ kind: "result", id: "r", trial: 2 });
    await settle();
    gone();
    expect(page.text("answer")).toBe("No star.");
  });

  it("when it was cancelled or failed", async () => {
    await run("samples", "r", "cancelling");
    expect(page.find("answer-partial")).toBeTruthy();
    page.model.kernel(idle);
    await settle();
    gone();
    expect(page.find("results").dataset.trial).toBe("1");
  });

  it("when another run begins", async () => {
    await run("", "r2");
    gone();
    await say("late", [], "r");
    gone();
    await say("Yes", [], "r2");
    expect(page.text("answer-partial")).toBe("Yes");
  });

  it("when the user looks at an older trial instead, until the next run", async () => {
    await page.click("trial-1");
    gone();
    await say("No. I", ["No.", "No."]);
    gone();
    page.model.kernel(idle);
    await run("answer", "r2");
    await say("Yes", [], "r2");
    expect(page.text("answer-partial")).toBe("Yes");
  });
});

it("what comes when nothing runs is not shown", async () => {
  await say("No.", ["No."]);
  gone();
});
