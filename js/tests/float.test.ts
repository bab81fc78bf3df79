import { describe, expect, it } from "vitest";
import { placed, type Box } from "../src/float";

const within: Box = { left: 8, top: 8, right: 792, bottom: 592 };
const at = (left: number, top: number, width = 100, height = 26): Box => ({ left, top, right: left + width, bottom: top + height });

describe("a pop-over", () => {
  it("stands below its anchor, or above where below is too little room", () => {
    expect(placed(at(50, 40), { width: 300, height: 200 }, within)).toEqual({ left: 50, top: 70, room: 522 });
    expect(placed(at(50, 540), { width: 300, height: 200 }, within)).toEqual({ left: 50, top: 336, room: 528 });
    expect(placed(at(50, 40), { width: 300, height: 20 }, within, true).top).toBe(16);
    expect(placed(at(50, 20), { width: 300, height: 60 }, within, true).top).toBe(50);
  });

  it("takes the side with more room where neither has enough, and no more than that", () => {
    expect(placed(at(50, 200), { width: 300, height: 900 }, within)).toEqual({ left: 50, top: 230, room: 362 });
    expect(placed(at(50, 400), { width: 300, height: 900 }, within)).toEqual({ left: 50, top: 8, room: 388 });
  });

  it("hides its anchor only if it may, and only where neither side has room", () => {
    expect(placed(at(50, 400), { width: 300, height: 900 }, within, false, true)).toEqual({ left: 50, top: 8, room: 584 });
    expect(placed(at(50, 200), { width: 300, height: 900 }, within, false, true)).toEqual({ left: 50, top: 8, room: 584 });
    expect(placed(at(50, 400), { width: 300, height: 300 }, within, false, true)).toEqual({ left: 50, top: 96, room: 388 });
  });

  it("ends where its anchor ends if it would stick out at the right, and is never outside", () => {
    expect(placed(at(600, 40), { width: 300, height: 200 }, within).left).toBe(400);
    expect(placed(at(-50, 40), { width: 300, height: 200 }, within).left).toBe(8);
    expect(placed(at(100, 40, 20), { width: 784, height: 200 }, within).left).toBe(8);
    // An anchor that has been scrolled out of the window.
    for (const top of [-900, 1500]) {
      const place = placed(at(50, top), { width: 300, height: 200 }, within);
      expect(place.top).toBeGreaterThanOrEqual(8);
      expect(place.top + Math.min(200, place.room)).toBeLessThanOrEqual(592);
    }
  });
});
