// The entry that anywidget loads: one store per model in initialize, one view per place where the widget is shown in render.
import { live } from "./live";
import type { Initialize, Render } from "@anywidget/types";
import { render as mount } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Stage } from "./canvas/stage";
import { keyboard } from "./keyboard";
import { Header } from "./panels/header";
import { Context, ImagePresets, Question, RunButtons } from "./panels/inputs";
import { Keys } from "./panels/keys";
import { Layers } from "./panels/layers";
import { Messages } from "./panels/messages";
import { Results } from "./panels/results";
import { Properties, Tools } from "./panels/toolbar";
import { Trials, useClipboard } from "./panels/trials";
import { Screen } from "./state/screen";
import { Store } from "./state/store";
import { watchTheme } from "./theme";
import { accept, imageOf } from "./upload";
import { ViewContext, observeSize, useView, type View } from "./view";

/** A function, so that every model gets its own closure: nothing is shared between widgets. */
export default function widget(): { initialize: Initialize; render: Render } {
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

/** Everything on the root element itself: focus, keys, drop and paste, theme. */
function prepare({ store, screen, root }: View, signal: AbortSignal): void {
  root.className = "isi-probe";
  root.tabIndex = 0;
  root.dataset.testid = "isi-probe";
  root.dataset.paints = "0";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Probe of a vision-language model");
  // Lumino's own attribute: JupyterLab's shortcuts sleep while the focus is in here.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  const on = (type: string, listener: (event: never) => void): void => root.addEventListener(type, listener as EventListener, { signal });
  const mine = (event: Event): void => {
    event.preventDefault();
    event.stopPropagation();
  };
  const take = (event: Event, data: DataTransfer | null): void => {
    const file = imageOf(data);
    if (!file) return;
    mine(event);
    void accept(file, store);
  };
  on("keydown", keyboard(screen));
  on("paste", (event: ClipboardEvent) => take(event, event.clipboardData));
  on("dragover", (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    mine(event);
    root.classList.add("isi-dropping");
  });
  on("dragleave", (event: DragEvent) => {
    if (!(event.relatedTarget instanceof Node && root.contains(event.relatedTarget))) root.classList.remove("isi-dropping");
  });
  on("drop", (event: DragEvent) => {
    root.classList.remove("isi-dropping");
    take(event, event.dataTransfer);
  });
  watchTheme(root, signal);
  const stop = screen.paints.subscribe((count) => (root.dataset.paints = String(count)));
  signal.addEventListener("abort", stop);
}

const Probe = live(function Probe() {
  const { screen, store, root } = useView();
  const left = useRef<HTMLDivElement>(null);
  const narrow = useNarrow(root);
  useClipboard();
  return (
    <>
      <Header />
      {screen.popover.value === "keys" && <Keys />}
      <div class={narrow ? "isi-body isi-narrow" : "isi-body"} data-testid="body" data-narrow={narrow}>
        <div class="isi-left" ref={left}>
          <div class="isi-canvas">
            <Properties />
            <Tools />
            <Stage />
          </div>
          <ImagePresets />
          <Layers />
          <Context />
          <Question />
          <RunButtons />
        </div>
        <Results />
      </div>
      <Trials />
      <Messages />
      <Repaint on={[store.trials.value, store.status.value, store.inputs.value, store.failure.value, store.notice.value, store.shown.value, screen.popover.value, store.partly.value, store.offer.value, store.modelInfo.value]} />
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
