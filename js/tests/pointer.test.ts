// Positions of the pointer where a page shows the probe larger or smaller than it is laid out.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { pointIn } from "../src/pointer";
import { browser, open, settle } from "./fake";

/** An element laid out at 400 x 300, shown at (50, 20) with other sizes. */
function shown(width: number, height: number): void {
  vi.spyOn(Element.prototype, "getBoundingClientRect").mockReturnValue({ left: 50, top: 20, width, height, right: 50 + width, bottom: 20 + height, x: 50, y: 20 } as DOMRect);
  vi.spyOn(window, "getComputedStyle").mockReturnValue({ width: "400px", height: "300px" } as CSSStyleDeclaration);
}

afterEach(() => {
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe("the pointer in an element", () => {
  it.each([
    ["as laid out", 400, 300, [100, 60]],
    ["on a slide of three quarters", 300, 225, [400 / 3, 80]],
    ["twice as large", 800, 600, [50, 30]],
    ["stretched", 800, 300, [50, 60]],
    ["hidden", 0, 0, [100, 60]],
  ] as const)("%s", (_, width, height, wanted) => {
    shown(width, height);
    const [x, y] = pointIn(document.createElement("div"), { clientX: 150, clientY: 80 });
    expect(x).toBeCloseTo(wanted[0]);
    expect(y).toBeCloseTo(wanted[1]);
  });
});

describe("the pointer in an element that is turned", () => {
  /** An element of 400 x 300, its middle at (250, 170), in one that is turned. */
  function within(style: Partial<CSSStyleDeclaration>, width: number, height: number): Element {
    const [outer, inner] = [document.createElement("div"), document.createElement("div")];
    outer.append(inner);
    vi.spyOn(Element.prototype, "getBoundingClientRect").mockReturnValue({ left: 250 - width / 2, right: 250 + width / 2, top: 170 - height / 2, bottom: 170 + height / 2, width, height } as DOMRect);
    vi.spyOn(window, "getComputedStyle").mockImplementation((one) => Object.assign({ width: "400px", height: "300px", transform: "none", rotate: "none", scale: "none" }, one === outer ? style : {}) as CSSStyleDeclaration);
    return inner;
  }
  it.each([
    ["a quarter to the right", { transform: "matrix(0, 1, -1, 0, 30, 5)" }, 300, 400, [170, 140]],
    ["a half", { rotate: "180deg" }, 400, 300, [190, 180]],
    ["mirrored", { transform: "matrix(-1, 0, 0, 1, 0, 0)" }, 400, 300, [190, 120]],
    ["a quarter to the left, at half size", { rotate: "-90deg", scale: "0.5" }, 150, 200, [260, 170]],
    ["a quarter to the right, zoomed", { transform: "matrix(0, 1, -1, 0, 0, 0)" }, 600, 800, [185, 145]],
  ] as const)("%s", (_, style, width, height, wanted) => {
    const [x, y] = pointIn(within(style, width, height), { clientX: 260, clientY: 140 });
    expect(x).toBeCloseTo(wanted[0]);
    expect(y).toBeCloseTo(wanted[1]);
  });
});

describe("in the probe, shown at three quarters", () => {
  let page: Awaited<ReturnType<typeof open>>;
  beforeEach(async () => {
    browser();
    shown(300, 225);
    page = await open();
  });
  afterEach(() => page.end());

  it("a box is drawn where the pointer was", async () => {
    await page.click("tool-box");
    // The image of 800 x 600 is laid out at half size and shown at 3/8: pixel (100, 60) is at (50 + 37.5, 20 + 22.5).
    await page.drag([87.5, 42.5], [125, 80]);
    expect(page.model.operations()).toMatchObject([{ op: "box", x: 100, y: 60, width: 100, height: 100 }]);
  });

  it("the wheel keeps what is under the pointer", async () => {
    const before = ["scale", "x", "y"].map((name) => Number(page.find("overlay").dataset[name]));
    const [x, y] = [(125 - 50) / 0.75, (80 - 20) / 0.75];
    const pixel = (([scale = 1, dx = 0, dy = 0]) => [(x - dx) / scale, (y - dy) / scale])(before);
    const event = new WheelEvent("wheel", { deltaY: -200, bubbles: true, cancelable: true });
    // happy-dom leaves these out of its wheel events
    for (const [name, value] of Object.entries({ ctrlKey: true, clientX: 125, clientY: 80 })) Object.defineProperty(event, name, { value });
    page.find("stage").dispatchEvent(event);
    await settle();
    const [scale = 1, dx = 0, dy = 0] = ["scale", "x", "y"].map((name) => Number(page.find("overlay").dataset[name]));
    expect(scale).toBeCloseTo(1);
    expect((x - dx) / scale).toBeCloseTo(pixel[0] ?? 0);
    expect((y - dy) / scale).toBeCloseTo(pixel[1] ?? 0);
  });
});
