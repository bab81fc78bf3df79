// Shortcuts on other keyboards than an American one, while a text is composed, and where words are selected.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { composing, meant, modifiers } from "../src/keys";
import { browser, FakeModel, leave, open, settle, traits } from "./fake";

/** happy-dom takes Alt for AltGr; browsers tell them apart. */
const press = (key: string, code: string, more: KeyboardEventInit = {}): KeyboardEvent =>
  Object.assign(new KeyboardEvent("keydown", { key, code, bubbles: true, cancelable: true, composed: true, ...more }), {
    getModifierState: (name: string) => name === "AltGraph" && more.modifierAltGraph === true,
  });

describe("what a key means", () => {
  /** layout: what is typed, at which place (by the US layout's name), with which modifiers; what it means */
  const LAYOUTS: [string, string, string, KeyboardEventInit, string][] = [
    ["US", "z", "KeyZ", {}, "z"],
    ["US, caps lock", "Z", "KeyZ", {}, "z"],
    ["US", "?", "Slash", { shiftKey: true }, "?"],
    ["US", "+", "Equal", { shiftKey: true }, "+"],
    ["AZERTY: z stands at W", "z", "KeyW", {}, "z"],
    ["AZERTY: w stands at Z", "w", "KeyZ", {}, "w"],
    ["AZERTY: a stands at Q", "a", "KeyQ", {}, "a"],
    ["AZERTY: digits need Shift", "1", "Digit1", { shiftKey: true }, "1"],
    ["AZERTY: digits without Shift", "é", "Digit2", {}, "2"],
    ["AZERTY: digits without Shift", "&", "Digit1", {}, "1"],
    ["AZERTY: - stands at 6", "-", "Digit6", {}, "-"],
    ["Czech: + stands at 1", "+", "Digit1", {}, "+"],
    ["Czech: digits without Shift", "ě", "Digit2", {}, "2"],
    ["US: Shift and a digit is a sign", "!", "Digit1", { shiftKey: true }, "!"],
    ["AZERTY", "?", "KeyM", { shiftKey: true }, "?"],
    ["QWERTZ: z stands at Y", "z", "KeyY", {}, "z"],
    ["QWERTZ: ? needs Shift", "?", "Minus", { shiftKey: true }, "?"],
    ["QWERTZ: + needs none", "+", "BracketRight", {}, "+"],
    ["QWERTZ: no bracket", "ü", "BracketLeft", {}, "ü"],
    ["Dvorak: z stands at /", "z", "Slash", {}, "z"],
    ["Dvorak: v stands at .", "v", "Period", {}, "v"],
    ["Spanish: ¡ is no =", "¡", "Equal", {}, "¡"],
    ["Cyrillic", "я", "KeyZ", {}, "z"],
    ["Cyrillic with Shift", "Я", "KeyZ", { shiftKey: true }, "z"],
    ["Cyrillic: [", "х", "BracketLeft", {}, "["],
    ["Cyrillic: ?", "?", "Digit7", { shiftKey: true }, "?"],
    ["Greek", "β", "KeyB", {}, "b"],
    ["Hebrew", "ז", "KeyZ", {}, "z"],
    ["Arabic", "ئ", "KeyZ", {}, "z"],
    ["Arabic digits", "١", "Digit1", {}, "1"],
    ["Persian digits", "۰", "Digit0", {}, "0"],
    ["Korean", "ㅋ", "KeyZ", {}, "z"],
    ["Japanese kana", "つ", "KeyZ", {}, "z"],
    ["Thai", "ผ", "KeyZ", {}, "z"],
    ["Georgian", "ზ", "KeyZ", {}, "z"],
    ["Devanagari sign", "े", "KeyS", {}, "s"],
    ["a key with a name", "Escape", "Escape", {}, "Escape"],
    ["a dead key", "Dead", "BracketLeft", {}, "Dead"],
    ["no place known (a key on a screen)", "я", "", {}, "я"],
  ];
  it.each(LAYOUTS)("%s: %s at %s", (_, key, code, more, wanted) => {
    expect(meant(press(key, code, more))).toBe(wanted);
  });

  it("signs that AltGr or Option types are signs, letters with Alt are not", () => {
    const altgr = { ctrlKey: true, altKey: true, modifierAltGraph: true };
    expect(modifiers(press("[", "Digit8", altgr))).toEqual({ command: false, alt: false });
    expect(modifiers(press("[", "Digit5", { altKey: true }))).toEqual({ command: false, alt: false });
    expect(modifiers(press("b", "KeyB", { altKey: true }))).toEqual({ command: false, alt: true });
    expect(modifiers(press("z", "KeyZ", { ctrlKey: true, altKey: true }))).toEqual({ command: true, alt: true });
    expect(modifiers(press("я", "KeyZ", { metaKey: true }))).toEqual({ command: true, alt: false });
  });

  it("knows composing by the flag and by the key code 229", () => {
    expect(composing(press("Escape", "Escape", { isComposing: true }))).toBe(true);
    expect(composing(press("Enter", "Enter", { keyCode: 229 }))).toBe(true);
    expect(composing(press("Enter", "Enter", { keyCode: 13 }))).toBe(false);
  });
});

