// A measure that the page has no panel for, such as one of the user's own: drawn from its columns, in the results, beside others, and in the strip.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readMeasures, readTrial } from "../src/read";
import { browser, FakeModel, leave, MEASURES, open, settle, trial, traits, type Page, type Traits } from "./fake";

let page: Page;
const column = (over: Traits = {}): Traits => ({ name: "words", label: "Words", unit: "words", value: 4, text: "4", interval: null, scale: 20, definition: "Number of words of the answer.", ...over });
const measure = (...columns: Traits[]): Traits => ({ name: "words", title: "Length", help: "How long the answer is, in words.", columns });
const show = async (...trials: unknown[]): Promise<void> => {
  page = await open(new FakeModel(traits({ trials, shown: 1, measures: [...MEASURES, { name: "words", title: "Length", help: "How long the answer is.", by_default: false, unavailable: "" }] })));
};

beforeEach(() => browser());
afterEach(() => leave(page));

describe("a measure without a panel of its own", () => {
  it("has its title, its help, and a row with label, bar, number, unit and definition", async () => {
    await show(trial(1, "k0", { measures: [measure(column())] }));
    const panel = page.find("measure-words");
    expect(panel.querySelector("h3")?.textContent).toContain("Length");
    expect(page.text("measure-words-tip")).toContain("How long the answer is, in words.");
    const row = page.find("measure-words-words");
    expect(row.textContent).toContain("Words");
    expect(row.querySelector(".isi-figure")?.textContent).toBe("4 words ");
    expect(row.querySelector("rect.isi-value")?.getAttribute("width")).toBe("20%");
    expect(page.text("measure-words-words-tip")).toContain("Number of words of the answer.");
  });

  it("shows an interval on the bar and in numbers", async () => {
    await show(trial(1, "k0", { measures: [measure(column({ value: 5, text: "5.000", interval: [2, 10] }))] }));
    const row = page.find("measure-words-words");
    expect(row.querySelector(".isi-figure")?.textContent).toBe("5.000 words [2.00, 10.00]");
    expect(row.querySelector(".isi-whisker line")?.getAttribute("x1")).toBe("10%");
  });

  it("shows texts, truth values and what is not available without a bar", async () => {
    const rest = { scale: null, unit: "", definition: "" };
    const columns = [
      column({ name: "tone", label: "Tone", value: "calm", text: "calm", ...rest }),
      column({ name: "short", label: "Short", value: true, text: "yes", ...rest }),
      column({ name: "none", label: "None", value: null, text: "not available", scale: 3 }),
      column({ name: "plain", label: "Plain", value: 2.5, text: "2.500", unit: "nats", scale: null }),
    ];
    await show(trial(1, "k0", { measures: [measure(...columns)] }));
    const said = (name: string): string => page.find(`measure-words-${name}`).querySelector(".isi-figure")?.textContent ?? "";
    expect(["tone", "short", "none", "plain"].map(said)).toEqual(["calm ", "yes ", "not available words", "2.500 nats"]);
    expect(page.find("measure-words").querySelector(".isi-bar")).toBeNull();
    expect(page.maybe("measure-words-tone-tip")).toBeNull();
  });

  it("is text from the user, and stays text", async () => {
    const evil = "<img src=x onerror=alert(1)>";
    await show(trial(1, "k0", { measures: [{ name: "words", title: evil, help: evil, columns: [column({ label: evil, text: evil, unit: evil, definition: evil, scale: null })] }] }));
    expect(page.find("measure-words").querySelector("img")).toBeNull();
    expect(page.text("measure-words")).toContain(evil);
  });

  it("is compared: marked where intervals do not meet, or where the text is not the same", async () => {
    const one = trial(1, "k0", { measures: [measure(column(), column({ name: "sure", label: "Sure", value: 1, text: "1", interval: [0.5, 2] }))] });
    const two = trial(2, "k1", { measures: [measure(column({ value: 9, text: "9" }), column({ name: "sure", label: "Sure", value: 1.5, text: "1.5", interval: [1, 3] }))] });
    const three = trial(3, "k2");
    await show(one, two, three);
    for (const id of [1, 2, 3]) await page.click(`trial-${id}-pin`);
    await page.click("compare");
    const cells = (name: string): [string, string | undefined][] => {
      const row = [...page.find("compare-panel").querySelectorAll("tr")].find((tr) => tr.querySelector("th[scope=row]")?.textContent === name) as HTMLElement;
      return [...row.querySelectorAll("td")].map((td) => [td.textContent, td.dataset.differs]);
    };
    expect(cells("Words, words")).toEqual([["4 ", "false"], ["9 (differs) ", "true"], ["", "false"]]);
    expect(cells("Sure, words").map(([, differs]) => differs)).toEqual(["false", "false", "false"]);
  });

  it("stands in the strip where there is no entropy", async () => {
    await show(trial(1, "k0", { measures: [measure(column())], uncertainty: null }), trial(2, "k1", { measures: [measure(column())] }));
    expect(page.text("trial-1")).toContain("Words 4");
    expect(page.text("trial-2")).toContain("SE 0.61");
    expect(page.text("trial-2")).not.toContain("Words");
  });
});

