// Drawings that were copied: shared by all probes of a page. The system's clipboard is left alone, except that an image on it goes first.
import { isDrawing, omit } from "./document";
import type { Drawing } from "./protocol";
import { bounds, shifted } from "./shapes";
import type { Screen } from "./state/screen";

const KEY = "isi_widget clipboard";
const page = globalThis as unknown as Partial<Record<typeof KEY, Drawing[]>>;

/** Pixels of the image by which a pasted drawing stands beside its original. */
const BESIDE = 10;

/** Returns whether there was something to copy. */
export function copyDrawings(screen: Screen): boolean {
  const copied = chosen(screen);
  if (copied.length === 0) return false;
  page[KEY] = copied;
  screen.store.spoken.value = "Copied";
  return true;
}

/** Returns whether there was something to paste. */
export function pasteDrawings(screen: Screen): boolean {
  const pasted = addBeside(screen, page[KEY] ?? []);
  if (pasted) page[KEY] = pasted; // the next one stands beside this one
  return pasted !== null;
}

/** Copies of what is chosen, beside it; what was copied for pasting stays. Returns whether anything was chosen. */
export const duplicate = (screen: Screen): boolean => addBeside(screen, chosen(screen)) !== null;

function chosen(screen: Screen): Drawing[] {
  const operations = screen.store.document.value.operations;
  return screen.chosen.value.flatMap((i) => {
    const op = operations[i];
    return op && isDrawing(op) ? [op] : [];
  });
}

function addBeside(screen: Screen, originals: Drawing[]): Drawing[] | null {
  const image = screen.store.image.value;
  if (originals.length === 0 || !image) return null;
  const fit = (by: number): boolean =>
    originals.every((d) => {
      const r = bounds(d, screen.measure.value);
      return !r || (r.x + by >= 0 && r.y + by >= 0 && r.x + r.width + by <= image.width && r.y + r.height + by <= image.height);
    });
  const by = [BESIDE, -BESIDE].find(fit) ?? 0;
  const added = originals.map((d) => shifted(omit(d, "locked") as Drawing, [by, by]));
  screen.tool.value = "select";
  screen.add(...added);
  return added;
}
