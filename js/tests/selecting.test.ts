// Selecting an object: a box, brushes, the wand, the edge, steps of its own, and what is done to the mask, with a fake kernel.
// The fake browser shows an image of 800 x 600 at half size: screen = image / 2.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { areaOf, boxOf, encoded } from "../src/masks";
import type { Mask } from "../src/protocol";
import { browser, leave, open, preview, settle, type Page } from "./fake";

let page: Page;
type Op = Record<string, unknown>;
const operations = (): Op[] => page.model.operations() as Op[];
const asked = (): Op[] => page.model.sent.map(({ content }) => content).filter(({ kind }) => kind === "segment");

/** A mask of a rectangle in the image. */
function rectangle(x: number, y: number, width: number, height: number): Mask {
  const inside = new Uint8Array(800 * 600);
  for (let row = y; row < y + height; row++) inside.fill(1, 800 * row + x, 800 * row + x + width);
  return encoded([800, 600], inside);
}
const FOUND = rectangle(200, 100, 100, 50);

async function answer(mask = FOUND, id?: unknown): Promise<void> {
  if (id === undefined) page.model.answer("segment", { mask });
  else page.model.answer("segment", { mask }, [], id);
  await settle();
}
/** Drags the box of the tool and lets the kernel answer. */
async function select(mask = FOUND, options: PointerEventInit = {}): Promise<void> {
  await page.key("s");
  await drag([90, 40], [160, 90], options);
  await answer(mask);
}
async function drag(from: [number, number], to: [number, number], keys: PointerEventInit = {}): Promise<void> {
  const fire = (type: string, [clientX, clientY]: [number, number]): void =>
    void page.find("overlay").dispatchEvent(new PointerEvent(type, { clientX, clientY, button: 0, pointerId: 1, bubbles: true, cancelable: true, ...keys }));
  fire("pointerdown", from);
  fire("pointermove", [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2]);
  fire("pointermove", to);
  fire("pointerup", to);
  await settle();
}
const selected = (): string => page.maybe("selection-outline")?.getAttribute("d") ?? "";
const outline = (x: number, y: number, width: number, height: number): string => `M${x + width} ${y}L${x + width} ${y + height}L${x} ${y + height}L${x} ${y}Z`;

beforeEach(async () => {
  browser();
  page = await open();
});
afterEach(() => leave(page));

