// What the stage does beyond drawing one shape: masks and effects, several at once, turning, order, hiding, zoom, before and after.
// The fake browser shows an image of 800 x 600 at half size: screen = image / 2.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { browser, FakeModel, leave, open, PIXEL, settle, traits, trial } from "./fake";

let page: Awaited<ReturnType<typeof open>>;
type Op = Record<string, unknown>;
const operations = (): Op[] => page.model.operations() as Op[];
const past = (): number => (page.model.get("document") as { past: unknown[] }).past.length;
const box = (x: number, y: number, width = 100, height = 60, more: Op = {}): Op => ({ op: "box", x, y, width, height, color: "#000000", fill: true, line_width: 3, ...more });

async function start(...ops: Op[]): Promise<void> {
  page.model.kernel({ document: { version: 1, operations: ops, past: [], future: [] } });
  await settle();
}
function point(type: string, x: number, y: number, init: PointerEventInit = {}): void {
  page.find("overlay").dispatchEvent(new PointerEvent(type, { clientX: x, clientY: y, button: 0, pointerId: 1, pointerType: "mouse", bubbles: true, cancelable: true, ...init }));
}
async function click(x: number, y: number, init: PointerEventInit = {}): Promise<void> {
  point("pointerdown", x, y, init);
  point("pointerup", x, y, init);
  await settle();
}
async function path(...points: [number, number][]): Promise<void> {
  points.forEach(([x, y], i) => point(i === 0 ? "pointerdown" : "pointermove", x, y));
  const [x, y] = points.at(-1) as [number, number];
  point("pointerup", x, y);
  await settle();
}
const chosen = (): string[] => [...page.el.querySelectorAll(".isi-shape.isi-selected")].map((g) => (g as HTMLElement).dataset.testid ?? "");
const transform = (): number[] => ["scale", "x", "y"].map((name) => Number(page.find("overlay").dataset[name]));

beforeEach(async () => {
  browser();
  page = await open();
});
afterEach(() => leave(page));

