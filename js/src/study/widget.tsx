// The view of a study: one store per model in initialize, one view per place where it is shown in render.
import type { Initialize, Render } from "@anywidget/types";
import { useEffect } from "preact/hooks";
import { lifecycle } from "../lifecycle";
import { live } from "../live";
import { Failures, Opened, Problem } from "./below";
import { Head } from "./head";
import { Plots } from "./plot";
import { Rows } from "./rows";
import { Store } from "./store";
import { Summary } from "./table";
import { StudyContext } from "./view";

/** A function, so that every model gets its own closure: nothing is shared between widgets. */
export function study(): { initialize: Initialize; render: Render } {
  return lifecycle({
    name: "isi-study",
    label: "Study of vision-language models",
    make: (model, signal) => new Store(model, signal),
    show(store, root) {
      // The still beside the widget, in the notebook's output, hides while this is there.
      root.dataset.study = store.id;
      return (
        <StudyContext.Provider value={store}>
          <View store={store} root={root} />
        </StudyContext.Provider>
      );
    },
  });
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
