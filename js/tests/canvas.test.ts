// The stage and its tools, by pointer and keyboard. The fake browser shows an image of 800 x 600 at half size: screen = image / 2.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { browser, FakeModel, leave, open, preview, settle, traits, type Page } from "./fake";

let page: Awaited<ReturnType<typeof open>>;
const operations = (): Record<string, unknown>[] => page.model.operations() as Record<string, unknown>[];
const past = (): number => (page.model.get("document") as { past: unknown[] }).past.length;

beforeEach(async () => {
  browser();
  page = await open();
});
afterEach(() => leave(page));

const BOX = { op: "box", x: 20, y: 40, width: 200, height: 100, color: "#000000", fill: true, line_width: 3 };

async function drawBox(p: Page = page): Promise<void> {
  await p.key("b");
  await p.drag([10, 20], [110, 70]);
}

describe("drawing", () => {
  it("a box is exactly the kernel's operation, in pixels of the original image", async () => {
    await page.click("tool-box");
    await page.drag([10, 20], [110, 70]);
    expect(operations()).toEqual([BOX]);
    expect(page.model.saved.filter((change) => "document" in change)).toHaveLength(1);
    expect(page.find("tool-select").getAttribute("aria-pressed")).toBe("true");
    expect(page.find("shape-0").getAttribute("class")).toContain("isi-selected");
  });

  it("sends nothing while dragging, shows the shape, and Escape drops it", async () => {
    await page.click("tool-ellipse");
    await page.drag([10, 20], [110, 70], { release: false });
    expect(page.find("shape-0").getAttribute("data-op")).toBe("ellipse");
    expect(page.model.saved.filter((change) => "document" in change)).toEqual([]);
    await page.key("Escape");
    expect(page.maybe("shape-0")).toBeNull();
    expect(page.find("tool-ellipse").getAttribute("aria-pressed")).toBe("true");
    expect(operations()).toEqual([]);
  });

  it("a drag ends without a step when its drawing has been replaced meanwhile, by Python or in another view", async () => {
    await drawBox();
    await page.drag([60, 45], [160, 145], { release: false });
    const other = { ...BOX, op: "ellipse", x: 300 };
    page.model.kernel({ document: { version: 1, operations: [other], past: [{ at: 0, remove: 1, insert: [] }], future: [] } });
    await settle();
    page.find("overlay").dispatchEvent(new PointerEvent("pointerup", { clientX: 160, clientY: 145, button: 0, pointerId: 1, bubbles: true }));
    await settle();
    expect(operations()).toEqual([other]);
    expect(page.find("shape-0").getAttribute("data-op")).toBe("ellipse");
  });

  it("a press that hardly moves draws nothing", async () => {
    await page.click("tool-box");
    await page.drag([10, 20], [11, 21]);
    expect(operations()).toEqual([]);
  });

  it("lines, arrows and regions of noise", async () => {
    await page.key("l");
    await page.drag([0, 0], [50, 20]);
    await page.key("a");
    await page.drag([10, 10], [60, 60]);
    await page.key("n");
    await page.drag([100, 100], [150, 120]);
    expect(operations()).toMatchObject([
      { op: "line", start: [0, 0], end: [100, 40], width: 3 },
      { op: "arrow", start: [20, 20], end: [120, 120] },
      { op: "noise", sigma: 0.2, region: [200, 200, 100, 40] },
    ]);
    expect(Number.isInteger(operations()[2]?.seed)).toBe(true);
  });

  it("works by touch", async () => {
    await page.key("b");
    await page.drag([10, 20], [110, 70], { pointer: "touch" });
    expect(operations()).toEqual([BOX]);
  });

  it("noise over the whole image at the strength of the slider", async () => {
    await page.key("n");
    await page.type("sigma", "0.35", "none");
    await page.click("noise-whole");
    expect(operations()).toMatchObject([{ op: "noise", sigma: 0.35, region: null }]);
    // The slider now belongs to the selected noise: shown while moving, one step on release.
    const slider = page.find("sigma") as HTMLInputElement;
    slider.value = "0.5";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    expect(operations()).toMatchObject([{ sigma: 0.35 }]);
    slider.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(operations()).toMatchObject([{ sigma: 0.5 }]);
    expect(past()).toBe(2);
  });

  it("text is written in place and can be rewritten", async () => {
    await page.key("t");
    await page.drag([30, 40], [30, 40]);
    await page.type("text-input", "a cat", "enter");
    expect(operations()).toEqual([{ op: "text", x: 60, y: 80, text: "a cat", size: 16, color: "#000000" }]);
    page.find("overlay").dispatchEvent(new MouseEvent("dblclick", { clientX: 40, clientY: 45, bubbles: true }));
    await settle();
    expect((page.find("text-input") as HTMLInputElement).value).toBe("a cat");
    await page.type("text-input", "a dog", "enter");
    expect(operations()).toMatchObject([{ text: "a dog", x: 60 }]);
    expect(past()).toBe(2);
  });

  it("no text, no operation; Escape leaves the text as it was", async () => {
    await page.key("t");
    await page.drag([30, 40], [30, 40]);
    await page.type("text-input", "  ", "enter");
    expect(page.maybe("text-input")).toBeNull();
    await page.drag([30, 40], [30, 40]);
    await page.key("Escape", {}, "text-input");
    expect(page.maybe("text-input")).toBeNull();
    expect(operations()).toEqual([]);
  });
});

