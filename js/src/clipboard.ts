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
  const operations = screen.store.document.value.operations;
  const copied = screen.chosen.value.flatMap((i) => {
    const op = operations[i];
    return op && isDrawing(op) ? [op] : [];
  });
  if (copied.length === 0) return false;
  page[KEY] = copied;
  screen.store.spoken.value = "Copied";
  return true;
}

/** Returns whether there was something to paste. */
export function pasteDrawings(screen: Screen): boolean {
  const image = screen.store.image.value;
  const copied = page[KEY];
  if (!copied?.length || !image) return false;
  const fits = (d: Drawing): boolean => {
    const r = bounds(d);
    return !r || (r.x + BESIDE < image.width && r.y + BESIDE < image.height);
  };
  const pasted = copied.map((d) => {
    const free = omit(d, "locked") as Drawing;
    return copied.every(fits) ? shifted(free, [BESIDE, BESIDE]) : free;
  });
  page[KEY] = pasted; // the next one stands beside this one
  screen.tool.value = "select";
  screen.add(...pasted);
  return true;
}