describe("settings side by side", () => {
  it("are shown in words where they differ", async () => {
    await show(trial(1, "k0", { settings: { measures: ["words"], method: "sampled", seed: 0 } }), trial(2, "k0", { settings: { measures: ["answer", "words"], method: "enumerated", seed: 0 } }));
    for (const id of [1, 2]) await page.click(`trial-${id}-pin`);
    await page.click("compare");
    const rows = [...page.find("compare-panel").querySelectorAll("tr")].map((row) => row.textContent);
    expect(rows).toContain("measureswordsanswer, words (differs)");
    expect(rows).toContain("methodsampledenumerated (differs)");
    expect(rows.some((row) => row.startsWith("seed"))).toBe(false);
  });
});

describe("the measures that can be run", () => {
  it("are those that the kernel lists, each with its help; everything is what a run has by default", async () => {
    await show(trial());
    expect(page.text("run-words")).toBe("Length");
    expect(page.find("run-words").title).toBe("How long the answer is.");
    await page.click("run-words");
    expect(page.model.last("run")).toMatchObject({ measures: ["words"] });
    await page.click("run");
    expect(page.model.last("run")).toMatchObject({ measures: ["answer", "uncertainty", "attention"] });
  });

  it("are run again as they were in the shown trial", async () => {
    await show(trial(1, "old", { measures: [measure(column())], uncertainty: null, attention: null }));
    await page.click("rerun");
    expect(page.model.last("run")).toMatchObject({ measures: ["answer", "words"] });
  });

  it("say why the present model cannot give them", async () => {
    await show(trial());
    page.model.kernel({ measures: [{ name: "words", title: "Length", help: "h", by_default: true, unavailable: "a server gives no lengths." }] });
    await settle();
    expect(page.maybe("run-answer")).toBeNull();
    expect(page.find("run-words").title).toContain("a server gives no lengths.");
    expect(page.find("run-words").getAttribute("aria-disabled")).toBe("true");
  });

  it("show their progress, or that they wait, where the result will be", async () => {
    await show(trial(1, "k0", { measures: [measure(column())] }));
    const status = { state: "running", id: "r", measures: ["answer", "words"], stage: "answer", note: "", done: 1, total: 4, queued: 0 };
    page.model.kernel({ status });
    await settle();
    expect(page.text("progress-words")).toBe("waiting");
    page.model.kernel({ status: { ...status, stage: "words", done: 2 } });
    await settle();
    expect(page.text("progress-words")).toBe("2 of 4");
    expect(page.maybe("progress-answer")).toBeNull();
  });
});

describe("what the kernel sends of measures", () => {
  it("of any other shape becomes nothing, never an exception", () => {
    for (const junk of [null, 5, "x", [null], [{}], [{ name: 3 }], [{ name: "a", columns: 5 }], [{ name: "a", columns: [null, {}, { name: "b", scale: -1, interval: [1] }] }]]) {
      expect(() => readMeasures(junk)).not.toThrow();
      expect(readTrial(trial(1, "k", { measures: junk }))?.view.measures).toBeInstanceOf(Array);
    }
    const [found] = readTrial(trial(1, "k", { measures: [{ name: "a", columns: [{ name: "b", scale: -1, interval: [1], value: "much" }] }] }))?.view.measures ?? [];
    expect(found?.columns).toEqual([{ name: "b", label: "", unit: "", value: null, text: "", interval: null, scale: null, definition: "" }]);
  });
});