describe("masks and effects", () => {
  it("a polygon is clicked corner by corner and closed on its first corner", async () => {
    await page.key("p");
    for (const [x, y] of [[10, 10], [60, 10], [60, 50]] as const) await click(x, y);
    expect(page.find("path").getAttribute("points")).toContain("60,50");
    expect(operations()).toEqual([]);
    await click(11, 11);
    expect(operations()).toEqual([{ op: "polygon", points: [[20, 20], [120, 20], [120, 100]], color: "#000000", fill: true, line_width: 3 }]);
    expect(past()).toBe(1);
    expect(page.maybe("path")).toBeNull();
  });

  it("Enter closes it, Escape drops it, and two corners are none", async () => {
    await page.key("p");
    for (const [x, y] of [[10, 10], [60, 10]] as const) await click(x, y);
    await page.key("Enter");
    expect(operations()).toEqual([]);
    for (const [x, y] of [[10, 10], [60, 10], [60, 50]] as const) await click(x, y);
    await page.key("Escape");
    expect(page.maybe("path")).toBeNull();
    for (const [x, y] of [[10, 10], [60, 10], [60, 50]] as const) await click(x, y);
    await page.key("Enter");
    expect(operations()).toHaveLength(1);
  });

  it("a corner may stand beside the last one; a double click there closes it", async () => {
    await page.key("p");
    for (const [x, y] of [[10, 10], [60, 10], [60, 50], [56, 53]] as const) await click(x, y);
    await click(57, 54); // the second click of a double click
    expect(operations()).toEqual([]);
    page.find("overlay").dispatchEvent(new MouseEvent("dblclick", { clientX: 57, clientY: 54, bubbles: true }));
    await settle();
    expect(operations()).toMatchObject([{ points: [[20, 20], [120, 20], [120, 100], [112, 106]] }]);
    await page.key("p");
    for (const [x, y] of [[100, 100], [160, 100]] as const) await click(x, y);
    page.find("overlay").dispatchEvent(new MouseEvent("dblclick", { clientX: 160, clientY: 100, bubbles: true }));
    await settle();
    expect(page.find("path").getAttribute("points")).toContain("160,100"); // two are not enough: nothing is lost
  });

  it("Enter draws in the middle of what is seen, with the key or the button of the tool", async () => {
    await page.key("b");
    await page.key("Enter");
    expect(operations()).toMatchObject([{ op: "box", x: 200, y: 150, width: 400, height: 300 }]);
    expect(chosen()).toEqual(["shape-0"]);
    await page.key("+");
    await page.click("tool-arrow");
    await page.key("Enter", {}, "tool-arrow");
    expect(operations()[1]).toMatchObject({ op: "arrow", start: [240, 180], end: [560, 420] });
    await page.key("0");
    await page.key("t");
    await page.key("Enter");
    await page.type("text-input", "Look", "enter");
    expect(operations()[2]).toMatchObject({ op: "text", x: 200, y: 150, text: "Look" });
    await page.key("Enter");
    await page.key("i");
    await page.key("Enter");
    await page.key("Enter", {}, "run");
    expect(operations()).toHaveLength(3);
  });

  it("a letter chooses a tool off the button of another one, and Enter then draws", async () => {
    page.find("tool-box").focus();
    await page.key("o", {}, "tool-box");
    expect(document.activeElement).toBe(page.find("isi-probe"));
    await page.key("Enter");
    expect(operations()).toMatchObject([{ op: "ellipse" }]);
  });

  it("the last corner of a polygon is taken back by Ctrl+Z and Backspace, and nothing before it", async () => {
    await start(box(20, 20));
    await page.key("p");
    for (const [x, y] of [[110, 110], [160, 110], [160, 150]] as const) await click(x, y);
    await page.key("z", { ctrlKey: true });
    expect(page.find("path").getAttribute("points")).toBe("110,110 160,110");
    await page.key("Backspace");
    await page.key("Backspace");
    expect(page.maybe("path")).toBeNull();
    expect(operations()).toHaveLength(1);
  });

  it("strokes and letters leave something of a small picture", async () => {
    const small = { ...(page.model.get("preview") as object), image_width: 48, image_height: 32 };
    page.model.kernel({ preview: { ...small, key: "small" }, base_preview: { ...small, key: "small base" } });
    await settle();
    await page.key("a");
    expect((page.find("line-width") as HTMLInputElement).value).toBe("1");
    await page.key("t");
    expect((page.find("text-size") as HTMLInputElement).value).toBe("6");
    await page.key("x");
    expect((page.find("block") as HTMLInputElement).value).toBe("2");
  });

  it("a freehand mask is a polygon with no more points than it needs", async () => {
    await page.key("f");
    await path([10, 10], [20, 10], [30, 10], [40, 10], [50, 10], [50, 30], [50, 50], [10, 50]);
    expect(operations()).toMatchObject([{ op: "polygon", points: [[20, 20], [100, 20], [100, 100], [20, 100]] }]);
  });

  it("blur, blocks, erasing and a patch by dragging", async () => {
    for (const key of ["u", "x", "e", "c"]) {
      await page.key(key);
      await page.drag([10, 20], [60, 50]);
    }
    expect(operations()).toEqual([
      { op: "blur", radius: 8, region: [20, 40, 100, 60] },
      { op: "pixelate", size: 16, region: [20, 40, 100, 60] },
      { op: "erase", fill: "mean", region: [20, 40, 100, 60] },
      { op: "patch", image: null, source: [20, 40, 100, 60], x: 20, y: 40, width: 100, height: 60 },
    ]);
  });

  it("a region may be drawn freehand, and effects take the whole image", async () => {
    await page.key("u");
    page.find("lasso").click();
    await settle();
    await path([10, 10], [60, 10], [60, 50]);
    expect(operations()).toMatchObject([{ op: "blur", region: [[20, 20], [120, 20], [120, 100]] }]);
    await page.key("x");
    await page.click("pixelate-whole");
    expect(operations()[1]).toEqual({ op: "pixelate", size: 16, region: null });
  });

  it("what an erased region is filled with can be chosen, before and after", async () => {
    await page.key("e");
    await page.drag([10, 20], [60, 50]);
    const select = page.find("erase-fill") as HTMLSelectElement;
    select.value = "inpaint";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    expect(operations()).toMatchObject([{ op: "erase", fill: "inpaint" }]);
    select.value = "color";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    await settle();
    await page.click("color-red");
    expect(operations()).toMatchObject([{ op: "erase", fill: "#e41a1c" }]);
  });

  it("a patch can be cut from another observation, by the kernel", async () => {
    await page.key("c");
    await page.drag([10, 20], [60, 50]);
    expect((page.find("patch-of") as HTMLInputElement).value).toBe("0");
    await page.type("patch-of", "1");
    expect(page.model.last("cut")).toMatchObject({ kind: "cut", operation: 0, observation: 1 });
    await start({ op: "patch", image: "f".repeat(64), source: [0, 0, 50, 50], x: 0, y: 0, width: 50, height: 50 });
    page.find("layer-0").querySelector("button")?.click();
    await settle();
    expect((page.find("patch-of") as HTMLInputElement).value).toBe("");
  });

  it("the corners of a polygon are its handles", async () => {
    await start({ op: "polygon", points: [[20, 20], [120, 20], [120, 100]], color: "#000000", fill: true, line_width: 3 });
    await click(50, 20);
    await page.drag([60, 50], [70, 60]);
    expect(operations()).toMatchObject([{ points: [[20, 20], [120, 20], [140, 120]] }]);
  });

  it("a label is written on an arrow, and taken off again", async () => {
    const arrow = { op: "arrow", start: [100, 100], end: [200, 100], color: "#000000", width: 2 };
    await start(arrow);
    const twice = (): boolean => page.find("overlay").dispatchEvent(new MouseEvent("dblclick", { clientX: 75, clientY: 50, bubbles: true }));
    twice();
    await settle();
    await page.type("text-input", "this one", "enter");
    expect(operations()).toEqual([{ ...arrow, label: "this one", size: 16 }]);
    await click(75, 50);
    await page.type("text-size", "30");
    expect(operations()).toEqual([{ ...arrow, label: "this one", size: 30 }]);
    await page.click("color-red");
    expect(operations()).toEqual([{ ...arrow, label: "this one", size: 30, color: "#e41a1c" }]);
    await page.key("z", { ctrlKey: true });
    twice();
    await settle();
    await page.type("text-input", "", "enter");
    expect(operations()).toEqual([arrow]);
    await click(75, 50);
    expect(page.maybe("text-size")).toBeNull();
  });

  it("the colour of a pixel is asked of the kernel, and taken", async () => {
    await page.key("i");
    await click(30.4, 40.4);
    const { id, x, y } = page.model.last("color") as { id: string; x: number; y: number };
    expect([x, y]).toEqual([60, 80]);
    page.model.message({ kind: "color", id: "of another view", color: "#ffffff" });
    point("pointermove", 50, 50);
    await new Promise((done) => setTimeout(done, 200));
    expect(page.model.last("color")?.id).not.toBe(id); // the pointer asks, too, and takes nothing from the click
    page.model.message({ kind: "color", id, color: "#abcdef" });
    await settle();
    await page.key("b");
    await page.drag([10, 20], [60, 50]);
    expect(operations()).toMatchObject([{ color: "#abcdef" }]);
  });
});

