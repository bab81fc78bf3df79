// What every widget of this package does alike: one store per model, one root per place where it is shown, and an end to both.
import type { AnyModel, Initialize, Render } from "@anywidget/types";
import { render as mount, type VNode } from "preact";
import { keepFocus } from "./focus";
import { watchTheme } from "./theme";

interface Parts<S> {
  /** The class of the root element, and the name by which tests find it. */
  name: string;
  label: string;
  make: (model: AnyModel, signal: AbortSignal) => S;
  /** What is drawn in `root`, until `signal` is aborted. */
  show: (store: S, root: HTMLElement, signal: AbortSignal) => VNode;
}

export function lifecycle<S>({ name, label, make, show }: Parts<S>): { initialize: Initialize; render: Render } {
  let store: S | null = null;
  return {
    initialize({ model, ...props }) {
      const lifetime = new AbortController();
      // Older hosts give no signal but call what is returned.
      const signal = props.signal as AbortSignal | undefined;
      signal?.addEventListener("abort", () => lifetime.abort());
      store = make(model, lifetime.signal);
      return () => lifetime.abort();
    },
    render({ model, el, ...props }) {
      const signal = props.signal as AbortSignal | undefined;
      const lifetime = new AbortController();
      const end = (): void => {
        lifetime.abort();
        mount(null, el);
      };
      signal?.addEventListener("abort", end);
      store ??= make(model, lifetime.signal);
      const root = document.createElement("div");
      root.className = root.dataset.testid = name;
      root.tabIndex = 0;
      root.dataset.paints = "0";
      root.setAttribute("role", "group");
      root.setAttribute("aria-label", label);
      // Lumino's own attribute: JupyterLab's shortcuts sleep while the focus is in here.
      root.setAttribute("data-lm-suppress-shortcuts", "true");
      watchTheme(root, lifetime.signal);
      keepFocus(root, lifetime.signal);
      const shown = show(store, root, lifetime.signal);
      el.replaceChildren(root);
      mount(shown, root);
      return end;
    },
  };
}
