// The parts that move while the model runs: the line above the results with the time left, how far each measure is, and the samples so far.
// Part of the editor: without a kernel nothing runs. Not for what a trial has found (results.tsx).
import { useEffect, useMemo, useReducer, useRef } from "preact/hooks";
import { Bar } from "../charts/bars";
import { live } from "../live";
import { duration } from "../numbers";
import type { Status } from "../protocol";
import { takeBack } from "../state/kernel";
import { Pace } from "../state/pace";
import { doing, measureOf } from "../state/store";
import { useView } from "../view";
import { Button, plural } from "./parts";

/** What the model does, how much longer, and the way to stop it. */
export const Running = live(function Running() {
  const { store } = useView();
  const { state, done, total, queued } = store.status.value;
  const running = state === "running";
  return (
    <>
      <span class="isi-spin" />
      <span class="isi-cut">
        {running ? doing(store.status.value) : state === "cancelling" ? "Cancelling" : "Asking the kernel"}
        {queued > 0 && <span data-testid="queued">{`, ${queued} more waiting`}</span>}
      </span>
      <TimeLeft />
      <progress data-testid="progress" aria-label="Progress" {...(running && total > 0 ? { value: done, max: total } : {})} />
      <Button test="cancel" label={`Cancel ${queued > 0 ? "this and what waits" : "it"} (Esc)`} text="Cancel" why={state === "cancelling" && "it stops at the next step"} onClick={() => store.cancel()} />
    </>
  );
});

const TimeLeft = live(function TimeLeft() {
  const { store } = useView();
  const pace = useMemo(() => new Pace(), []);
  const [, tick] = useReducer((n: number) => n + 1, 0);
  const known = useRef<{ status: Status; left: number | null; time: number } | null>(null);
  const status = store.status.value;
  // From when a step was reported: a tick in between counts down.
  if (known.current?.status !== status) {
    const time = performance.now();
    known.current = { status, left: pace.left(status, time), time };
  }
  const { left, time } = known.current;
  useEffect(() => {
    if (left === null) return undefined;
    const timer = setInterval(() => tick(undefined), 1000);
    return () => clearInterval(timer);
  }, [left === null]);
  if (left === null) return null;
  const loading = status.measures[0] === "load";
  return (
    <span
      class="isi-muted isi-fixed"
      data-testid="time-left"
      title={loading ? "At the pace so far" : "At the pace so far, for this step: answers may end earlier, and other steps may follow"}
    >
      {`${loading ? "" : "≤ "}${duration(left - (performance.now() - time) / 1000)} left`}
    </span>
  );
});

// In the order in which the kernel runs them; those without a panel follow.
const ORDER = ["answer", "attention", "uncertainty"];

/** Where a result will be: how far it is, or that it waits for its turn. */
export const Wait = live(function Wait({ measure }: { measure: string }) {
  const { store } = useView();
  const { state, measures, stage, done, total } = store.status.value;
  const running = state === "running" && measures.includes(measure);
  if (!running && !store.asked.value?.measures.includes(measure)) return null;
  const place = (name: string): number => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length + Math.max(0, measures.indexOf(name)));
  const turn = running ? place(measure) - place(measureOf(stage)) : 1;
  if (turn < 0) return null;
  return (
    <span class="isi-wait isi-muted" data-testid={`progress-${measure}`}>
      {turn > 0 ? "waiting" : total > 1 ? `${done} of ${total}` : ""}
      {turn === 0 && <progress aria-label={`Progress: ${measure}`} {...(total > 0 ? { value: done, max: total } : {})} />}
    </span>
  );
});

/** A request of this page that the model works at, or that waits for its turn: how far it is, how much longer, and the way to stop it. */
export const Working = live(function Working({ measure, id }: { measure: string; id: string }) {
  const { store } = useView();
  if (!id) return null;
  const status = store.status.value;
  const running = status.id === id && status.state !== "idle";
  return (
    <span class="isi-row isi-muted" data-testid={`working-${measure}`}>
      {running ? <Wait measure={measure} /> : "waiting for its turn"}
      {running && <TimeLeft />}
      <Button test={`cancel-${measure}`} label="Stop this measurement" text="Cancel" kind="bare" why={status.id === id && status.state === "cancelling" && "it stops at the next step"} onClick={() => takeBack(store, id)} />
    </span>
  );
});

/** Groups shown while samples come; the rest is counted. */
const SHOWN = 8;

/** The samples that have ended, equal ones together, in the order of their coming: a row never moves. */
export function Samples({ samples }: { samples: string[] }) {
  const counts = new Map<string, number>();
  for (const text of samples) counts.set(text, (counts.get(text) ?? 0) + 1);
  return (
    <div class="isi-wide" data-testid="samples-partial">
      <p class="isi-later isi-muted">The entropies follow when the meanings of all samples have been compared.</p>
      <h4>{plural(samples.length, "sample")} so far</h4>
      <ul>
        {[...counts].slice(0, SHOWN).map(([text, count], i) => (
          <li key={text} class="isi-barrow" data-testid={`sample-${i}`}>
            <span class="isi-cut" dir="auto">
              {text}
            </span>
            <Bar value={count / samples.length} label={`${count} of ${samples.length}`} />
            <span class="isi-figure isi-muted">{count}</span>
          </li>
        ))}
      </ul>
      {counts.size > SHOWN && <p class="isi-muted">and {plural(counts.size - SHOWN, "other wording")}</p>}
    </div>
  );
}