describe("changing", () => {
  beforeEach(() => drawBox());

  it("moves by dragging, in one step", async () => {
    await page.drag([50, 40], [60, 50]);
    expect(operations()).toEqual([{ ...BOX, x: 40, y: 60 }]);
    expect(past()).toBe(2);
  });

  it("resizes by a handle", async () => {
    expect(page.find("handle-se")).toBeTruthy();
    await page.drag([110, 70], [150, 100]);
    expect(operations()).toEqual([{ ...BOX, width: 280, height: 160 }]);
  });

  it("takes exact numbers, colour, outline and line width", async () => {
    await page.type("place-x", "33");
    await page.click("color-red");
    (page.find("fill") as HTMLInputElement).checked = false;
    page.find("fill").dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    await page.type("line-width", "7");
    expect(operations()).toEqual([{ ...BOX, x: 33, color: "#e41a1c", fill: false, line_width: 7 }]);
  });

  it("the style stays for what is drawn next", async () => {
    await page.click("color-red");
    await page.key("o");
    await page.drag([10, 100], [40, 140]);
    expect(operations()[1]).toMatchObject({ op: "ellipse", color: "#e41a1c" });
  });

  it("nudges by 1 and 10 pixels; a run of nudges is one step", async () => {
    await page.key("ArrowRight");
    await page.key("ArrowRight");
    await page.key("ArrowDown", { shiftKey: true });
    expect(operations()).toEqual([{ ...BOX, x: 22, y: 50 }]);
    expect(past()).toBe(2);
    await page.key("z", { ctrlKey: true });
    expect(operations()).toEqual([BOX]);
  });

  it("deletes by key, by button and in the layers", async () => {
    await page.key("Delete");
    expect(operations()).toEqual([]);
    await page.click("undo");
    expect(operations()).toEqual([BOX]);
    await page.click("layer-0-delete");
    expect(operations()).toEqual([]);
  });

  it("undo and redo by key and by button", async () => {
    await page.key("z", { metaKey: true });
    expect(operations()).toEqual([]);
    expect(page.find("undo").getAttribute("aria-disabled")).toBe("true");
    expect(page.find("undo").title).toContain("nothing has been changed");
    await page.key("Z", { ctrlKey: true, shiftKey: true });
    expect(operations()).toEqual([BOX]);
    await page.click("undo");
    await page.click("redo");
    expect(operations()).toEqual([BOX]);
  });

  it("a click on nothing deselects; a click on a layer selects", async () => {
    await page.drag([300, 250], [300, 250]);
    expect(page.maybe("handle-se")).toBeNull();
    page.find("layer-0").querySelector("button")?.click();
    await settle();
    expect(page.find("handle-se")).toBeTruthy();
    await page.key("Escape");
    expect(page.maybe("handle-se")).toBeNull();
  });

  it("keys typed into a field stay there", async () => {
    await page.key("Delete", {}, "question");
    await page.key("b", {}, "context");
    expect(operations()).toEqual([BOX]);
    expect(page.find("tool-box").getAttribute("aria-pressed")).toBe("false");
  });
});

