// What is done with a selected thing: the bar, dragging it and its corners, keys, two things, pictures, exact values, and what the kernel paints, with a fake kernel.
// The fake browser shows an image of 800 x 600 at half size: screen = image / 2.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { grower } from "../src/edges";
import { boxOf, encoded } from "../src/masks";
import type { Mask } from "../src/protocol";
import { browser, FakeModel, leave, open, PIXEL, settle, traits, type Page } from "./fake";

let page: Page;
type Op = Record<string, unknown>;
const operations = (): Op[] => page.model.operations() as Op[];
const past = (): number => (page.model.get("document") as { past: unknown[] }).past.length;

function rectangle(x: number, y: number, width: number, height: number): Mask {
  const inside = new Uint8Array(800 * 600);
  for (let row = y; row < y + height; row++) inside.fill(1, 800 * row + x, 800 * row + x + width);
  return encoded([800, 600], inside);
}
const THING = rectangle(200, 100, 100, 50);
const OTHER = rectangle(500, 300, 60, 60);
const PICTURE = { image: "5ha", width: 800, height: 600 };

async function select(mask = THING, from: [number, number] = [60, 30]): Promise<void> {
  const asked = (): number => page.model.sent.filter(({ content }) => content.kind === "segment").length;
  const before = asked();
  await page.key("s");
  await page.drag(from, [from[0] + 20, from[1] + 20]);
  await expect.poll(asked).toBeGreaterThan(before); // an edit before it is waited for
  page.model.answer("segment", { mask });
  await settle();
}
/** The kernel in-paints: the same operations come back with pixels, and no step is made. */
async function paint(...indexes: number[]): Promise<void> {
  const document = page.model.get("document") as { operations: Op[] };
  page.model.kernel({ document: { ...document, operations: document.operations.map((op, i) => (indexes.includes(i) ? { ...op, pixels: "p".repeat(64), beneath: "b".repeat(64) } : op)) } });
  await settle();
}
const status = (over: Op): Op => ({ state: "running", id: "r", measures: ["edit"], stage: "inpainting", note: "", done: 3, total: 10, queued: 0, ...over });
/** What leaves its place takes the rim of its edge along: 3 of 600 pixels. */
const rimmed = (mask: Mask): { mask: Mask } => ({ mask: { ...grower(mask)(3), feather: 3 } });
const region = rimmed(THING);
const tinted = { mask: { ...THING, feather: 1 } };

beforeEach(async () => {
  browser();
  page = await open();
});
afterEach(() => leave(page));