describe("a box round an object", () => {
  it("asks the kernel in pixels of the image; the outline appears, and no step of the document is made", async () => {
    await select();
    expect(asked()).toEqual([{ kind: "segment", id: expect.any(String) as string, box: [180, 80, 140, 100], strokes: [], mask: null, point: null, tolerance: null }]);
    expect(selected()).toBe(outline(200, 100, 100, 50));
    expect(page.find("maskbar")).toBeTruthy();
    expect(operations()).toEqual([]);
    expect(page.find("tool-segment").getAttribute("aria-pressed")).toBe("true");
  });

  it("a click is no box", async () => {
    await page.key("s");
    await drag([90, 40], [91, 40]);
    expect(asked()).toEqual([]);
  });

  it("with Shift joins the selection, with Alt is taken from it; a further one alone replaces it", async () => {
    await select();
    await select(rectangle(300, 100, 20, 50), { shiftKey: true });
    expect(selected()).toBe(outline(200, 100, 120, 50));
    await select(rectangle(200, 100, 40, 50), { altKey: true });
    expect(selected()).toBe(outline(240, 100, 80, 50));
    await select(rectangle(10, 20, 30, 40));
    expect(selected()).toBe(outline(10, 20, 30, 40));
  });

  it("shows what the kernel says of a guess, until the selection changes", async () => {
    await select();
    expect(page.maybe("selection-note")).toBeNull();
    await page.key("s");
    await drag([90, 40], [160, 90]);
    page.model.answer("segment", { mask: FOUND, note: "Nothing stands out in the box: all of it is selected." });
    await settle();
    expect(page.text("selection-note")).toBe("Nothing stands out in the box: all of it is selected.");
    expect(page.text("spoken")).toContain("Nothing stands out");
    await select(rectangle(10, 20, 30, 40));
    expect(page.maybe("selection-note")).toBeNull();
  });

  it("that is selected whole because nothing was found is searched anew with what is painted as object", async () => {
    await page.key("s");
    await drag([90, 40], [160, 90]);
    const box = rectangle(180, 80, 140, 100);
    page.model.answer("segment", { mask: box, note: "No object was found in the box." });
    await settle();
    await page.key("r");
    await drag([100, 50], [110, 50]);
    expect(asked().at(-1)).toMatchObject({ mask: box, strokes: [{ object: false }] });
    page.model.answer("segment", { mask: box, note: "No object was found in the box." });
    await settle();
    await page.key("d");
    await drag([120, 60], [130, 60]);
    expect(asked().at(-1)).toMatchObject({ box: [180, 80, 140, 100], mask: null, strokes: [{ object: false }, { object: true }] });
    await answer(FOUND);
    await drag([120, 70], [130, 70]);
    expect(asked().at(-1)).toMatchObject({ mask: FOUND });
  });

  it("that finds nothing says so, and what was selected stays", async () => {
    await select();
    await select(rectangle(0, 0, 0, 0));
    expect(page.text("error-message")).toContain("Nothing was found");
    expect(selected()).toBe(outline(200, 100, 100, 50));
  });

  it("an error of the kernel shows beside the stage, and what was selected stays", async () => {
    await select();
    await page.key("s");
    await drag([90, 40], [160, 90]);
    const failure = { message: "The box is empty.", hint: "Draw a larger one." };
    page.model.kernel({ error: { ...failure, id: null } });
    page.model.message({ kind: "error", id: page.model.last("segment")?.id, ...failure });
    await settle();
    expect(page.text("error-message")).toBe("The box is empty.");
    expect(page.find("error").dataset.over).toBe("picture");
    expect(selected()).toBe(outline(200, 100, 100, 50));
  });

  it("shows after a moment that it is being searched, and Escape takes the question back", async () => {
    await page.key("s");
    await drag([90, 40], [160, 90]);
    expect(page.maybe("selection-progress")).toBeNull();
    await expect.poll(() => page.maybe("selection-progress")).toBeTruthy();
    const { id } = page.model.last("segment") as { id: string };
    await page.key("Escape");
    expect(page.model.last("cancel")).toMatchObject({ run: id });
    expect(page.maybe("selection-progress")).toBeNull();
    await answer(FOUND, id);
    expect(selected()).toBe("");
    expect(page.find("tool-segment").getAttribute("aria-pressed")).toBe("true");
  });

  it("asked anew before the answer came: only the newest counts", async () => {
    await page.key("s");
    await drag([90, 40], [160, 90]);
    const first = page.model.last("segment")?.id;
    await drag([10, 10], [60, 60]);
    await answer(rectangle(0, 0, 9, 9), first);
    expect(selected()).toBe("");
    await answer();
    expect(selected()).toBe(outline(200, 100, 100, 50));
  });

  it("by key: Enter takes the middle of what is seen", async () => {
    await page.key("s");
    await page.key("Enter");
    expect(asked()).toMatchObject([{ box: [200, 150, 400, 300] }]);
  });
});

