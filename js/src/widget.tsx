// One store per model in initialize, one view per place where the widget is shown in render. What changes the input is the editor's
// (editor.tsx), which arrives a moment later; without a kernel the input and all results are shown as they are.
import { live } from "./live";
import type { Initialize, Render } from "@anywidget/types";
import { useEffect, useState } from "preact/hooks";
import type { Fetch } from "./fetch";
import { lifecycle } from "./lifecycle";
import { Inside } from "./panels/inside";
import { Messages } from "./panels/messages";
import { Results } from "./panels/results";
import { Still } from "./panels/still";
import { Trials } from "./panels/trials";
import { Screen } from "./state/screen";
import { Store } from "./state/store";
import { ViewContext, observeSize, useView, type View } from "./view";

/** A function, so that every model gets its own closure: nothing is shared between widgets. */
export function widget(fetch: Fetch): { initialize: Initialize; render: Render } {
  return lifecycle({
    name: "isi-probe",
    label: "Probe of a vision-language model",
    make: (model, signal) => new Store(model, signal),
    show(store, root, signal) {
      const screen = new Screen(store, signal);
      const view: View = { store, screen, root };
      // The still beside the widget, in the notebook's output, hides while this is there (widget/still.py).
      root.dataset.probe = String(store.host()[1]);
      const unfollow = screen.paints.subscribe((count) => (root.dataset.paints = String(count)));
      signal.addEventListener("abort", unfollow);
      void fetch(store, signal).then(
        (editor) => {
          if (!editor) return;
          const attached = new AbortController();
          signal.addEventListener("abort", () => attached.abort());
          editor.attach(view, attached.signal);
          screen.editor.value = editor;
          const stop = store.gone.subscribe((gone) => {
            if (!gone) return;
            attached.abort();
            screen.editor.value = null;
          });
          attached.signal.addEventListener("abort", stop);
        },
        (error: unknown) => store.fail(`The editor could not be loaded: ${String(error)}`, "Reload the page, and run the cell again."),
      );
      return (
        <ViewContext.Provider value={view}>
          <Probe />
        </ViewContext.Provider>
      );
    },
  });
}

const Probe = live(function Probe() {
  const { screen, store, root } = useView();
  const narrow = useNarrow(root);
  const editor = screen.editor.value;
  return (
    <>
      {editor && <editor.Top />}
      <div class={narrow ? "isi-body isi-narrow" : "isi-body"} data-testid="body" data-narrow={narrow}>
        {editor ? <editor.Left /> : <Still />}
        <Results />
        <Messages />
      </div>
      <Inside />
      <Trials />
      <Repaint on={[editor, store.trials.value, store.status.value, store.inputs.value, store.failure.value, store.notice.value, store.shown.value, screen.popover.value, store.partly.value, store.modelInfo.value]} />
    </>
  );
});

/** Counts what the panels show anew, as the stage counts its own paints: tests wait for the count to grow instead of sleeping. */
const Repaint = live(function Repaint({ on }: { on: unknown[] }) {
  const { screen } = useView();
  useEffect(() => {
    screen.paints.value = screen.paints.peek() + 1;
  }, on);
  return null;
});

const NARROW = 700;

function useNarrow(root: HTMLElement): boolean {
  const [narrow, setNarrow] = useState(root.clientWidth > 0 && root.clientWidth < NARROW);
  useEffect(() => observeSize(root, () => setNarrow(root.clientWidth < NARROW)), []);
  return narrow;
}
