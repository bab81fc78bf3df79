// Which entailment model compares the meanings: the list in the settings, what it asks of the kernel, and the doubt beside the numbers.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { browser, FakeModel, leave, open, settle, traits, trial, type Traits } from "./fake";

let page: Awaited<ReturnType<typeof open>>;

beforeEach(async () => {
  browser();
  page = await open(new FakeModel(traits({ trials: [trial(1)], shown: 1 })));
});
afterEach(() => leave(page));

const entry = (name: string, state: string, over: Traits = {}): Traits => ({ name, parameters: 184e6, download: 738e6, memory: 738e6, licence: "apache-2.0", languages: "English", state, ...over });
const MODELS = [entry("embedded", "shipped", { parameters: 4.4e5, download: 0 }), entry("org/xlarge", "to be downloaded", { download: 1.77e9 }), entry("org/base", "on disk")];

async function list(over: Traits = {}): Promise<void> {
  await page.click("settings");
  page.model.answer("judges", { models: MODELS, automatic: "rules", ...over });
  await settle();
}

describe("the list of entailment models", () => {
  it("is asked for with the settings, and says what automatic takes", async () => {
    await list();
    expect(page.model.last("judges")).toMatchObject({ kind: "judges" });
    expect(page.text("settings-judge")).toContain("auto: rules");
    expect(page.find("judge-auto").getAttribute("aria-pressed")).toBe("true");
  });

  it("says where each is, and the size of a download on the button that starts it", async () => {
    await list();
    expect(page.text("judge-org/xlarge")).toBe("Download 1.8 GB");
    expect(page.text("judge-org/base")).toBe("Use");
    const row = page.find("judge-org/base").closest("li")?.textContent ?? "";
    for (const word of ["org/base", "184 M", "English", "apache-2.0", "memory 738 MB", "on disk"]) expect(row).toContain(word);
  });

  it("asks the kernel for what is pressed, once", async () => {
    await list();
    await page.click("judge-auto");
    expect(page.model.last("judge")).toBeUndefined(); // chosen already
    await page.click("judge-org/xlarge");
    expect(page.model.last("judge")).toMatchObject({ kind: "judge", name: "org/xlarge" });
    page.model.kernel({ judge: "org/xlarge" });
    await settle();
    expect(page.find("judge-org/xlarge").getAttribute("aria-pressed")).toBe("true");
    expect(page.text("settings-judge")).toContain("org/xlarge");
  });

  it("takes any other by name, by button or Enter, but not while a text is composed", async () => {
    await list();
    const field = page.find("judge-other") as HTMLInputElement;
    field.value = " folder/of-mine ";
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true }));
    expect(page.model.last("judge")).toBeUndefined();
    await page.click("judge-load");
    expect(page.model.last("judge")).toMatchObject({ name: "folder/of-mine" });
    page.model.kernel({ judge: "folder/of-mine" });
    await settle();
    expect(page.text("judge-own")).toBe("folder/of-mine");
  });

  it("shows how far a download is, and that it can be cancelled", async () => {
    page.model.kernel({ status: { state: "running", id: "r", measures: ["entailment"], stage: "model", note: "downloading org/xlarge: 12 of 1770 MiB", done: 1, total: 100, queued: 0 } });
    await settle();
    expect(page.text("status")).toContain("downloading org/xlarge: 12 of 1770 MiB");
    await page.click("cancel");
    expect(page.model.last("cancel")).toMatchObject({ kind: "cancel" });
  });
});

describe("a doubt about who compared the meanings", () => {
  const DOUBT = "No entailment model compared the answers, only rules of wording.";
  const doubted = (id: number): Traits => {
    const made = trial(id) as { view: { uncertainty: Traits } };
    return trial(id, `k${id}`, { uncertainty: { ...made.view.uncertainty, judge: { label: "rules", reason: "", doubts: [DOUBT] } } }) as Traits;
  };

  it("stands above the numbers, and in the strip", async () => {
    page.model.kernel({ trials: [doubted(1)], shown: 1 });
    await settle();
    const panel = page.text("uncertainty-panel");
    expect(page.text("doubt").trim()).toBe(DOUBT);
    expect(panel.indexOf(DOUBT)).toBeLessThan(panel.indexOf("nats"));
    expect(page.text("judge")).toBe("Meanings compared by rules");
    expect(page.text("trial-1")).toContain("(!)");
  });

  it("is not there where there is none", () => {
    expect(page.maybe("doubt")).toBeNull();
    expect(page.text("trial-1")).not.toContain("(!)");
  });

  it("stands in the comparison, at the number and with its reason", async () => {
    page.model.kernel({ trials: [trial(1), doubted(2)], shown: 1, pinned: [1, 2] });
    await settle();
    await page.click("compare");
    const table = page.text("compare-panel");
    expect(table).toContain("(!) ");
    expect(table).toContain(`(!) ${DOUBT}`);
    expect(table).toContain("meanings compared by");
  });
});
