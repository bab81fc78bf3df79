// Fetches from the kernel what is not saved in the notebook: the editor (editor.tsx, a module of its own) and the font.
// anywidget's module is saved once for every widget; these come once per page, to whichever widget asks first, and are shared.
import { fontName } from "./canvas/font";
import type { Editor } from "./editor";
import { readCode } from "./read";
import { ignore } from "./state/requests";
import type { Store } from "./state/store";

/** Waits for the editor; null if the view went away first. */
export type Fetch = (store: Store, lifetime: AbortSignal) => Promise<Editor | null>;
/** Of the editor's source; put in by js/build.mjs. */
declare const EDITOR: string;

type Make = (core: object) => Editor;

/** Milliseconds until a request is repeated; doubled for the second repeat. */
const AGAIN = 2000;
const KEY = "isi_widget fetched";

/** A resource that the widgets of a page share: requested by one, awaited by all. */
interface Shared {
  asked: number;
  made: Promise<unknown>;
  put: (made: unknown) => void;
}

function shared(name: string): Shared {
  const page = globalThis as unknown as Partial<Record<typeof KEY, Map<string, Shared>>>;
  const all = (page[KEY] ??= new Map());
  let one = all.get(name);
  if (!one) {
    let put: Shared["put"] = () => undefined;
    const made = new Promise<unknown>((done) => (put = done));
    one = { asked: -Infinity, made, put };
    all.set(name, one);
  }
  return one;
}

/** `ask` asks the kernel; `make` turns its answer into what is shared. Null if the view goes away first. */
function once<T, S>(name: string, lifetime: AbortSignal, ask: () => Promise<S | null>, make: (source: S) => Promise<T>): Promise<T | null> {
  const one = shared(name);
  return new Promise((done, fail) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = (made: T | null): void => {
      clearTimeout(timer);
      done(made);
    };
    const again = (after: number): void => {
      if (Date.now() - one.asked >= AGAIN) {
        one.asked = Date.now();
        ask().then((source) => {
          if (source !== null) one.put(make(source));
        }, ignore);
      }
      timer = setTimeout(() => again(2 * after), after);
    };
    lifetime.addEventListener("abort", () => end(null));
    void one.made.then((made) => end(made as T), fail);
    again(AGAIN);
  });
}

export function fetcher(core: object): Fetch {
  return async (store, lifetime) => {
    // By version, for notebooks that were made by several.
    const make = await once(`editor ${EDITOR}`, lifetime, () => store.ask({ kind: "editor" }, { read: readCode }), evaluate);
    return make && make(core);
  };
}

async function evaluate(source: string): Promise<Make> {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return ((await import(url)) as { default: Make }).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Resolved with true when the kernel's font can be used: texts then measure and look on the page as they do in the picture. */
export async function fetchFont(store: Store, lifetime: AbortSignal): Promise<boolean> {
  return (await once("font", lifetime, () => store.ask({ kind: "font" }, { read: (_, [data]) => data ?? null }), useFont)) ?? false;
}

async function useFont(data: Uint8Array<ArrayBuffer>): Promise<true> {
  document.fonts.add(await new FontFace(fontName, data).load());
  return true;
}