describe("in the probe", () => {
  let page: Awaited<ReturnType<typeof open>>;
  const box = { op: "box", x: 10, y: 20, width: 30, height: 40, color: "#000000", fill: true, line_width: 3 };
  const count = (): number => (page.model.operations() as unknown[]).length;
  const send = async (event: KeyboardEvent, on = "isi-probe"): Promise<KeyboardEvent> => {
    page.find(on).dispatchEvent(event);
    await settle();
    return event;
  };
  const choose = async (): Promise<void> => {
    await send(press("a", "KeyA", { ctrlKey: true }));
  };

  beforeEach(async () => {
    browser();
    page = await open(new FakeModel(traits({ document: { version: 1, operations: [box], past: [{ at: 0, remove: 1, insert: [] }], future: [] } })));
  });
  afterEach(() => {
    page.end();
    document.body.replaceChildren();
    document.getSelection()?.removeAllRanges();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it.each([
    ["US", "z", "KeyZ"],
    ["Cyrillic", "я", "KeyZ"],
    ["AZERTY", "z", "KeyW"],
    ["Dvorak", "z", "Slash"],
  ])("Ctrl+Z on %s takes back, with Shift brings again", async (_, key, code) => {
    await send(press(key, code, { ctrlKey: true }));
    expect(count()).toBe(0);
    await send(press(key.toUpperCase(), code, { ctrlKey: true, shiftKey: true }));
    expect(count()).toBe(1);
  });

  it("on AZERTY the key at Z is W, and takes nothing back", async () => {
    await send(press("w", "KeyZ", { ctrlKey: true }));
    expect(count()).toBe(1);
  });

  it.each([
    ["Cyrillic", "и", "KeyB"],
    ["Greek", "β", "KeyB"],
    ["Dvorak", "b", "KeyN"],
  ])("tool letters on %s", async (_, key, code) => {
    await send(press(key, code));
    expect(page.find("tool-box").getAttribute("aria-pressed")).toBe("true");
  });

  it("the list of keys opens where ? is typed, whatever key that is", async () => {
    await send(press("?", "Minus", { shiftKey: true }));
    expect(page.maybe("keys")).not.toBeNull();
  });

  it("brackets that need AltGr change the order", async () => {
    page.model.kernel({ document: { version: 1, operations: [box, { ...box, x: 50 }], past: [], future: [] }, selected: [0] });
    await settle();
    await send(press("]", "Digit9", { ctrlKey: true, altKey: true, modifierAltGraph: true }));
    expect(page.model.operations()).toMatchObject([{ x: 50 }, { x: 10 }]);
  });

  it.each([
    ["the flag", { isComposing: true }],
    ["the key code", { keyCode: 229 }],
  ])("Escape and Enter that compose a text do nothing else, by %s", async (_, how) => {
    page.model.kernel({ status: { state: "running", id: "r", measures: ["answer"], stage: "", note: "", done: 0, total: 0, queued: 0 } });
    await settle();
    for (const on of ["question", "context", "isi-probe"]) {
      await send(press("Escape", "Escape", how), on);
      const enter = await send(press("Enter", "Enter", { ...how, ctrlKey: true }), on);
      expect(enter.defaultPrevented).toBe(false);
    }
    expect(page.model.last("cancel")).toBeUndefined();
    expect(page.model.last("run")).toBeUndefined();
    await send(press("Escape", "Escape"), "question");
    expect(page.model.last("cancel")).toBeDefined();
  });

  it("Ctrl+C copies the words that are selected, not the shape; a press on the picture lets go of them", async () => {
    await choose();
    const words = page.find("truth");
    document.getSelection()?.selectAllChildren(words);
    expect(document.getSelection()?.toString()).not.toBe("");
    const copied = await send(press("c", "KeyC", { ctrlKey: true }));
    expect(copied.defaultPrevented).toBe(false);
    const cut = await send(press("x", "KeyX", { ctrlKey: true }));
    expect(cut.defaultPrevented).toBe(false);
    expect(count()).toBe(1);
    page.find("overlay").dispatchEvent(new PointerEvent("pointerdown", { clientX: 12, clientY: 20, button: 0, pointerId: 1, pointerType: "mouse", bubbles: true, cancelable: true }));
    page.find("overlay").dispatchEvent(new PointerEvent("pointerup", { clientX: 12, clientY: 20, button: 0, pointerId: 1, pointerType: "mouse", bubbles: true, cancelable: true }));
    await settle();
    expect(document.getSelection()?.toString()).toBe("");
    expect((await send(press("c", "KeyC", { ctrlKey: true }))).defaultPrevented).toBe(true);
  });
});

describe("an emptied question", () => {
  let page: Awaited<ReturnType<typeof open>>;
  beforeEach(async () => {
    browser();
    page = await open();
  });
  afterEach(() => leave(page));

  it.each(["", "   "])("%j stays empty, says what is needed, and runs nothing", async (text) => {
    await page.type("question", text);
    expect(page.model.operations()).toEqual([{ op: "question", text }]);
    expect((page.find("question") as HTMLTextAreaElement).value).toBe(text);
    expect(page.text("question-needed")).toContain("Is there a star?");
    expect(page.find("question-needed").hidden).toBe(false);
    expect(page.find("run").getAttribute("aria-disabled")).toBe("true");
    await page.key("Enter", { ctrlKey: true }, "question");
    expect(page.model.last("run")).toBeUndefined();
    expect(page.text("error-message")).toBe("There is no question.");
    expect(page.find("error").hidden).toBe(false);
    await page.click("question-reset");
    expect(page.model.operations()).toEqual([]);
    expect(page.find("question-needed").hidden).toBe(true);
    expect(page.find("error").hidden).toBe(true);
  });
});
