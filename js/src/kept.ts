// The still that the notebook keeps beside the widget (widget/still.py). The kernel brings it up to date by its display id, which JupyterLab forgets
// when the page is loaded again: then the page does it. Part of the editor.
import { readStill } from "./answers";
import { ignore } from "./state/requests";
import type { Store } from "./state/store";

interface Outputs {
  length: number;
  get: (index: number) => { data: Record<string, unknown> };
  set: (index: number, value: object) => void;
}
interface Manager {
  context?: { model?: { cells?: Iterable<{ outputs?: Outputs }> } };
}

/** Milliseconds after which the kernel's own update has come. */
const WAIT = 1500;

const html = (data: Record<string, unknown>): string => [data["text/html"]].flat().join("");

/** The place of a probe's still among the outputs of the notebook, and its number; null where there is none, or no notebook. */
function find([manager, id]: [manager: unknown, id: unknown]): { outputs: Outputs; index: number; number: number } | null {
  for (const { outputs } of (manager as Manager | undefined)?.context?.model?.cells ?? []) {
    for (let index = 0; outputs && index < outputs.length; index++) {
      const found = /data-probe="([^"]*)" data-still="(\d+)"/.exec(html(outputs.get(index).data));
      if (found && found[1] === id) return { outputs, index, number: Number(found[2]) };
    }
  }
  return null;
}

/** Asks for the still where the one in the notebook is older than the kernel's. */
export function keep(store: Store, signal: AbortSignal): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** The still of the notebook, if it is older. */
  const older = (number: number): ReturnType<typeof find> => {
    const there = find(store.host());
    return there && there.number < number ? there : null;
  };
  const stop = store.still.subscribe((number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!older(number)) return;
      store.ask({ kind: "still" }, { read: readStill }).then((still) => {
        if (!still) return;
        const there = older(still.number);
        there?.outputs.set(there.index, { output_type: "display_data", data: still.data, metadata: {} });
      }, ignore);
    }, WAIT);
  });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    stop();
  });
}