describe("several at once", () => {
  beforeEach(() => start(box(20, 20), box(200, 20), box(400, 300)));

  it("a marquee chooses what it touches; Shift adds and takes away", async () => {
    await page.drag([5, 5], [160, 60]);
    expect(chosen()).toEqual(["shape-0", "shape-1"]);
    await click(220, 160, { shiftKey: true });
    expect(chosen()).toEqual(["shape-0", "shape-1", "shape-2"]);
    await click(30, 20, { shiftKey: true });
    expect(chosen()).toEqual(["shape-1", "shape-2"]);
    expect(page.maybe("marquee")).toBeNull();
    expect(past()).toBe(0);
  });

  it("they move together, in one step, and keep their places to one another", async () => {
    await page.key("a", { ctrlKey: true });
    expect(chosen()).toHaveLength(3);
    await page.drag([30, 20], [10, 10]);
    // 40 pixels to the left are asked for, 20 are left to the edge
    expect(operations().map((o) => [o.x, o.y])).toEqual([[0, 0], [180, 0], [380, 280]]);
    expect(past()).toBe(1);
    await page.key("ArrowRight", { shiftKey: true });
    expect(operations().map((o) => o.x)).toEqual([10, 190, 390]);
    await page.key("ArrowLeft", { shiftKey: true });
    await page.key("ArrowLeft");
    expect(operations().map((o) => o.x)).toEqual([0, 180, 380]);
  });

  it("a click on one of several chooses that one", async () => {
    await page.key("a", { ctrlKey: true });
    await click(30, 20);
    expect(chosen()).toEqual(["shape-0"]);
  });

  it("restyled and deleted in one step each", async () => {
    await page.key("a", { ctrlKey: true });
    await page.click("color-red");
    expect(operations().map((o) => o.color)).toEqual(["#e41a1c", "#e41a1c", "#e41a1c"]);
    await page.key("Delete");
    expect(operations()).toEqual([]);
    expect(past()).toBe(2);
  });

  it("copied, cut, pasted beside the original, and duplicated", async () => {
    await click(30, 20);
    await page.key("c", { ctrlKey: true });
    page.find("isi-probe").dispatchEvent(new Event("paste", { bubbles: true, cancelable: true }));
    await settle();
    expect(operations()[3]).toEqual(box(30, 30));
    expect(chosen()).toEqual(["shape-3"]);
    await click(120, 20);
    await page.key("d", { metaKey: true });
    await click(220, 160);
    await page.click("duplicate");
    expect(operations().slice(4)).toEqual([box(210, 30), box(410, 310)]);
    page.find("isi-probe").dispatchEvent(new Event("paste", { bubbles: true, cancelable: true }));
    await settle();
    expect(operations()[6]).toEqual(box(40, 40)); // of what was copied, not of what was duplicated
    await page.key("x", { ctrlKey: true });
    expect(operations()).toHaveLength(6);
    page.find("isi-probe").dispatchEvent(new Event("paste", { bubbles: true, cancelable: true }));
    await settle();
    expect(operations()[6]).toEqual(box(50, 50));
  });

  it("moves snap to others and show the line; Alt does not", async () => {
    await click(30, 20);
    point("pointerdown", 30, 20);
    point("pointermove", 30 + 89, 20 + 40);
    await settle();
    // 20 + 178 is 198; the other box begins at 200
    expect(page.find("guide-x").getAttribute("x1")).toBe("100");
    point("pointermove", 30 + 89, 20 + 40, { altKey: true });
    await settle();
    expect(page.maybe("guide-x")).toBeNull();
    point("pointermove", 30 + 89, 20 + 40);
    point("pointerup", 30 + 89, 20 + 40);
    await settle();
    expect(operations()[0]).toMatchObject({ x: 200, y: 100 });
    expect(page.maybe("guide-x")).toBeNull();
  });
});

