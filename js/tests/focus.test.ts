// Who may move the focus out of the probe: a person, by pointer or key; not a program, such as a notebook that takes it for the cell.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keepFocus } from "../src/focus";

let life: AbortController;
let cell: HTMLElement;
let root: HTMLElement;
let field: HTMLInputElement;
let row: HTMLButtonElement;
let elsewhere: HTMLInputElement;

const later = (ms = 80): Promise<void> => new Promise((done) => setTimeout(done, ms));
const add = (tag: string, to: HTMLElement): HTMLElement => to.appendChild(document.createElement(tag));
const press = (key: string, on: HTMLElement, prevented = false): void => {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  if (prevented) on.addEventListener("keydown", (e) => e.preventDefault(), { once: true });
  on.dispatchEvent(event);
};

beforeEach(() => {
  life = new AbortController();
  cell = add("div", document.body);
  cell.tabIndex = -1;
  root = add("div", cell);
  root.tabIndex = 0;
  field = add("input", root) as HTMLInputElement;
  row = add("button", root) as HTMLButtonElement;
  elsewhere = add("input", document.body) as HTMLInputElement;
  keepFocus(root, life.signal);
});
afterEach(() => {
  life.abort();
  document.body.replaceChildren();
  vi.restoreAllMocks();
});

describe("the focus returns", () => {
  it("to the very field when the host takes it for the cell around the probe", () => {
    field.focus();
    cell.focus();
    expect(document.activeElement).toBe(field);
  });

  it("before the next key, so that nothing typed is lost", () => {
    field.focus();
    const typed: string[] = [];
    field.addEventListener("keydown", ({ key }) => typed.push(key));
    press("l", document.activeElement as HTMLElement);
    cell.focus();
    press("m", document.activeElement as HTMLElement);
    expect(typed).toEqual(["l", "m"]);
  });

  it("to the very field when a program takes it off the field", async () => {
    field.focus();
    field.blur();
    await later();
    expect(document.activeElement).toBe(field);
  });

  it("to the probe when what had it is gone", async () => {
    row.focus();
    row.remove();
    await later();
    expect(document.activeElement).toBe(root);
  });

  it("to the probe when a button goes away that Tab has just reached and Enter has pressed", async () => {
    press("Tab", field);
    row.focus();
    press("Enter", row);
    row.remove();
    await later();
    expect(document.activeElement).toBe(root);
  });

  it("after a key that the probe has handled itself", () => {
    field.focus();
    press("Escape", field, true);
    cell.focus();
    expect(document.activeElement).toBe(field);
  });
});

describe("the focus goes", () => {
  it("where a person clicks", () => {
    field.focus();
    elsewhere.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
    cell.focus();
    expect(document.activeElement).toBe(cell);
  });

  it.each(["Tab", "Escape"])("where a person goes by %s", (key) => {
    field.focus();
    press(key, field);
    cell.focus();
    expect(document.activeElement).toBe(cell);
  });

  it("to what takes it for something else, such as a dialog or a screen reader's choice", async () => {
    field.focus();
    elsewhere.focus();
    root.append("a new line");
    await later();
    expect(document.activeElement).toBe(elsewhere);
  });

  it("from there no more to the probe when that goes away, too", async () => {
    field.focus();
    elsewhere.focus();
    elsewhere.blur();
    root.append("a new line");
    await later();
    expect(document.activeElement).toBe(document.body);
  });

  it("to a host that insists: two programs do not fight", () => {
    const insist = vi.fn(() => cell.focus());
    field.addEventListener("focusin", () => queueMicrotask(insist));
    field.focus();
    for (let i = 0; i < 10; i++) cell.focus();
    expect(document.activeElement).toBe(cell);
  });

  it("anywhere, once the view is gone", () => {
    field.focus();
    life.abort();
    cell.focus();
    expect(document.activeElement).toBe(cell);
  });
});
