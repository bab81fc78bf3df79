// Fetches the editor (editor.ts, a module of its own) from the kernel. anywidget's module is saved in the notebook once for every widget;
// this one is not: it is evaluated once per page, and given the Preact and the store of each widget that asks.
import type { Editor } from "./editor";
import type { Store } from "./state/store";

/** Waits for the editor; null if the view went away first. */
export type Fetch = (store: Store, lifetime: AbortSignal) => Promise<Editor | null>;
/** Of the editor's source; put in by js/build.mjs. */
declare const EDITOR: string;

type Make = (core: object) => Editor;

/** Milliseconds after which it is asked for again, the second time twice as many. */
const AGAIN = 2000;
const KEY = "isi_widget editors";

export function fetcher(core: object): Fetch {
  return async (store, lifetime) => {
    // Shared by the widgets of a page; by version, for notebooks that were made by several.
    const page = globalThis as unknown as Partial<Record<typeof KEY, Map<string, Promise<Make>>>>;
    const made = (page[KEY] ??= new Map());
    let make = made.get(EDITOR);
    if (!make) {
      const source = await ask(store, lifetime);
      if (source === null) return null;
      make = made.get(EDITOR) ?? evaluate(source);
      made.set(EDITOR, make);
    }
    return (await make)(core);
  };
}

function ask(store: Store, lifetime: AbortSignal): Promise<string | null> {
  return new Promise((done) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (after: number): void => {
      store.askEditor();
      timer = setTimeout(() => again(2 * after), after);
    };
    const end = (source: string | null): void => {
      clearTimeout(timer);
      done(source);
    };
    lifetime.addEventListener("abort", () => end(null));
    again(AGAIN);
    const stop = store.editor.subscribe((source) => {
      if (source !== null) end(source);
    });
    lifetime.addEventListener("abort", stop);
  });
}

async function evaluate(source: string): Promise<Make> {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return ((await import(url)) as { default: Make }).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}
