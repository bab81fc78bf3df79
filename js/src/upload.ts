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

async function shrink(file: File): Promise<{ blob: Blob; before: string; after: string } | null> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return null;
  }
  const before = `${bitmap.width} × ${bitmap.height}`;
  for (let longest = Math.min(LONGEST, Math.max(bitmap.width, bitmap.height)); longest >= 256; longest = Math.round(longest / 1.5)) {
    const scale = longest / Math.max(bitmap.width, bitmap.height);
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    if (!context) return null;
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    if (blob && blob.size <= MAX_BYTES) {
      bitmap.close();
      return { blob, before, after: `${canvas.width} × ${canvas.height}` };
    }
  }
  return null;
}

/** Images among what was dropped or pasted. */
export function imageOf(data: DataTransfer | null): File | null {
  return Array.from(data?.files ?? []).find((file) => file.type.startsWith("image/")) ?? data?.files[0] ?? null;
}