describe("copies", () => {
  it("stay in the picture", async () => {
    await start(box(690, 530));
    await click(350, 270);
    await page.key("d", { ctrlKey: true });
    expect(operations()[1]).toEqual(box(700, 540));
    await page.key("d", { ctrlKey: true });
    expect(operations()[2]).toEqual(box(690, 530));
  });
});

describe("one of them", () => {
  beforeEach(() => start(box(200, 200), box(400, 300)));

  it("is turned by its handle, with Shift in steps, and resized in its own frame", async () => {
    await click(120, 115);
    const turn = page.find("handle-turn").querySelector(".isi-handle") as SVGRectElement;
    const [x, y] = [Number(turn.getAttribute("x")) + 4, Number(turn.getAttribute("y")) + 4];
    expect([x, y]).toEqual([125, 100 - 22.5]);
    await page.drag([x, y], [200, 115]);
    expect(operations()[0]).toEqual(box(200, 200, 100, 60, { angle: 90 }));
    // Turned by 90 degrees its eastern side is below: pulling it down makes it wider.
    const east = page.find("handle-e").querySelector(".isi-handle") as SVGRectElement;
    const from: [number, number] = [Number(east.getAttribute("x")) + 4, Number(east.getAttribute("y")) + 4];
    await page.drag(from, [from[0], from[1] + 20]);
    expect(operations()[0]).toEqual(box(200, 200, 140, 60, { angle: 90, x: 180, y: 220 }));
    await page.type("place-angle", "0");
    expect(operations()[0]).not.toHaveProperty("angle");
  });

  it("is hit where it is seen when it is turned", async () => {
    await start(box(200, 200, 200, 20, { angle: 90 }));
    await click(150, 105);
    expect(chosen()).toEqual(["shape-0"]);
    await page.key("Escape");
    await click(110, 105);
    expect(chosen()).toEqual([]);
  });

  it("goes above and below others, by key and by dragging its row", async () => {
    await click(120, 115);
    await page.key("]");
    expect(operations().map((o) => o.x)).toEqual([400, 200]);
    expect(chosen()).toEqual(["shape-1"]);
    await page.key("]");
    expect(past()).toBe(1);
    await page.key("[");
    expect(operations().map((o) => o.x)).toEqual([200, 400]);
    page.find("layer-0").dispatchEvent(new Event("dragstart", { bubbles: true }));
    page.find("layer-1").dispatchEvent(new Event("drop", { bubbles: true, cancelable: true }));
    await settle();
    expect(operations().map((o) => o.x)).toEqual([400, 200]);
  });

  it("that is hidden is neither seen nor hit; shown again it is as before", async () => {
    await page.click("layer-1-eye");
    expect(operations()[1]).toEqual(box(400, 300, 100, 60, { hidden: true }));
    expect(page.maybe("shape-1")).toBeNull();
    await click(220, 160);
    expect(chosen()).toEqual([]);
    await page.click("layer-1-eye");
    expect(operations()[1]).toEqual(box(400, 300));
  });

  it("that is hidden while it is chosen has no handles to grab", async () => {
    await click(120, 115);
    await page.click("layer-0-eye");
    await page.drag([150, 130], [180, 160]);
    expect(operations()[0]).toEqual(box(200, 200, 100, 60, { hidden: true }));
  });

  it("that is locked is not cut and not deleted by the button either", async () => {
    await click(120, 115);
    await page.click("layer-0-lock");
    await page.key("x", { ctrlKey: true });
    await page.click("delete");
    expect(operations()).toHaveLength(2);
    expect(page.text("error-message")).toBe("The selection is locked.");
    await page.click("layer-0-delete");
    expect(operations()).toHaveLength(1);
  });

  it("that is hidden stays where it is when others are moved", async () => {
    await page.click("layer-0-eye");
    page.find("layer-0").querySelector("button")?.click();
    await settle();
    page.find("layer-1").querySelector("button")?.dispatchEvent(new MouseEvent("click", { shiftKey: true, bubbles: true }));
    await settle();
    await page.key("ArrowRight");
    expect(operations().map((o) => o.x)).toEqual([200, 401]);
  });

  it("that is locked is not grabbed, moved or deleted by key", async () => {
    await page.click("layer-0-lock");
    await page.drag([120, 115], [140, 135]);
    expect(chosen()).toEqual([]);
    page.find("layer-0").querySelector("button")?.click();
    await settle();
    await page.key("ArrowRight");
    await page.key("Delete");
    expect(operations()[0]).toEqual(box(200, 200, 100, 60, { locked: true }));
    expect(page.maybe("handle-se")).toBeNull();
  });

  it("its region can be typed", async () => {
    await start({ op: "blur", radius: 8, region: [20, 40, 100, 60] });
    page.find("layer-0").querySelector("button")?.click();
    await settle();
    await page.type("place-w", "50");
    await page.type("radius", "3.5");
    expect(operations()).toEqual([{ op: "blur", radius: 3.5, region: [20, 40, 50, 60] }]);
  });
});

