// The keyboard map of one view. Keys typed into fields stay theirs; what is handled here goes no further (the notebook has keys of its own).
import { closePolygon, drawInMiddle } from "./canvas/gesture";
import { copyDrawings, duplicate } from "./clipboard";
import { moveBy } from "./canvas/carrying";
import { isDrawing } from "./document";
import { isKept } from "./records";
import { composing, meant, modifiers } from "./keys";
import { boxOf } from "./masks";
import { sameEdits } from "./objects";
import type { Drawing, Operation } from "./protocol";
import { bounds, shifted, stopped } from "./shapes";
import { TOOL_KEYS, type Screen } from "./state/screen";
import type { Store } from "./state/store";
import { fitted, zoom } from "./state/zooming";
import { giveUp } from "./state/second";
import { selectionOf, type Mode } from "./state/selection";

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** Nudges that follow one another within this time are one step. */
const NUDGE_PAUSE = 800;
const STEP = 1.25;
/** Of the tool that selects an object. */
const MODES: Partial<Record<string, Mode>> = { d: "object", r: "background" };

export interface Keyboard {
  down: (event: KeyboardEvent) => void;
  up: (event: KeyboardEvent) => void;
  /** The focus has gone elsewhere: whatever is released from now on is not heard. */
  left: () => void;
}

export function keyboard(screen: Screen): Keyboard {
  const store = screen.store;
  const selection = selectionOf(screen);
  /** The picture before is shown for as long as a key is held down. */
  let held: string | null = null;
  const unhold = (): void => {
    if (held !== null && screen.showing.value === "before") screen.showing.value = "after";
    held = null;
  };
  let nudged: { at: number; result: Operation[] } | null = null;

  const nudge = (dx: number, dy: number): boolean => {
    const image = store.image.value;
    const operations = store.document.value.operations;
    const thing = screen.chosen.value.length === 0 ? selection.thing.value : null;
    if (image && thing) {
      selection.acted(moveBy({ mask: thing }, boxOf(thing), [dx, dy], image));
      nudged = { at: performance.now(), result: store.document.value.operations };
      return true;
    }
    const indexes = screen.chosen.value.filter((i) => !isKept(operations[i]));
    const rects = indexes.flatMap((i) => bounds(operations[i] as Drawing, screen.measure.value) ?? []);
    if (!image || rects.length === 0) return false;
    const merge = nudged !== null && sameEdits(nudged.result, operations) && performance.now() - nudged.at < NUDGE_PAUSE;
    // The shortest step that all of them can make: they keep their places to one another.
    const steps = rects.map((r) => stopped(r, dx, dy, image));
    const least = (axis: 0 | 1): number => steps.map((s) => s[axis]).reduce((a, b) => (Math.abs(b) < Math.abs(a) ? b : a));
    screen.alter((d) => shifted(d, [least(0), least(1)]), { merge, say: "Moved", indexes });
    nudged = { at: performance.now(), result: store.document.value.operations };
    return true;
  };

  const brushing = (): boolean => screen.tool.value === "segment" && selection.mode.value !== "box";

  const escape = (): boolean => {
    if (screen.cancelGesture) screen.cancelGesture();
    else if (screen.path.value) screen.path.value = null;
    else if (screen.popover.value) screen.popover.value = null;
    else if (selection.busy) selection.stop();
    else if (store.running.value) store.cancel();
    else if (selection.clear() || giveUp(screen)) return true;
    else if (screen.tool.value !== "select") screen.setTool("select");
    else if (screen.chosen.value.length > 0) screen.select();
    else return false;
    return true;
  };

  /** Takes back the last corner of a polygon that is being drawn. */
  const uncorner = (): boolean => {
    const path = screen.path.value;
    if (path) screen.path.value = path.length > 1 ? path.slice(0, -1) : null;
    return path !== null;
  };

  const command = (key: string, shift: boolean): boolean => {
    const drawings = store.document.value.operations;
    switch (key) {
      case "z":
        if (!shift && uncorner()) return true;
        if (shift) selection.redo();
        else selection.undo();
        return true;
      case "y":
        selection.redo();
        return true;
      case "a":
        screen.select(...drawings.flatMap((op, i) => (isDrawing(op) && !op.locked && !op.hidden ? [i] : [])));
        return true;
      case "c":
        return !wordsSelected() && copyDrawings(screen);
      case "x":
        if (wordsSelected() || !copyDrawings(screen)) return false;
        if (screen.chosen.value.length > 0) screen.removeChosen();
        else if (selection.thing.value) selection.acted({ op: "remove", region: { mask: selection.thing.value } });
        return true;
      case "d":
        // The browser's own meaning, a bookmark, is never wanted in here.
        duplicate(screen);
        return true;
      default:
        return false;
    }
  };

  const handle = (event: KeyboardEvent): boolean => {
    const key = meant(event);
    const { command: commanded, alt } = modifiers(event);
    if (key === "Escape") return escape();
    if (commanded && key === "Enter") {
      screen.flush();
      if (store.question.value.trim() === "") askForQuestion(store);
      else store.runEverything();
      return true;
    }
    if (wordless(event) && (key === "z" || key === "y")) return commanded && !alt && command(key, event.shiftKey);
    if (inField(event)) return editField(event);
    if (commanded) return !alt && command(key, event.shiftKey);
    if (alt) return false;
    const arrow = ARROWS[key];
    if (arrow) return nudge(arrow[0] * (event.shiftKey ? 10 : 1), arrow[1] * (event.shiftKey ? 10 : 1));
    const chosen = screen.chosen.value;
    const only = screen.selected.value;
    switch (key) {
      case "?":
        screen.toggle("keys");
        return true;
      case "h":
        screen.inside.value = !screen.inside.value;
        if (screen.inside.value) enterInside(event.currentTarget as Element);
        return true;
      case "+":
      case "=":
        return zoom(screen, STEP);
      case "-":
        return zoom(screen, 1 / STEP);
      case "0":
        fitted(screen);
        return true;
      case "1":
        return zoom(screen, 1 / screen.transform.value.scale);
      case "\\":
        if (!event.repeat && screen.showing.value === "after") {
          screen.showing.value = "before";
          held = event.code;
        }
        return true;
      case " ":
        if (!isButton(event)) screen.hand = true;
        return screen.hand;
      case "Enter": {
        const image = store.image.value;
        if (!image || (isButton(event) && !isTool(event))) return false;
        return screen.path.value ? closePolygon(screen, image) : drawInMiddle(screen, image, event);
      }
      case "[":
      case "]": {
        if (brushing()) {
          selection.setBrush(selection.brush.value * (key === "]" ? STEP : 1 / STEP) + (key === "]" ? 0.5 : -0.5));
          return true;
        }
        if (only === null) return false;
        const to = only + (key === "]" ? 1 : -1);
        if (store.document.value.operations[to]) screen.reorder(only, to);
        return true;
      }
      case "Delete":
      case "Backspace":
        if (uncorner()) return true;
        if (chosen.length > 0) screen.removeChosen();
        else if (selection.thing.value) selection.acted({ op: "remove", region: { mask: selection.thing.value } });
        else return false;
        return true;
    }
    const mode = MODES[key];
    const tool = TOOL_KEYS[key] ?? (mode && "segment");
    if (!tool) return false;
    screen.setTool(tool);
    if (tool === "segment") selection.mode.value = mode ?? "box";
    // Off the button of another tool, which Enter would press.
    if (isAt(event, ".isi-tools button")) (event.currentTarget as HTMLElement).focus({ preventScroll: true });
    return true;
  };

  return {
    down(event) {
      if (event.defaultPrevented || composing(event) || !handle(event)) return;
      event.preventDefault();
      event.stopPropagation();
    },
    up(event) {
      if (event.key === " ") screen.hand = false;
      // By its place: the sign may have needed another key, which is up already.
      if (event.code === held) unhold();
    },
    left() {
      screen.hand = false;
      unhold();
    },
  };
}

