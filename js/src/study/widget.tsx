// The view of a study: one store per model in initialize, one view per place where it is shown in render.
import type { Initialize, Render } from "@anywidget/types";
import { render as mount } from "preact";
import { useEffect } from "preact/hooks";
import { keepFocus } from "../focus";
import { live } from "../live";
import { watchTheme } from "../theme";
import { Failures, Opened, Problem } from "./below";
import { Head } from "./head";
import { Plots } from "./plot";
import { Rows } from "./rows";
import { Store } from "./store";
import { Summary } from "./table";
import { StudyContext } from "./view";

/** A function, so that every model gets its own closure: nothing is shared between widgets. */
export function study(): { initialize: Initialize; render: Render } {
  let store: Store | null = null;
  return {
    initialize({ model, ...props }) {
      const lifetime = new AbortController();
      // Older hosts give no signal but call what is returned.
      const signal = props.signal as AbortSignal | undefined;
      signal?.addEventListener("abort", () => lifetime.abort());
      store = new Store(model, lifetime.signal);
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
      store ??= new Store(model, lifetime.signal);
      const root = document.createElement("div");
      prepare(root, String(model.get("widget_id")), lifetime.signal);
      el.replaceChildren(root);
      mount(
        <StudyContext.Provider value={store}>
          <View store={store} root={root} />
        </StudyContext.Provider>,
        root,
      );
      return end;
    },
  };
}

function prepare(root: HTMLElement, id: string, signal: AbortSignal): void {
  root.className = "isi-study";
  root.tabIndex = 0;
  root.dataset.testid = "isi-study";
  // The still beside the widget, in the notebook's output, hides while this is there.
  root.dataset.study = id;
  root.dataset.paints = "0";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Study of vision-language models");
  // Lumino's own attribute: JupyterLab's shortcuts sleep while the focus is in here.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  watchTheme(root, signal);
  keepFocus(root, signal);
}

const View = live(function View({ store, root }: { store: Store; root: HTMLElement }) {
  const shown = [store.progress.value, store.table.value, store.plots.value, store.page.value, store.opened.value, store.gone.value, store.query.value];
  // Tests wait for this count to grow instead of sleeping.
  useEffect(() => {
    root.dataset.paints = String(Number(root.dataset.paints) + 1);
  }, shown);
  return (
    <>
      <Head />
      <Problem />
      <Summary />
      <Plots />
      <Failures />
      <Rows />
      <Opened />
      <div class="isi-spoken" role="status">
        {store.spoken.value}
      </div>
    </>
  );
});
