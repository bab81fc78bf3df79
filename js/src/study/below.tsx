// What failed and why; which row is open in the probe below; what went wrong.
import { useEffect, useRef } from "preact/hooks";
import { live } from "../live";
import { plural } from "../numbers";
import { Button } from "./parts";
import { useStudy } from "./view";

export const Failures = live(function Failures() {
  const store = useStudy();
  const { reasons, others } = store.failures.value;
  const failed = store.progress.value.failed;
  if (reasons.length === 0) return null;
  return (
    <details class="isi-failures" data-testid="failures">
      <summary>{`${plural(failed, "row")} failed: why`}</summary>
      <ul>
        {reasons.map((failure) => (
          <li key={`${failure.kind} ${failure.reason}`}>
            <Button test={`failure-${failure.first}`} label={`Open row ${failure.first}, the first of them, in a probe`} text={plural(failure.rows, "row")} why={store.gone.value && "there is no kernel"} onClick={() => store.open(failure.first)} />
            <span>
              <span class="isi-muted">{failure.kind} </span>
              <bdi>{failure.reason}</bdi>
            </span>
          </li>
        ))}
        {others > 0 && <li class="isi-muted">{`${plural(others, "row")} for other reasons: study.failed lists all`}</li>}
      </ul>
    </details>
  );
});

export const Problem = live(function Problem() {
  const store = useStudy();
  const problem = store.problem.value;
  const { state, error } = store.progress.value;
  if (!problem && (state !== "failed" || !error)) return null;
  return (
    <div class="isi-problem" role="alert" data-testid="problem">
      {state === "failed" && error && <p>{error}</p>}
      {problem && (
        <div class="isi-row">
          <p class="isi-grow">
            {problem.message} {problem.hint && <span class="isi-muted">{problem.hint}</span>}
          </p>
          {!store.gone.value && <Button test="dismiss" label="Dismiss this message" text="Dismiss" onClick={() => store.dismiss()} />}
        </div>
      )}
    </div>
  );
});

export const Opened = live(function Opened() {
  const store = useStudy();
  const { row, state, message } = store.opened.value;
  const bar = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (state !== "open" || !store.sought.peek()) return;
    store.sought.value = false;
    bar.current?.scrollIntoView({ block: "start", behavior: "smooth" });
  }, [state, row]);
  if (state === "") return null;
  return (
    <div ref={bar} class="isi-row isi-opened" data-testid="opened" data-state={state} data-row={row}>
      <p class="isi-grow" role={state === "error" ? "alert" : undefined}>
        {state === "opening" ? `Row ${row} is being opened.` : state === "open" ? <>Row {row} in a probe, below. {message}</> : `Row ${row} cannot be opened: ${message}`}
        {state === "open" && <code class="isi-muted">{` study.probe(${row})`}</code>}
      </p>
      <Button test="close-row" label="Close the probe of this row" text="Close" why={store.gone.value && "there is no kernel"} onClick={() => store.open(-1)} />
    </div>
  );
});
