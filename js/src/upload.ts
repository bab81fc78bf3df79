// An image from a drop, a paste, the file chooser or the camera on its way to the kernel: the bytes of the file as they are, which the kernel judges.
// Here only what the browser must know: HEIC photos, which some browsers can read and the kernel cannot, and pictures that are dragged from other pages.
import type { KeptPicture } from "./protocol";
import { upload, uploadPart } from "./state/kernel";
import type { Store } from "./state/store";

/** What the kernel takes. */
export const MAX_BYTES = 64 * 1024 * 1024;

/** Opens a picture. */
export async function accept(file: File, store: Store): Promise<void> {
  await sending(file, store, (data) => upload(store, file.name, data));
}

/** Sends a picture that is to be part of an edit. */
export async function acceptPart(file: File, store: Store): Promise<KeptPicture | null> {
  let answer: Promise<KeptPicture | null> = Promise.resolve(null);
  await sending(file, store, (data) => {
    answer = uploadPart(store, file.name, data);
  });
  return answer;
}

async function sending(file: File, store: Store, send: (data: ArrayBuffer) => void): Promise<void> {
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
  const sent = heic ? await decoded(file) : file;
  if (!sent) {
    store.fail(`${file.name} is a HEIC photo, which this browser cannot read.`, "Save it as JPEG first: with Preview on a Mac, with Photos on Windows; iPhones take JPEG with Settings > Camera > Formats > Most Compatible.");
    return;
  }
  if (sent.size > MAX_BYTES) {
    store.fail(`${file.name} has ${Math.ceil(sent.size / 2 ** 20)} MiB; a page can send at most ${MAX_BYTES / 2 ** 20} MiB.`, "Load it in Python: probe.open_image(path).");
    return;
  }
  send(await sent.arrayBuffer());
  if (heic) store.fail(`${file.name} is a HEIC photo: the browser has decoded it.`, "The browser decoded it, with 8 bits per channel. To use another decoder, save it as PNG first.");
}

/** By name, type or content: "ftyp" and the brand stand at the bytes 4 to 12. */
async function isHeic(file: File): Promise<boolean> {
  if (/^image\/hei[cf]/.test(file.type) || /\.hei[cf]$/i.test(file.name)) return true;
  const head = String.fromCharCode(...new Uint8Array(await file.slice(4, 12).arrayBuffer()));
  return /^ftyphe(ic|ix|im|is|vc|vx)/.test(head);
}

/** Without loss, as PNG; null: the browser cannot read it. */
async function decoded(file: File): Promise<Blob | null> {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** An image file among what was dropped or pasted. */
export function imageOf(data: DataTransfer | null): File | null {
  return Array.from(data?.files ?? []).find((file) => file.type.startsWith("image/")) ?? data?.files[0] ?? null;
}

/** Where the image of another page is that was dropped or pasted, if one was. To be read while the event is. */
export function addressOf(data: DataTransfer | null): string | null {
  // Only read, never made into elements.
  const [, double, single, bare] = /<img\b[^>]*?\ssrc\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/i.exec(data?.getData("text/html") ?? "") ?? [];
  const image = (double ?? single ?? bare)?.replaceAll("&amp;", "&");
  const listed = data?.getData("text/uri-list").split(/\r?\n/).find((line) => line && !line.startsWith("#"));
  return image || listed || null;
}

/** Takes the image at an address where a page may read it; else says what to do. */
export async function acceptFrom(address: string, store: Store): Promise<void> {
  // Of a page's own blobs only, and without a network.
  const file = address.startsWith("data:") ? fromData(address) : address.startsWith("blob:") ? await fromBlob(address) : null;
  if (file) return accept(file, store);
  store.fail(
    `A page may not read the picture that was dragged here: ${address.length > 80 ? `${address.slice(0, 80)}…` : address}`,
    "Save it (right click, Save image as) and open the file here; or copy the image itself and paste it.",
  );
}

export function fromData(address: string): File | null {
  const [, type = "", base64, body = ""] = /^data:([^;,]*)(?:;(?!base64,)[^;,]*)*(;base64)?,([^]*)$/i.exec(address) ?? [];
  if (!type.startsWith("image/")) return null;
  try {
    const text = decodeURIComponent(body);
    const bytes = base64 ? Uint8Array.from(atob(text), (c) => c.charCodeAt(0)) : new TextEncoder().encode(text);
    return new File([bytes], `dragged.${type.slice(6).split("+")[0] ?? ""}`, { type });
  } catch {
    return null;
  }
}

async function fromBlob(address: string): Promise<File | null> {
  const blob = await fetch(address).then((reply) => reply.blob(), () => null);
  return blob && new File([blob], "dragged", { type: blob.type });
}