describe("the view", () => {
  it("zooms at the pointer with Ctrl and the wheel, and leaves the wheel alone otherwise", async () => {
    const wheel = async (init: WheelEventInit): Promise<boolean> => {
      const event = new WheelEvent("wheel", { deltaY: -200, clientX: 100, clientY: 60, bubbles: true, cancelable: true, ...init });
      // happy-dom leaves these out of its wheel events
      for (const [name, value] of Object.entries({ ctrlKey: init.ctrlKey === true, metaKey: false, clientX: 100, clientY: 60 })) Object.defineProperty(event, name, { value });
      page.find("overlay").dispatchEvent(event);
      await settle();
      return event.defaultPrevented;
    };
    expect(await wheel({})).toBe(false);
    expect(transform()).toEqual([0.5, 0, 0]);
    expect(await wheel({ ctrlKey: true })).toBe(true);
    expect(transform()).toEqual([1, -100, -60]);
    await page.key("0");
    expect(transform()).toEqual([0.5, 0, 0]);
  });

  it("asks for the part that is seen in its own pixels, once it rests, and only where the preview has too few", async () => {
    // The preview has half of the image's pixels: enough for the whole image, too few at 100 %.
    await page.key("0");
    await new Promise((done) => setTimeout(done, 200));
    expect(page.model.last("detail")).toBeUndefined();
    await page.key("1");
    await vi.waitFor(() => expect(page.model.last("detail")).toMatchObject({ region: [200, 150, 400, 300], width: 400 }), 20_000);
    await page.key("b");
    await page.drag([10, 20], [60, 50], { release: false });
    const asked = page.model.sent.length;
    await new Promise((done) => setTimeout(done, 200));
    expect(page.model.sent.slice(asked).filter(({ content }) => content.kind === "detail")).toEqual([]);
    await page.key("Escape");
  });

  it("by key and by button, and never shows more of the surroundings than it must", async () => {
    await page.key("1");
    expect(transform()).toEqual([1, -200, -150]);
    await page.key("-");
    await page.key("-");
    await page.key("-");
    await page.key("-");
    await page.key("-");
    expect(transform()).toEqual([0.5, 0, 0]);
    await page.click("zoom-in");
    expect(transform()[0]).toBeCloseTo(0.625);
    await page.click("zoom-fit");
    expect(transform()).toEqual([0.5, 0, 0]);
    expect(page.find("zoom-fit").getAttribute("aria-disabled")).toBe("true");
  });

  it("is moved with Space held down, and drawing goes on in the right place", async () => {
    await page.key("1");
    await page.key(" ");
    await page.drag([200, 150], [150, 100]);
    expect(transform()).toEqual([1, -250, -200]);
    page.find("isi-probe").dispatchEvent(new KeyboardEvent("keyup", { key: " ", bubbles: true }));
    await page.key("b");
    await page.drag([10, 20], [60, 50]);
    expect(operations()).toMatchObject([{ x: 260, y: 220, width: 50, height: 30 }]);
  });

  it("does not stay as it is while a key is held when the focus goes away meanwhile", async () => {
    const away = async (): Promise<void> => {
      page.find("isi-probe").dispatchEvent(new FocusEvent("focusout", { bubbles: true }));
      await settle();
    };
    await page.key("\\");
    expect(page.find("stage").dataset.showing).toBe("before");
    await away();
    expect(page.find("stage").dataset.showing).toBe("after");
    await page.key(" ");
    await away();
    await page.key("b");
    await page.drag([300, 200], [320, 220]);
    expect(operations()).toHaveLength(1);
    await page.click("show-before");
    await away();
    expect(page.find("stage").dataset.showing).toBe("before");
  });

  it("the corner that the first of two fingers set is taken back", async () => {
    await page.key("p");
    const touch = (type: string, id: number, x: number, y: number): void => point(type, x, y, { pointerId: id, pointerType: "touch" });
    touch("pointerdown", 1, 100, 100);
    touch("pointerup", 1, 100, 100);
    touch("pointerdown", 1, 200, 100);
    touch("pointerdown", 2, 300, 100);
    touch("pointerup", 1, 200, 100);
    touch("pointerup", 2, 300, 100);
    await settle();
    expect(page.find("overlay").querySelectorAll(".isi-marks circle")).toHaveLength(1);
  });

  it("two fingers zoom, and what one of them had begun is dropped", async () => {
    await page.key("b");
    const touch = (type: string, id: number, x: number, y: number): void => point(type, x, y, { pointerId: id, pointerType: "touch" });
    touch("pointerdown", 1, 100, 100);
    touch("pointermove", 1, 110, 110);
    touch("pointerdown", 2, 210, 110);
    touch("pointermove", 2, 310, 110);
    await settle();
    expect(transform()[0]).toBeCloseTo(1);
    touch("pointerup", 1, 110, 110);
    touch("pointerup", 2, 310, 110);
    await settle();
    expect(operations()).toEqual([]);
  });

  it("shows what was there before while the key is held, and at a divider", async () => {
    const showing = (): string | undefined => page.find("stage").dataset.showing;
    await page.key("\\");
    expect(showing()).toBe("before");
    page.find("isi-probe").dispatchEvent(new KeyboardEvent("keyup", { key: "\\", bubbles: true }));
    await settle();
    expect(showing()).toBe("after");
    await page.click("show-swipe");
    await page.key("ArrowLeft", {}, "divider");
    expect(page.find("divider").getAttribute("aria-valuenow")).toBe("48");
    await page.click("show-difference");
    expect(showing()).toBe("difference");
    expect(page.maybe("divider")).toBeNull();
    // What is drawn is seen while it is drawn.
    await page.key("b");
    expect(showing()).toBe("after");
  });

  it("tells place and colour of the pixel under the pointer", async () => {
    point("pointermove", 30.2, 40.2);
    await new Promise((done) => setTimeout(done, 200));
    expect(page.text("pixel")).toBe("60, 80");
    page.model.message({ kind: "color", id: page.model.last("color")?.id, color: "#123456" });
    await settle();
    expect(page.text("pixel")).toBe("60, 80#123456");
    // Another picture, and the pointer has not moved: the colour is of the one before.
    page.model.kernel({ preview: { ...(page.model.get("preview") as object), key: "another" } });
    await settle();
    expect(page.text("pixel")).toBe("60, 80");
    await new Promise((done) => setTimeout(done, 200));
    page.model.message({ kind: "color", id: page.model.last("color")?.id, color: "#654321" });
    await settle();
    expect(page.text("pixel")).toBe("60, 80#654321");
    page.find("overlay").dispatchEvent(new PointerEvent("pointerleave"));
    await settle();
    expect(page.text("pixel")).toBe("");
  });

  it("tells Python its tool and selection, and follows what Python sets", async () => {
    await start(box(20, 20), box(200, 20));
    await page.key("b");
    await vi.waitFor(() => expect(page.model.get("tool")).toBe("box"), 20_000);
    await page.key("v");
    await page.key("a", { ctrlKey: true });
    await vi.waitFor(() => expect(page.model.get("selected")).toEqual([0, 1]), 20_000);
    page.model.kernel({ tool: "ellipse" });
    await settle();
    expect(page.find("tool-ellipse").getAttribute("aria-pressed")).toBe("true");
    page.model.kernel({ tool: "select" });
    page.model.kernel({ selected: [1, 7] });
    await settle();
    expect(chosen()).toEqual(["shape-1"]);
  });
});

