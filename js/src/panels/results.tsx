// The effect: one line on what is going on, the input as it was sent, and the measures (measure.tsx).
import type { ComponentChildren } from "preact";
import { isDrawing } from "../document";
import { live } from "../live";
import type { Trial, TrialView } from "../protocol";
import { NAMES } from "../state/screen";
import { measureOf } from "../state/store";
import { useView } from "../view";
import { Icon } from "./icons";
import { Answer } from "./answer";
import { Attention } from "./attention";
import { Generic } from "./measure";
import { Uncertainty } from "./uncertainty";
import { Button, Section, decimals } from "./parts";
import { Thumbnail } from "./thumbnail";

export const Results = live(function Results() {
  const { store } = useView();
  const trial = store.trial.value;
  const view = trial?.view;
  const stale = trial !== null && !store.current.value;
  const partly = store.partly.value;
  const growing = measureOf(store.status.value.stage) === "answer";
  return (
    <div class={stale || partly ? "isi-results isi-stale" : "isi-results"} data-testid="results" data-trial={trial?.id ?? -1} data-stale={stale}>
      <StatusLine trial={trial} stale={stale} />
      <Sent trial={trial} past={partly !== null} />
      <Answer answer={view?.answer} view={view} truth={view?.truth} partly={partly?.answer} growing={growing} />
      <Uncertainty uncertainty={view?.uncertainty} averages={view?.averages} partly={partly?.samples} />
      <Attention attention={view?.attention} averages={view?.averages} answer={view?.answer} />
      {view?.measures.map((measure) => <Generic key={measure.name} measure={measure} />)}
      {view && view.notes.length > 0 && (
        <div class="isi-notes isi-muted" data-testid="notes">
          {view.notes.map((note) => (
            <p key={note}>{note}</p>
          ))}
        </div>
      )}
    </div>
  );
});

/** One line of fixed height: what is going on, or which result this is. */
const StatusLine = live(function StatusLine({ trial, stale }: { trial: Trial | null; stale: boolean }) {
  const { store, screen } = useView();
  const { state } = store.status.value;
  const line = (name: string, content: ComponentChildren, classes = "isi-muted") => (
    <div class={`isi-status ${classes}`} data-testid="status" data-state={name}>
      {content}
    </div>
  );
  const editor = screen.editor.value;
  if (editor && store.running.value) return line(store.asked.value && state !== "running" ? "asked" : state, <editor.Running />, "");
  if (!trial) return line("empty", "Results appear here.");
  const { view } = trial;
  const rerun = (): void => {
    screen.flush();
    const ran = new Set([...Object.entries(view).flatMap(([name, found]) => (found ? name : [])), ...view.measures.map(({ name }) => name)]);
    store.run(store.measures.value.map(({ name }) => name).filter((name) => ran.has(name) && !store.unavailable(name)));
  };
  const again = editor && <Button test="rerun" label="Run the same measures on the current input and model" text={stale && trial.id !== store.trials.value.at(-1)?.id ? "Run current input" : "Run again"} onClick={rerun} />;
  if (stale) {
    return line(
      "stale",
      <>
        <Icon name="warning" />
        <span class="isi-cut" data-testid="stale">
          {trial.id === store.trials.value.at(-1)?.id ? `Input changed since trial ${trial.id}` : `Trial ${trial.id} has a different input`}
        </span>
        {again}
      </>,
      "isi-changed",
    );
  }
  const seconds = view.seconds.total;
  const other = store.otherModel(trial);
  return line(
    other ? "other-model" : "current",
    <>
      <span class="isi-cut">
        {[`Trial ${trial.id}`, typeof seconds === "number" && `${decimals(seconds)} s`, view.model].filter(Boolean).join(" · ")}
        {other && ", not the current model"}
      </span>
      {other && again}
    </>,
  );
});

/** The preset and what is drawn on it, each kind once with its number: "natural + box × 3 + noise". */
function pictureOf({ image_preset, operations }: TrialView): string {
  const counts = new Map<string, number>();
  for (const { op } of operations.filter(isDrawing)) counts.set(op, (counts.get(op) ?? 0) + 1);
  return [image_preset, ...[...counts].map(([op, n]) => `${(NAMES[op] ?? "").toLowerCase()}${n > 1 ? ` × ${n}` : ""}`)].join(" + ");
}

function Sent({ trial, past }: { trial: Trial | null; past: boolean }) {
  const view = trial?.view;
  const image = view ? pictureOf(view) : "";
  return (
    <Section title="Input as sent" test="sent" aside={past && trial && <span class="isi-muted">of trial {trial.id}</span>} teach={!view && "The picture, context and question exactly as the model was given them."}>
      {view && (
        <div class="isi-sent">
          <Thumbnail data={trial.thumbnail} size={72} alt="The picture as sent" />
          <dl>
            <dt data-segment="image">Image</dt>
            <dd data-testid="sent-image" title={image}>
              {image}
            </dd>
            <dt data-segment="context">Context</dt>
            <dd data-testid="sent-context" dir="auto" title={view.context}>
              {view.context || <span class="isi-muted">empty</span>}
            </dd>
            <dt data-segment="question">Question</dt>
            <dd data-testid="sent-question" dir="auto" title={view.question}>
              {view.question}
            </dd>
          </dl>
        </div>
      )}
    </Section>
  );
}