describe("the bar beside a selected thing", () => {
  it.each([
    ["remove", { op: "remove", region }],
    ["recolor", { op: "recolor", region: tinted, color: "#e41a1c" }],
    ["resize", { op: "resize", region, factor: 1.5 }],
    ["mirror", { op: "mirror", region, direction: "horizontal" }],
  ])("%s is one step, and undo brings the selection back", async (name, edit) => {
    await select();
    await page.click(`act-${name}`);
    expect(operations()).toEqual([edit]);
    expect(past()).toBe(1);
    expect(page.maybe("maskbar")).toBeNull();
    await page.click("undo");
    expect(operations()).toEqual([]);
    expect(page.maybe("selection-outline")).toBeTruthy();
  });

  it("recolours with the colour that was chosen last; then another one is a click away", async () => {
    await page.key("b");
    await page.click("color-blue");
    await select();
    await page.click("act-recolor");
    expect(operations()).toMatchObject([{ color: "#2166ac" }]);
    await page.click("color-yellow");
    expect(operations()).toMatchObject([{ op: "recolor", color: "#ffd400", region: tinted }]);
    await page.type("edit-color", "navy");
    page.find("edit-color").dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(operations()).toMatchObject([{ color: "navy" }]);
    // JupyterLab keeps a browser from telling of a change on Enter.
    await page.type("edit-color", " teal ", "enter");
    expect(operations()).toMatchObject([{ color: "teal" }]);
    await page.type("edit-color", "", "enter");
    expect((page.find("edit-color") as HTMLInputElement).value).toBe("teal");
    expect(operations()).toMatchObject([{ color: "teal" }]);
  });

  it("swaps with a second thing; Escape gives up", async () => {
    await select();
    await page.click("act-swap");
    expect(page.text("second-hint")).toContain("second thing");
    expect(page.maybe("first-outline")).toBeTruthy();
    expect(operations()).toEqual([]);
    await select(OTHER);
    await page.click("second");
    expect(operations()).toEqual([{ op: "swap", region, other: rimmed(OTHER) }]);
    expect(past()).toBe(1);
    await page.key("Escape");
    expect(page.text("layer-0")).toMatch(/\d+ × \d+ ↔ \d+ × \d+ px/);
    await select();
    await page.click("act-swap");
    await page.key("Escape");
    expect(page.maybe("maskbar")).toBeNull();
  });

  it("takes a texture from a second place, or from a picture", async () => {
    await select();
    await page.click("act-retexture");
    await select(OTHER);
    await page.click("second");
    expect(operations()).toEqual([{ op: "retexture", region: { mask: THING }, image: null, source: { mask: OTHER } }]);
    await select();
    await page.click("act-retexture");
    await page.click("texture");
    await page.click("texture-of-1");
    await expect.poll(() => page.model.last("picture")).toBeTruthy();
    expect(page.model.last("picture")).toMatchObject({ observation: 1 });
    page.model.answer("picture", PICTURE);
    await settle();
    expect(operations()[1]).toEqual({ op: "retexture", region: { mask: THING }, image: "5ha", source: null });
  });

  it("a thing of another picture does not wait for one of this", async () => {
    await select();
    await page.click("act-swap");
    page.model.kernel({ base_preview: { data: PIXEL, width: 400, height: 300, image_width: 800, image_height: 600, key: "another" } });
    await settle();
    expect(page.maybe("maskbar")).toBeNull();
  });
});

describe("a selected thing is taken by hand", () => {
  it("and moved: seen while it is dragged, one step on release", async () => {
    await select();
    await page.drag([120, 60], [145, 75], { release: false });
    expect(operations()).toEqual([]);
    expect(page.find("shape-0").dataset.op).toBe("move");
    await page.key("Escape");
    expect(page.maybe("shape-0")).toBeNull();
    await page.drag([120, 60], [145, 75]);
    expect(operations()).toEqual([{ op: "move", region, to: [247, 127] }]);
    expect(past()).toBe(1);
    // Again, while the kernel has painted meanwhile: its place changes, its pixels stay.
    await page.drag([145, 75], [155, 75], { release: false });
    await paint(0);
    await page.drag([155, 75], [160, 75]);
    expect(operations()).toHaveLength(1);
    expect(operations()[0]).toMatchObject({ op: "move", region, pixels: "p".repeat(64) });
    expect((operations()[0]?.to as number[])[0]).toBeGreaterThan(250);
  });

  it("no farther than the picture goes, and by a corner to another size", async () => {
    await select();
    await page.drag([120, 60], [10, 60]);
    expect(operations()).toEqual([{ op: "move", region, to: [0, 97] }]);
    await page.click("undo");
    await page.drag([150, 75], [175, 87]);
    expect(operations()).toMatchObject([{ op: "resize", region, factor: 2 }]);
    await page.drag([175, 87], [200, 100]); // the handle of the edit
    expect(operations()).toMatchObject([{ op: "resize", factor: 2.83 }]);
  });

  it("a click on it selects nothing else, and Shift still joins", async () => {
    await select();
    await page.drag([120, 60], [120, 60]);
    expect(operations()).toEqual([]);
    expect(page.maybe("selection-outline")).toBeTruthy();
    await page.drag([120, 60], [140, 80], { shift: true });
    expect(page.model.sent.filter(({ content }) => content.kind === "segment")).toHaveLength(2);
  });

  it("after it was recoloured it is moved as a thing, with its colour", async () => {
    await select();
    await page.click("act-recolor");
    await page.drag([120, 60], [145, 75]);
    expect(operations()).toEqual([
      { op: "recolor", region: tinted, color: "#e41a1c" },
      { op: "move", region: tinted, to: [250, 130] },
    ]);
  });
});