describe("attention over the picture", () => {
  const answer = { text: "No star.", correct: false, finished: true, tokens: [{ text: "No", logprob: -0.7 }, { text: " star.", logprob: -0.1 }], yes_no: null };
  beforeEach(async () => {
    page.end();
    page.el.remove();
    page = await open(new FakeModel(traits({ trials: [trial(1, "k0", { answer })], shown: 1 })));
    vi.stubGlobal("URL", Object.assign(URL, { createObjectURL: () => "blob:heat", revokeObjectURL: () => undefined }));
  });
  const choose = async (): Promise<void> => {
    page.find("answer").querySelector<HTMLElement>("[data-token]")?.click();
    await settle();
  };

  it("of a chosen token is asked for and laid where the picture is", async () => {
    await choose();
    const asked = page.model.last("map") as { id: string };
    expect(asked).toMatchObject({ trial: 1, token: 0 });
    expect(page.maybe("heat")).toBeNull();
    page.model.message({ kind: "map", id: "another", share: 0.3 }, [PIXEL]);
    await settle();
    expect(page.maybe("heat")).toBeNull();
    expect(page.text("heat-legend")).toContain("–");
    page.model.message({ kind: "map", id: asked.id, share: 0.3, peak: 2.34 }, [PIXEL]);
    await settle();
    expect(page.text("heat-legend")).toMatch(/“No”.*0.*2\.3/);
    expect(page.find("heat").style).toMatchObject({ left: "0px", width: "400px", height: "300px", opacity: "0.6" });
    await page.key("1");
    expect(page.find("heat").style).toMatchObject({ left: "-200px", width: "800px" });
    await choose();
    expect(page.maybe("heat")).toBeNull();
  });

  it("is taken away as soon as the input is another one", async () => {
    await choose();
    page.model.message({ kind: "map", id: page.model.last("map")?.id, share: 0.3 }, [PIXEL]);
    await settle();
    expect(page.maybe("heat")).not.toBeNull();
    await page.key("b");
    await page.drag([10, 20], [60, 50]);
    expect(page.maybe("heat")).toBeNull();
    expect(page.text("heat-legend")).toContain("input has changed");
  });
});
