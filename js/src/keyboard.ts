// The keyboard map of one view. Keys typed into fields stay theirs; what is handled here goes no further (the notebook has keys of its own).
import { isDrawing } from "./document";
import { estimate, move } from "./geometry";
import { MEASURES, type Operation } from "./protocol";
import { TOOL_KEYS, type Screen } from "./state/screen";

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** Nudges that follow one another within this time are one step. */
const NUDGE_PAUSE = 800;

export function keyboard(screen: Screen): (event: KeyboardEvent) => void {
  const store = screen.store;
  let nudged: { at: number; result: Operation[] } | null = null;

  const nudge = (dx: number, dy: number): boolean => {
    const index = screen.selected.value;
    const drawing = screen.selection.value;
    const image = (store.picture.value ?? store.base.value)?.image;
    if (index === null || !drawing || !isDrawing(drawing) || !image) return false;
    const merge = nudged !== null && nudged.result === store.document.value.operations && performance.now() - nudged.at < NUDGE_PAUSE;
    screen.change(index, move(drawing, dx, dy, image, estimate), { merge, say: "Moved" });
    nudged = { at: performance.now(), result: store.document.value.operations };
    return true;
  };

  const escape = (): boolean => {
    if (screen.cancelGesture) screen.cancelGesture();
    else if (screen.popover.value) screen.popover.value = null;
    else if (store.running.value) store.cancel();
    else if (screen.tool.value !== "select") screen.setTool("select");
    else if (screen.selected.value !== null) screen.selected.value = null;
    else return false;
    return true;
  };

  const handle = (event: KeyboardEvent): boolean => {
    const { key } = event;
    const command = event.ctrlKey || event.metaKey;
    if (key === "Escape") return escape();
    if (command && key === "Enter") {
      screen.flush();
      store.run([...MEASURES]);
      return true;
    }
    if (inField(event)) return false;
    if (command && !event.altKey) {
      const letter = key.toLowerCase();
      if (letter === "z") {
        if (event.shiftKey) store.redo();
        else store.undo();
        return true;
      }
      if (letter === "y") {
        store.redo();
        return true;
      }
      return false;
    }
    if (event.altKey) return false;
    if (key === "?") {
      screen.toggle("keys");
      return true;
    }
    const arrow = ARROWS[key];
    if (arrow) return nudge(arrow[0] * (event.shiftKey ? 10 : 1), arrow[1] * (event.shiftKey ? 10 : 1));
    if (key === "Delete" || key === "Backspace") {
      if (screen.selected.value === null) return false;
      screen.remove(screen.selected.value);
      return true;
    }
    const tool = TOOL_KEYS[key.toLowerCase()];
    if (!tool) return false;
    screen.setTool(tool);
    return true;
  };

  return (event) => {
    if (event.defaultPrevented || !handle(event)) return;
    event.preventDefault();
    event.stopPropagation();
  };
}

/** Whether the key belongs to a field (composedPath: in a shadow root the target is hidden from outside). */
function inField(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0] ?? event.target;
  if (!(target instanceof Element)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "button", "color", "file"].includes(target.type);
  return target.matches("textarea, select, [contenteditable]");
}