describe("keys", () => {
  it("arrows move a selected thing, in one step with those that follow, also where the kernel paints between", async () => {
    await select();
    await page.key("ArrowRight");
    expect(operations()).toEqual([{ op: "move", region, to: [198, 97] }]);
    await paint(0);
    await page.key("ArrowDown", { shiftKey: true });
    expect(operations()).toMatchObject([{ op: "move", region, to: [198, 107], beneath: "b".repeat(64) }]);
    expect(past()).toBe(1);
  });

  it("Delete removes the thing", async () => {
    await select();
    await page.key("Delete");
    expect(operations()).toEqual([{ op: "remove", region }]);
  });

  it("Ctrl+D copies it beside itself", async () => {
    await select();
    await page.key("d", { ctrlKey: true });
    expect(operations()).toEqual([{ op: "insert", image: null, place: [210, 110, 100, 50], source: { mask: THING }, feather: 2 }]);
  });

  it("Ctrl+C and Ctrl+V put it, as it was seen, beside itself and then beside the copy", async () => {
    const clipboard = (): boolean => page.find("isi-probe").dispatchEvent(new Event("paste", { bubbles: true, cancelable: true }));
    await select();
    await page.key("c", { ctrlKey: true });
    expect(page.model.last("picture")).toMatchObject({ observation: null });
    clipboard(); // before the kernel has answered
    page.model.answer("picture", PICTURE);
    await settle();
    expect(operations()).toEqual([{ op: "insert", image: "5ha", place: [210, 110, 100, 50], source: { mask: THING }, feather: 2 }]);
    clipboard();
    await settle();
    expect(operations()[1]).toMatchObject({ op: "insert", place: [220, 120, 100, 50] });
  });

  it("Ctrl+X takes it out of the picture", async () => {
    await select();
    await page.key("x", { ctrlKey: true });
    expect(operations()).toEqual([{ op: "remove", region }]);
    expect(page.model.last("picture")).toBeTruthy();
  });

  it("what was copied in another probe comes with its part of the picture", async () => {
    await select();
    await page.key("c", { ctrlKey: true });
    page.model.answer("picture", PICTURE);
    await settle();
    const first = page;
    page = await open(new FakeModel(traits()));
    page.find("isi-probe").dispatchEvent(new Event("paste", { bubbles: true, cancelable: true }));
    await settle();
    expect(first.model.last("detail")).toMatchObject({ region: [200, 100, 100, 50], width: 100 });
    first.model.answer("detail", { region: [200, 100, 100, 50], key: "k0" }, [PIXEL]);
    await settle();
    expect(page.model.last("upload")).toMatchObject({ keep: true });
    page.model.answer("upload", { image: "part", width: 100, height: 50 });
    await settle();
    expect(operations()).toMatchObject([{ op: "insert", image: "part", place: [210, 110, 100, 50], feather: 2 }]);
    const source = operations()[0]?.source as { mask: Mask };
    expect([source.mask.size, boxOf(source.mask)]).toEqual([[100, 50], { x: 0, y: 0, width: 100, height: 50 }]);
    first.end();
  });
});

describe("a picture is inserted", () => {
  it("from another observation, into the middle", async () => {
    await page.key("s");
    await page.click("insert");
    await page.click("insert-of-1");
    expect(page.maybe("insert-panel")).toBeNull();
    page.model.answer("picture", { image: "abc", width: 1600, height: 300 });
    await settle();
    expect(operations()).toEqual([{ op: "insert", image: "abc", place: [200, 263, 400, 75], source: null }]);
    expect(page.find("properties").textContent).not.toContain("undefined");
  });

  it("from a file, which is kept and not opened", async () => {
    await page.key("s");
    await page.click("insert");
    const file = new File([new Uint8Array([1, 2, 3])], "cat.png", { type: "image/png" });
    Object.defineProperty(page.find("insert-file"), "files", { value: [file] });
    page.find("insert-file").dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(page.model.last("upload")).toMatchObject({ name: "cat.png", keep: true, part: 0, parts: 1 });
    page.model.answer("upload", { image: "abc", width: 20, height: 10 });
    await settle();
    expect(operations()).toEqual([{ op: "insert", image: "abc", place: [390, 295, 20, 10], source: null }]);
  });
});