describe("the picture", () => {
  it("grows a paint counter", async () => {
    const before = Number(page.find("isi-probe").dataset.paints);
    page.model.kernel({ preview: preview("k1") });
    await settle();
    expect(Number(page.find("isi-probe").dataset.paints)).toBeGreaterThan(before);
  });

  it("an operation that the page does not know is listed, kept and sent back", async () => {
    const foreign = { op: "polygon", points: [[0, 0]] };
    page.model.kernel({ document: { version: 1, operations: [foreign], past: [], future: [] } });
    await settle();
    expect(page.text("layer-0")).toContain("polygon");
    await drawBox();
    expect(operations()).toEqual([foreign, BOX]);
  });

  it("no picture: it says what to do, and the tools say why they are off", async () => {
    page.end();
    page.el.remove();
    page = await open(new FakeModel(traits({ preview: null, base_preview: null, observation: {}, inputs: {} })));
    expect(page.find("stage-empty")).toBeTruthy();
    expect(page.find("tool-box").title).toContain("there is no image yet");
    expect(page.find("run").getAttribute("aria-disabled")).toBe("true");
  });
});

describe("a text that is edited", () => {
  const text = { op: "text", x: 100, y: 100, text: "one\ntwo", size: 40, color: "#000000" };
  const put = async (op: object): Promise<void> => {
    page.model.kernel({ document: { version: 1, operations: [op], past: [], future: [] } });
    await settle();
  };
  const edit = async (x: number, y: number): Promise<HTMLTextAreaElement> => {
    page.find("overlay").dispatchEvent(new MouseEvent("dblclick", { clientX: x, clientY: y, bubbles: true }));
    await settle();
    return page.find("text-input") as HTMLTextAreaElement;
  };

  it("keeps its lines, and the field is as high and as wide as they are", async () => {
    await put(text);
    const field = await edit(60, 60);
    expect(field.value).toBe("one\ntwo");
    const [width, height] = [parseFloat(field.style.width), parseFloat(field.style.height)];
    expect(height).toBeCloseTo(2 * 1.164 * 20);
    field.value = "a line that is much longer\ntwo";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    expect(parseFloat(field.style.width)).toBeGreaterThan(width);
    await page.key("+", {}, "isi-probe");
    expect(field.value).toBe("a line that is much longer\ntwo");
    await page.key("Enter", {}, "text-input");
    expect(operations()).toEqual([{ ...text, text: "a line that is much longer\ntwo" }]);
  });

  it("turned, begins where it began", async () => {
    await put({ ...text, text: "abcdefghij", angle: 90 });
    // 240 by 46.56 about (220, 123.28): as seen it begins at the top right, (243.28, 3.28), and the field with it.
    const field = await edit(110, 60);
    expect(field.style.transform).toBe("rotate(90deg)");
    expect(parseFloat(field.style.left)).toBeCloseTo(243.28 / 2);
    expect(parseFloat(field.style.top)).toBeCloseTo(3.28 / 2);
    await page.type("text-input", "abcde", "enter");
    // 120 by 46.56 that begins at the same place: its centre is (220, 63.28).
    expect(operations()).toEqual([{ ...text, text: "abcde", angle: 90, x: 160, y: 40 }]);
  });

  it("is left alone when something else has come in its place", async () => {
    await put(text);
    await edit(60, 60);
    const other = { ...text, text: "other" };
    await put(other);
    await page.type("text-input", "mine", "enter");
    expect(operations()).toEqual([other]);
  });
});

describe("in a text field", () => {
  it("undo, redo and a new line are the field's own, also where the notebook prevents the browser's", async () => {
    const asked: unknown[][] = [];
    Object.assign(document, { execCommand: (...args: unknown[]) => asked.push(args) });
    await drawBox();
    await page.key("z", { ctrlKey: true }, "question");
    await page.key("Z", { ctrlKey: true, shiftKey: true }, "question");
    await page.key("y", { ctrlKey: true }, "question");
    await page.key("Enter", { shiftKey: true }, "context");
    Reflect.deleteProperty(document, "execCommand");
    expect(asked.map(([what, , value]) => [what, value])).toEqual([["undo", undefined], ["redo", undefined], ["redo", undefined], ["insertText", "\n"]]);
    expect(operations()).toEqual([BOX]);
  });
});