describe("brushes", () => {
  it("send what is painted with what is selected, and show it meanwhile", async () => {
    await select();
    expect(page.find("maskbar").style.top).toBe("81px"); // below the selection
    await page.key("d");
    expect(page.find("mode-object").getAttribute("aria-pressed")).toBe("true");
    expect(page.find("maskbar").style.top).toBe("294px"); // out of the brush's way
    await drag([150, 75], [170, 75]);
    const question = asked().at(-1) as unknown as { box: number[]; mask: Mask; strokes: { object: boolean; radius: number; points: number[][] }[] };
    expect(question).toMatchObject({ box: [180, 80, 140, 100], mask: FOUND, point: null });
    expect(question.strokes).toEqual([{ object: true, radius: 12.5, points: [[300, 150], [320, 150], [340, 150]] }]);
    expect(page.find("stroke").getAttribute("class")).toBe("isi-stroke");
    await answer(rectangle(200, 100, 150, 50));
    expect(page.maybe("stroke")).toBeNull();
    expect(selected()).toBe(outline(200, 100, 150, 50));
    await page.key("r");
    await drag([100, 60], [100, 60]);
    expect((asked().at(-1) as unknown as typeof question).strokes.map(({ object, points }) => [object, points.length])).toEqual([[true, 3], [false, 1]]);
  });

  it("need a selection, and say so", async () => {
    await page.key("s");
    expect(page.find("mode-object").title).toContain("nothing is selected");
    await page.key("d");
    await drag([90, 40], [160, 90]);
    expect(asked()).toMatchObject([{ box: [180, 80, 140, 100], strokes: [] }]);
  });

  it("have a size: by number, and by [ and ]", async () => {
    await select();
    await page.key("d");
    await page.type("brush", "40");
    await page.key("]");
    await page.key("[");
    expect((page.find("brush") as HTMLInputElement).value).toBe("40");
    await drag([150, 75], [170, 75]);
    expect(asked().at(-1)).toMatchObject({ strokes: [{ radius: 20 }] });
  });

  it("Escape takes an unfinished stroke back", async () => {
    await select();
    await page.key("d");
    await page.drag([150, 75], [170, 75], { release: false });
    expect(page.maybe("stroke")).toBeTruthy();
    await page.key("Escape");
    expect(page.maybe("stroke")).toBeNull();
    expect(asked()).toHaveLength(1);
    expect(selected()).not.toBe("");
  });
});

describe("the wand", () => {
  it("asks for the flat area at a pixel, with its tolerance", async () => {
    await page.key("w");
    await page.type("tolerance", "40");
    await drag([50.4, 60], [50.4, 60]);
    expect(asked()).toMatchObject([{ box: null, strokes: [], mask: null, point: [100, 120], tolerance: 40 }]);
    await answer();
    expect(selected()).toBe(outline(200, 100, 100, 50));
  });
});

describe("the edge", () => {
  it("grows and softens by exact numbers and by sliders; a slider is one step", async () => {
    await select();
    expect(page.maybe("grow")).toBeNull();
    await page.click("edge-toggle");
    await page.type("grow", "-10");
    expect(selected()).toBe(outline(210, 110, 80, 30));
    const slider = page.find("feather-slider") as HTMLInputElement;
    for (const value of ["2", "9", "5"]) {
      slider.value = value;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      await settle();
      expect((page.find("feather") as HTMLInputElement).value).toBe(value);
    }
    slider.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(page.find("selection-rim").getAttribute("d")).not.toBe(selected());
    await page.type("feather", "70");
    await page.key("z", { ctrlKey: true });
    expect((page.find("feather") as HTMLInputElement).value).toBe("5");
    await page.key("z", { ctrlKey: true });
    expect((page.find("feather") as HTMLInputElement).value).toBe("0");
    expect(selected()).toBe(outline(210, 110, 80, 30));
    await page.key("z", { ctrlKey: true });
    expect(selected()).toBe(outline(200, 100, 100, 50));
  });
});

describe("steps", () => {
  it("of the selection are undone and redone by key and button, before those of the document", async () => {
    await page.key("b");
    await page.drag([10, 10], [40, 40]);
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), edit: page.model.get("edit") } });
    await select();
    await select(rectangle(300, 100, 20, 50), { shiftKey: true });
    await page.key("z", { ctrlKey: true });
    expect(selected()).toBe(outline(200, 100, 100, 50));
    await page.click("undo");
    expect(selected()).toBe("");
    expect(operations()).toHaveLength(1);
    await page.click("undo");
    expect(operations()).toHaveLength(0);
    await page.click("redo");
    expect([selected(), operations().length]).toEqual([outline(200, 100, 100, 50), 0]);
    await page.click("redo");
    expect(selected()).toBe(outline(200, 100, 120, 50));
    await page.click("redo");
    expect(operations()).toHaveLength(1);
    expect(page.find("redo").getAttribute("aria-disabled")).toBe("true");
  });

  it("Escape selects nothing, which can be undone; then it puts the tool down", async () => {
    await select();
    await page.key("Escape");
    expect([selected(), page.maybe("maskbar")]).toEqual(["", null]);
    await page.key("z", { ctrlKey: true });
    expect(selected()).not.toBe("");
    await page.key("Escape");
    await page.key("Escape");
    expect(page.find("tool-select").getAttribute("aria-pressed")).toBe("true");
  });

  it("are forgotten when another picture comes", async () => {
    await select();
    page.model.kernel({ base_preview: preview("other") });
    await settle();
    expect(selected()).toBe("");
    expect(page.find("undo").getAttribute("aria-disabled")).toBe("true");
  });
});