describe("the row of an edit", () => {
  const INPAINTERS = { inpainters: [{ name: "membrane", title: "Smooth continuation", quick: true, prompt: false }, { name: "sd", title: "Diffusion", quick: false, prompt: true }], default: "membrane" };
  async function start(...ops: Op[]): Promise<void> {
    page.model.kernel({ document: { version: 1, operations: ops, past: [], future: [] } });
    await settle();
    page.find("layer-0").querySelector<HTMLElement>("button")?.click();
    await settle();
  }

  it("has place and factor and soft edge as numbers", async () => {
    const painted = { pixels: "p".repeat(64), beneath: "b".repeat(64) };
    await start({ op: "move", region, to: [250, 130], ...painted });
    await page.type("place-x", "300");
    expect(operations()).toEqual([{ op: "move", region, to: [300, 130], ...painted }]);
    await start({ op: "resize", region, factor: 1.5, ...painted });
    await page.type("edit-factor", "0.5");
    expect(operations()).toMatchObject([{ factor: 0.5 }]);
    await page.type("edit-feather", "4");
    expect(operations()).toMatchObject([{ region: { mask: { ...region.mask, feather: 4 } } }]);
    await start({ op: "insert", image: "a", place: [10, 20, 30, 40], source: null });
    await page.type("place-w", "60");
    await page.type("edit-feather", "3");
    expect(operations()).toEqual([{ op: "insert", image: "a", place: [10, 20, 60, 40], source: null, feather: 3 }]);
    await start({ op: "mirror", region: null, direction: "horizontal" });
    const direction = page.find("edit-direction") as HTMLSelectElement;
    direction.value = "vertical";
    direction.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(operations()).toEqual([{ op: "mirror", region: null, direction: "vertical" }]);
  });

  it("names the in-painter; another one paints anew, with a text where it takes one", async () => {
    await start({ op: "remove", region, inpainter: "membrane", pixels: "p".repeat(64), beneath: "b".repeat(64) });
    page.model.answer("inpainters", INPAINTERS);
    await settle();
    const choice = page.find("edit-inpainter") as HTMLSelectElement;
    expect([...choice.options].map((option) => option.text)).toEqual(["Smooth continuation", "Diffusion"]);
    expect(page.maybe("edit-prompt")).toBeNull();
    choice.value = "sd";
    choice.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(operations()).toEqual([{ op: "remove", region, inpainter: "sd" }]);
    await page.type("edit-prompt", "a lawn");
    page.find("edit-prompt").dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(operations()).toEqual([{ op: "remove", region, inpainter: "sd", prompt: "a lawn" }]);
  });

  it("shows how far a slow in-painter is, and stops or starts it again", async () => {
    await start({ op: "remove", region, inpainter: "sd" });
    page.model.kernel({ status: status({}) });
    await settle();
    expect(page.find("layer-0-filling").querySelector("progress")?.getAttribute("value")).toBe("3");
    await page.click("layer-0-stop");
    expect(page.model.last("cancel")).toBeTruthy();
    page.model.kernel({ status: status({ state: "idle", id: null, measures: [] }) });
    await settle();
    expect(page.maybe("layer-0-filling")).toBeNull();
    await page.click("layer-0-fill");
    expect(page.model.last("complete")).toBeTruthy();
    await paint(0);
    expect(page.maybe("layer-0-fill")).toBeNull();
  });

  it("shows the shapes of both things of a swap", async () => {
    await start({ op: "swap", region, other: { mask: OTHER } });
    expect(page.find("layer-0").querySelectorAll("[data-testid=silhouette]")).toHaveLength(2);
    expect(page.find("shape-0").querySelectorAll("path")).toHaveLength(2);
  });
});
