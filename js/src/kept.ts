// The still that a notebook keeps beside a widget (widget/still.py, widget/study/view.py). The kernel brings it up to date by its display id, which
// JupyterLab forgets when the page is loaded again: then the page does it. For the probe a part of the editor.
import type { ReadonlySignal } from "@preact/signals-core";

interface Outputs {
  length: number;
  get: (index: number) => { data: Record<string, unknown> };
  set: (index: number, value: object) => void;
}
interface Manager {
  context?: { model?: { cells?: Iterable<{ outputs?: Outputs }> } };
}
/** A still as the kernel makes it. */
export interface StillOutput {
  number: number;
  data: Record<string, unknown>;
}
/** What shows the widget, and the id by which its stills name it. */
type Host = readonly [manager: unknown, id: unknown];

/** Milliseconds after which the kernel's own update has come. */
const WAIT = 1500;

/** The stills of a widget in the notebook that are older than `number`; none where there is no notebook. */
function older([manager, id]: Host, number: number): { outputs: Outputs; index: number }[] {
  const found = [];
  for (const { outputs } of (manager as Manager | undefined)?.context?.model?.cells ?? []) {
    for (let index = 0; outputs && index < outputs.length; index++) {
      const html = [outputs.get(index).data["text/html"]].flat().join("");
      const still = /data-(?:probe|study)="([^"]*)" data-still="(\d+)"/.exec(html);
      if (still && still[1] === id && Number(still[2]) < number) found.push({ outputs, index });
    }
  }
  return found;
}

/** Asks for the still where one in the notebook is older than the kernel's, also right after the page is loaded. */
export function watchStills(number: ReadonlySignal<number>, host: () => Host, ask: () => void, signal: AbortSignal): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = number.subscribe((newest) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (older(host(), newest).length > 0) ask();
    }, WAIT);
  });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    stop();
  });
}

/** Puts a still in the place of all older ones. */
export function putStill(host: Host, { number, data }: StillOutput): void {
  for (const { outputs, index } of older(host, number)) outputs.set(index, { output_type: "display_data", data, metadata: {} });
}