/** Once it is drawn: the matrix of the panel, or where there is none yet its button. */
function enterInside(root: Element): void {
  const found = (what: string): HTMLElement | null => root.querySelector<HTMLElement>(what);
  setTimeout(() => (found(".isi-matrix [tabindex='0']") ?? found("[data-testid=inside-toggle]"))?.focus());
}

const isAt = (event: KeyboardEvent, what: string): boolean => (event.composedPath()[0] as Element | undefined)?.closest(what) != null;
const isButton = (event: KeyboardEvent): boolean => isAt(event, "button, input, [role=slider]");
/** Words of the page that are selected, to be copied as anywhere: what was selected last is meant, see `letGoOfWords`. */
const wordsSelected = (): boolean => (document.getSelection()?.toString().trim() ?? "") !== "";

/** Clears the selection of words once something on the picture is selected. */
export function letGoOfWords(): void {
  if (wordsSelected()) document.getSelection()?.removeAllRanges();
}
/** The button of the tool that is in hand: pressing it again would change nothing. */
const isTool = (event: KeyboardEvent): boolean => isAt(event, ".isi-tools [aria-pressed=true]");

/** Whether the key belongs to a field (composedPath: in a shadow root the target is hidden from outside). */
export function inField(event: Event): boolean {
  const target = event.composedPath()[0] ?? event.target;
  if (!(target instanceof Element)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "button", "color", "file"].includes(target.type);
  return target.matches("textarea, select, [contenteditable]");
}

/** A slider or a list has no text whose changes it could take back itself: undo is that of the document. */
function wordless(event: Event): boolean {
  const target = event.composedPath()[0] ?? event.target;
  return target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type === "range");
}

/** Says that a question is missing, until there is one: typed, undone or of another observation. */
function askForQuestion(store: Store): void {
  store.fail("There is no question.", "The model needs one: type it into the field “Question”.");
  const shown = store.notice.peek();
  const stop = store.question.subscribe((question) => {
    if (question.trim() === "") return;
    if (store.notice.peek() === shown) store.notice.value = null;
    stop();
  });
}

/**
 * Undo, redo and a new line (Shift+Enter) in a text field: JupyterLab prevents the browser's own in the cells of a notebook, for the
 * sake of its shortcuts. Returns whether the key was one of these.
 */
export function editField(event: KeyboardEvent): boolean {
  const field = event.composedPath()[0] ?? event.target;
  const lines = field instanceof HTMLTextAreaElement;
  if (!lines && !(field instanceof HTMLInputElement)) return false;
  if (composing(event)) return false;
  const key = meant(event);
  const { command, alt } = modifiers(event);
  const commanded = command && !alt;
  // The only call that a field's own history knows of.
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const tell = (what: string, text?: string): boolean => (document.execCommand(what, false, text), true);
  if (commanded && key === "z") return tell(event.shiftKey ? "redo" : "undo");
  if (commanded && key === "y") return tell("redo");
  return lines && key === "Enter" && event.shiftKey && !commanded && tell("insertText", "\n");
}