describe("what is done to the mask", () => {
  it.each([
    ["cover", { op: "erase", fill: "#000000" }],
    ["erase", { op: "erase", fill: "mean" }],
    ["noise", { op: "noise", sigma: 0.2 }],
    ["blur", { op: "blur", radius: 8 }],
    ["pixelate", { op: "pixelate", size: 16 }],
  ])("%s is one step with the mask as its region", async (name, expected) => {
    await select();
    await page.click("edge-toggle");
    await page.type("grow", "4");
    await page.type("feather", "3");
    await page.click(`act-${name}`);
    const [made] = operations() as [{ region: { mask: Mask } }];
    expect(made).toMatchObject(expected);
    expect([boxOf(made.region.mask), made.region.mask.feather]).toEqual([{ x: 196, y: 96, width: 108, height: 58 }, 3]);
    expect(areaOf(made.region.mask)).toBeLessThan(108 * 58); // round corners
    expect([selected(), page.maybe("maskbar")]).toEqual(["", null]);
    expect(page.find("shape-0").getAttribute("class")).toContain("isi-selected");
  });

  it("is undone with the selection back, to do something else; redo does it again", async () => {
    await select();
    await page.click("act-blur");
    await page.key("z", { ctrlKey: true });
    expect([operations().length, selected()]).toEqual([0, outline(200, 100, 100, 50)]);
    await page.key("y", { ctrlKey: true });
    expect([operations().length, selected()]).toEqual([1, ""]);
    await page.click("undo");
    await page.click("act-noise");
    expect(operations()).toMatchObject([{ op: "noise" }]);
  });

  it("comes back in that step of undo alone: farther back, nothing is selected", async () => {
    await select();
    await page.click("act-blur");
    page.model.kernel({ inputs: { ...(page.model.get("inputs") as object), edit: page.model.get("edit") } });
    await select(rectangle(10, 20, 30, 40));
    await page.click("act-noise");
    const seen: [number, string][] = [];
    for (const step of ["undo", "undo", "redo", "redo"]) {
      await page.click(step);
      seen.push([operations().length, selected()]);
    }
    const second = outline(10, 20, 30, 40);
    expect(seen).toEqual([[1, second], [0, ""], [1, second], [2, ""]]);
  });

  it("is listed as a mask with its size and shape; it is chosen, duplicated, selected again and deleted", async () => {
    await select();
    await page.click("act-blur");
    expect(page.text("layer-0")).toContain("mask 100 × 50 px");
    expect(page.find("layer-0").querySelector("svg[data-testid=silhouette]")?.getAttribute("viewBox")).toBe("200 100 100 50");
    await page.key("d", { ctrlKey: true });
    expect(boxOf((operations()[1] as { region: { mask: Mask } }).region.mask)).toEqual({ x: 210, y: 110, width: 100, height: 50 });
    await page.click("use-mask");
    expect(selected()).toBe(outline(210, 110, 100, 50));
    page.find("layer-1").querySelector("button")?.click();
    await settle();
    await page.key("Delete");
    expect(operations()).toHaveLength(1);
  });

  it("is moved by its pixels on the picture", async () => {
    await select();
    await page.click("act-blur");
    await drag([120, 60], [140, 70], { altKey: true });
    expect(boxOf((operations()[0] as { region: { mask: Mask } }).region.mask)).toEqual({ x: 240, y: 120, width: 100, height: 50 });
  });
});
