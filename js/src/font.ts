// The font that the kernel writes with, fetched once per page: texts then measure and look on the page as they do in the picture.
import { fontName } from "./canvas/compose";
import type { Store } from "./state/store";

const KEY = "isi_widget font";
const page = globalThis as unknown as Partial<Record<typeof KEY, Promise<void>>>;

/** Resolved when the font can be used; never, if no kernel sends it: the page goes on with a similar one. */
export function loadFont(store: Store, lifetime: AbortSignal): Promise<void> {
  if (page[KEY]) return page[KEY];
  return new Promise((done) => {
    const stop = store.font.subscribe((data) => {
      if (!data) return;
      page[KEY] ??= use(data);
      void page[KEY].then(done);
    });
    lifetime.addEventListener("abort", stop);
    store.askFont();
  });
}

async function use(data: Uint8Array<ArrayBuffer>): Promise<void> {
  const face = new FontFace(fontName, data);
  document.fonts.add(await face.load());
}
