// A file from a drop, a paste, the file chooser or the camera on its way to the kernel. The kernel judges images; here only what the browser
// must know: messages over 10 MiB are lost silently, so larger files are scaled down first, with a notice; and HEIC photos, which some
// browsers can read and the kernel cannot.
import type { Store } from "./state/store";

export const MAX_BYTES = 8 * 1024 * 1024;
const LONGEST = 4096;

export async function accept(file: File, store: Store): Promise<void> {
  if (file.size === 0) {
    store.fail(`${file.name} is empty.`, "Choose another image file.");
    return;
  }
  if (file.type !== "" && !file.type.startsWith("image/")) {
    store.fail(`${file.name} is not an image (${file.type}).`, "Choose a PNG, JPEG, WebP, GIF, TIFF or BMP file.");
    return;
  }
  store.dismiss();
  const heic = await isHeic(file);
  if (file.size <= MAX_BYTES && !heic) {
    store.upload(file.name, await file.arrayBuffer());
    return;
  }
  const smaller = await shrink(file);
  if (!smaller) {
    if (heic) store.fail(`${file.name} is a HEIC photo, which this browser cannot read.`, "Save it as JPEG first: with Preview on a Mac, with Photos on Windows; iPhones take JPEG with Settings > Camera > Formats > Most Compatible.");
    else store.fail(`${file.name} is over 8 MiB and the browser cannot read it: it is damaged, or no image.`, "Save it again as JPEG or PNG, or load it in Python: isi.Observation(path, question).");
    return;
  }
  store.upload(file.name, await smaller.blob.arrayBuffer());
  if (smaller.before === smaller.after) return;
  store.fail(
    `${file.name} was scaled down from ${smaller.before} to ${smaller.after} pixels to fit one message to the kernel.`,
    "For the full resolution load it in Python: isi.Observation(path, question).",
  );
}

/** By name, type or content: "ftyp" and the brand stand at the bytes 4 to 12. */
async function isHeic(file: File): Promise<boolean> {
  if (/^image\/hei[cf]/.test(file.type) || /\.hei[cf]$/i.test(file.name)) return true;
  const head = String.fromCharCode(...new Uint8Array(await file.slice(4, 12).arrayBuffer()));
  return /^ftyphe(ic|ix|im|is|vc|vx)/.test(head);
}

interface Reduced {
  blob: Blob;
  before: string;
  after: string;
}

/** Decoding and scaling 48 megapixels takes most of a second: in a worker, and on the page only where a page may have none. */
async function shrink(file: File): Promise<Reduced | null> {
  try {
    return await inWorker(file);
  } catch {
    return reduce(file, LONGEST, MAX_BYTES);
  }
}

function inWorker(file: File): Promise<Reduced | null> {
  return new Promise((done, fail) => {
    const code = `onmessage = async ({ data }) => postMessage(await (${String(reduce)})(...data));`;
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const worker = new Worker(url);
    const end = (): void => {
      worker.terminate();
      URL.revokeObjectURL(url);
    };
    worker.onmessage = ({ data }: MessageEvent<Reduced | null>) => {
      end();
      done(data);
    };
    worker.onerror = () => {
      end();
      fail(new Error("no worker"));
    };
    worker.postMessage([file, LONGEST, MAX_BYTES]);
  });
}

/** A JPEG of at most so many pixels a side and so many bytes; null: it cannot be read. Self-contained: its source is what the worker runs. */
async function reduce(file: File, largest: number, bytes: number): Promise<Reduced | null> {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const before = `${bitmap.width} × ${bitmap.height}`;
  for (let longest = Math.min(largest, Math.max(bitmap.width, bitmap.height)); longest >= 256; longest = Math.round(longest / 1.5)) {
    const scale = longest / Math.max(bitmap.width, bitmap.height);
    const width = Math.max(1, Math.round(bitmap.width * scale));
    const height = Math.max(1, Math.round(bitmap.height * scale));
    const canvas = typeof document === "undefined" ? new OffscreenCanvas(width, height) : Object.assign(document.createElement("canvas"), { width, height });
    const context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D | null = canvas.getContext("2d");
    if (!context) return null;
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, width, height);
    const blob =
      "convertToBlob" in canvas
        ? await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 })
        : await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    if (blob && blob.size <= bytes) {
      bitmap.close();
      return { blob, before, after: `${width} × ${height}` };
    }
  }
  return null;
}

/** Images among what was dropped or pasted. */
export function imageOf(data: DataTransfer | null): File | null {
  return Array.from(data?.files ?? []).find((file) => file.type.startsWith("image/")) ?? data?.files[0] ?? null;
}
