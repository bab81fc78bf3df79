// Drawings and things of pictures that were copied: shared by all probes of a page. The system's clipboard is left alone, except that an image on it goes first.
import { isDrawing } from "./document";
import { omit } from "./records";
import { boxOf, cellsOf, placed } from "./masks";
import type { Drawing, Insert, Mask, Rectangle } from "./protocol";
import { bounds, shifted } from "./shapes";
import { askDetail, askPicture, uploadPart } from "./state/kernel";
import { ignore } from "./state/requests";
import type { Screen } from "./state/screen";
import { selectionOf } from "./state/selection";
import type { Store } from "./state/store";

const KEY = "isi_widget copied";
interface Copied {
  drawings: Drawing[] | Promise<Drawing[]>;
  from: Store;
  /** key of the picture that was copied from */
  key: string | undefined;
}
const page = globalThis as unknown as Partial<Record<typeof KEY, Copied>>;

/** Pixels of the image by which a pasted drawing stands beside its original. */
const BESIDE = 10;
/** Soft edge of a pasted thing, px of the image. */
export const SOFT = 2;

/** Copies the chosen drawings, else the selected thing. Returns whether there was something to copy. */
export function copyDrawings(screen: Screen): boolean {
  const copied = chosen(screen);
  const mask = selectionOf(screen).mask.value;
  if (copied.length === 0 && !mask) return false;
  const { store } = screen;
  const drawings = copied.length === 0 && mask ? copyOf(store, mask) : copied;
  page[KEY] = { drawings, from: store, key: store.picture.value?.key };
  if (!Array.isArray(drawings)) drawings.catch(ignore); // the store has shown why; nothing is pasted then
  screen.store.spoken.value = "Copied";
  return true;
}

/** Returns whether there was something to paste. */
export function pasteDrawings(screen: Screen): boolean {
  const copied = page[KEY];
  if (!copied) return false;
  const { drawings } = copied;
  if (Array.isArray(drawings)) return paste(screen, drawings, copied);
  drawings.then((found) => paste(screen, found, copied), ignore);
  return true;
}

function paste(screen: Screen, drawings: Drawing[], copied: Copied): boolean {
  const { store } = screen;
  if (copied.from !== store && drawings.some(isInsert)) {
    carriedOver(drawings, copied, store).then((found) => {
      if (found) paste(screen, found, { ...copied, from: store });
      else store.fail("The copied thing is not in this probe.", "Its picture has changed since, or is elsewhere. Copy it again.");
    }, ignore);
    return true;
  }
  const pasted = addBeside(screen, drawings);
  if (pasted) page[KEY] = { ...copied, drawings: pasted, from: store }; // the next one stands beside this one
  return pasted !== null;
}

/** Copies of what is chosen, else of the selected thing, beside it; what was copied for pasting stays. Returns whether there was anything. */
export function duplicate(screen: Screen): boolean {
  const mask = selectionOf(screen).mask.value;
  const drawings = chosen(screen);
  return addBeside(screen, drawings.length === 0 && mask ? [inserted(null, mask)] : drawings) !== null;
}

function chosen(screen: Screen): Drawing[] {
  const operations = screen.store.document.value.operations;
  return screen.chosen.value.flatMap((i) => {
    const op = operations[i];
    return op && isDrawing(op) ? [op] : [];
  });
}

const isInsert = (d: Drawing): d is Insert => d.op === "insert" && d.image !== null;

/** The thing of a picture, put where it is. */
function inserted(image: string | null, mask: Mask): Insert {
  const { x, y, width, height } = boxOf(mask);
  return { op: "insert", image, place: [x, y, width, height], source: { mask }, feather: SOFT };
}

/** The thing as it is seen now; the kernel keeps the picture. */
async function copyOf(store: Store, mask: Mask): Promise<Drawing[]> {
  const picture = await askPicture(store, null);
  return picture ? [inserted(picture.image, mask)] : [];
}

/** The same things for another probe, which does not have their picture: the part around each is sent. Null where that is no longer shown. */
async function carriedOver(drawings: Drawing[], { from, key }: Copied, to: Store): Promise<Drawing[] | null> {
  const carried: Drawing[] = [];
  for (const d of drawings) {
    const thing = isInsert(d) && d.source && "mask" in d.source ? d.source.mask : null;
    if (!isInsert(d) || !thing) {
      carried.push(d);
      continue;
    }
    const { x, y, width, height } = boxOf(thing);
    const region: Rectangle = [x, y, width, height];
    const excerpt = key === from.picture.value?.key ? await askDetail(from, region, width, new AbortController().signal) : null;
    const picture = excerpt && (await uploadPart(to, "copied", excerpt.data.slice().buffer));
    if (picture?.width !== width || picture.height !== height) return null;
    carried.push({ ...d, image: picture.image, source: { mask: placed([width, height], { ...cellsOf(thing, 1), x: 0, y: 0 }, thing.feather) } });
  }
  return carried;
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
  selectionOf(screen).acted(...added);
  return added;
}
