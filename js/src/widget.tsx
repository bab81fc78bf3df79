// One store per model in initialize, one view per place where the widget is shown in render. What changes the input is the editor's
// (editor.tsx), which arrives a moment later; without a kernel the input and all results are shown as they are.
import { live } from "./live";
import type { Initialize, Render } from "@anywidget/types";
import { render as mount } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Fetch } from "./fetch";
import { keepFocus } from "./focus";
import { Inside } from "./panels/inside";
import { Messages } from "./panels/messages";
import { Results } from "./panels/results";
import { Still } from "./panels/still";
import { Trials } from "./panels/trials";
import { Screen } from "./state/screen";
import { Store } from "./state/store";
import { watchTheme } from "./theme";
import { ViewContext, observeSize, useView, type View } from "./view";

/** A function, so that every model gets its own closure: nothing is shared between widgets. */
export function widget(fetch: Fetch): { initialize: Initialize; render: Render } {
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
      const view: View = { store, screen: new Screen(store, lifetime.signal), root };
      prepare(view, lifetime.signal);
      void fetch(store, lifetime.signal).then(
        (editor) => {
          if (!editor) return;
          const attached = new AbortController();
          lifetime.signal.addEventListener("abort", () => attached.abort());
          editor.attach(view, attached.signal);
          view.screen.editor.value = editor;
          const stop = view.store.gone.subscribe((gone) => {
            if (!gone) return;
            attached.abort();
            view.screen.editor.value = null;
          });
          attached.signal.addEventListener("abort", stop);
        },
        (error: unknown) => view.store.fail(`The editor could not be loaded: ${String(error)}`, "Reload the page, and run the cell again."),
      );
      el.replaceChildren(root);
      mount(
        <ViewContext.Provider value={view}>
          <Probe />
        </ViewContext.Provider>,
        root,
      );
      return end;
    },
  };
}

/** The root element: focus, theme. */
function prepare({ screen, store, root }: View, signal: AbortSignal): void {
  root.className = "isi-probe";
  root.tabIndex = 0;
  root.dataset.testid = "isi-probe";
  // The still beside the widget, in the notebook's output, hides while this is there (widget/still.py).
  root.dataset.probe = String(store.host()[1]);
  root.dataset.paints = "0";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Probe of a vision-language model");
  // Lumino's own attribute: JupyterLab's shortcuts sleep while the focus is in here.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  watchTheme(root, signal);
  keepFocus(root, signal);
  const stop = screen.paints.subscribe((count) => (root.dataset.paints = String(count)));
  signal.addEventListener("abort", stop);
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
