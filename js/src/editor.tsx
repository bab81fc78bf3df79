// The editor: everything that changes the input. A module of its own (see fetch.ts), mounted into the parts that widget.tsx leaves open.
// Not for showing results: those are seen without a kernel too.
import { live } from "./live";
import { measurer } from "./canvas/compose";
import { Stage } from "./canvas/stage";
import { pasteDrawings } from "./clipboard";
import { fetchFont } from "./fetch";
import { readStill } from "./answers";
import { putStill, watchStills } from "./kept";
import { inField, keyboard } from "./keyboard";
import { PromptProblem } from "./panels/counts";
import { Header } from "./panels/header";
import { InsertCell, askCode, TrialButtons, TrialsButtons } from "./panels/history";
import { Inside, InsideHead } from "./panels/gates";
import { Context, ImagePresets, Question, QuestionNeeded, RunButtons } from "./panels/inputs";
import { Keys } from "./panels/keys";
import { Layers } from "./panels/layers";
import { Running, Samples, Wait } from "./panels/progress";
import { SessionNote } from "./panels/saving";
import { Properties, Tools } from "./panels/toolbar";
import "./panels/toolicons";
import { ViewBar } from "./panels/viewbar";
import { ignore } from "./state/requests";
import { followPicture } from "./state/selection";
import { accept, acceptFrom, addressOf, imageOf } from "./upload";
import { useView, type View } from "./view";

const Top = live(function Top() {
  const { screen } = useView();
  return (
    <>
      <Header />
      <SessionNote />
      {screen.popover.value === "keys" && <Keys />}
    </>
  );
});

function Left() {
  return (
    <div class="isi-left">
      <div class="isi-canvas">
        <Properties />
        <Tools />
        <Stage />
        <ViewBar />
      </div>
      <ImagePresets />
      <Context />
      <Question />
      <RunButtons />
      <QuestionNeeded />
      <PromptProblem />
      <Layers />
    </div>
  );
}

/** Keys, drop and paste, on the root element itself. */
function attach({ store, screen, root }: View, signal: AbortSignal): void {
  const on = (type: string, listener: (event: never) => void): void => root.addEventListener(type, listener as EventListener, { signal });
  const mine = (event: Event): void => {
    event.preventDefault();
    event.stopPropagation();
  };
  const take = (event: Event, data: DataTransfer | null): void => {
    const file = imageOf(data);
    const address = file ? null : addressOf(data);
    if (!file && !address) return;
    mine(event);
    void (file ? accept(file, store) : acceptFrom(address as string, store));
  };
  /** A file, or something of another page; words that are dragged into a field are the field's. */
  const comes = (event: DragEvent): boolean => {
    const types = event.dataTransfer?.types ?? [];
    return types.includes("Files") || (!inField(event) && ["text/uri-list", "text/html"].some((type) => types.includes(type)));
  };
  store.complete();
  screen.measure.value = measurer();
  void fetchFont(store, signal).then((come) => {
    screen.exact.value = come;
    screen.measure.value = measurer();
  });
  const asked = (): void => {
    store.ask({ kind: "still" }, { read: readStill }).then((still) => still && putStill(store.host(), still), ignore);
  };
  watchStills(store.still, () => store.host(), asked, signal);
  followPicture(screen, signal);
  const keys = keyboard(screen);
  on("keydown", keys.down);
  on("keyup", keys.up);
  on("focusout", (event: FocusEvent) => {
    if (!(event.relatedTarget instanceof Node && root.contains(event.relatedTarget))) keys.left();
  });
  on("paste", (event: ClipboardEvent) => {
    if (inField(event)) return;
    const image = imageOf(event.clipboardData) ?? addressOf(event.clipboardData)?.startsWith("data:");
    if (!image && pasteDrawings(screen)) mine(event);
    else take(event, event.clipboardData);
  });
  on("dragover", (event: DragEvent) => {
    if (!comes(event)) return;
    mine(event);
    root.classList.add("isi-dropping");
  });
  on("dragleave", (event: DragEvent) => {
    if (!(event.relatedTarget instanceof Node && root.contains(event.relatedTarget))) root.classList.remove("isi-dropping");
  });
  on("drop", (event: DragEvent) => {
    root.classList.remove("isi-dropping");
    if (comes(event)) take(event, event.dataTransfer);
  });
}

export const editor = { Top, Left, Inside, InsideHead, InsertCell, Running, Samples, TrialButtons, TrialsButtons, Wait, askCode, attach };
export type Editor = typeof editor;
