// What every component of one view shares, by context: the model's store, the view's screen state, and small helpers.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Screen } from "./state/screen";
import type { Store } from "./state/store";

export interface View {
  store: Store;
  screen: Screen;
  root: HTMLElement;
}

export const ViewContext = createContext<View | null>(null);

export function useView(): View {
  const view = useContext(ViewContext);
  if (!view) throw new Error("a component of the probe outside its view");
  return view;
}

/** Calls back in the frame after a change of size: changing sizes within the observer's own turn is an error event of the window. */
export function observeSize(element: Element, then: () => void): () => void {
  let frame = 0;
  const observer = new ResizeObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(then);
  });
  observer.observe(element);
  return () => {
    cancelAnimationFrame(frame);
    observer.disconnect();
  };
}
