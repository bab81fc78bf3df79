// What the study is, how far it is, and the ways to stop it and to go on.
import { live } from "../live";
import { duration, plural } from "../numbers";
import { Button, pace } from "./parts";
import type { Progress, Title } from "./read";
import { useStudy } from "./view";

export const Head = live(function Head() {
  const store = useStudy();
  const title = store.title.value;
  const progress = store.progress.value;
  const { state, done, total, failed, stopping } = progress;
  const gone = store.gone.value;
  const share = (n: number): string => `${total > 0 ? (100 * n) / total : 0}%`;
  return (
    <div class="isi-head">
      <div class="isi-title">
        <h3>Study</h3>
        <p data-testid="title">{size(title)}</p>
        <p class="isi-muted isi-where" data-testid="where">
          {[title.data, title.store || "not stored"].filter(Boolean).join(" · ")}
        </p>
      </div>
      <div class="isi-progress">
        {state !== "finished" && <svg class="isi-bar" role="progressbar" aria-label="Finished rows" aria-valuemin={0} aria-valuemax={total} aria-valuenow={done} aria-valuetext={`${done} of ${plural(total, "row")}`} data-testid="progress">
          <rect class="isi-track" width="100%" height="100%" rx="2" />
          <rect class="isi-done" width={share(done)} height="100%" rx="2" />
          {failed > 0 && <rect class="isi-lost" width={share(failed)} height="100%" rx="2" />}
        </svg>}
        <p class="isi-facts" data-testid="facts">
          {facts(progress, gone).map((fact) => (
            <span key={fact}>{fact}</span>
          ))}
        </p>
      </div>
      <div class="isi-acts">
        {store.running ? (
          <Button test="cancel" label="Stop after the current token; finished rows are kept" text={stopping || store.asked.value === "cancel" ? "Stopping" : "Cancel"} why={stopping && "it is stopping"} onClick={() => store.cancel()} />
        ) : (
          progress.resumable &&
          done < total && <Button test="resume" label="Compute the rows that are missing" text={store.asked.value === "resume" ? "Starting" : "Resume"} primary why={gone && "there is no kernel"} onClick={() => store.resume()} />
        )}
      </div>
    </div>
  );
});

function size({ conditions, observations, seeds, models }: Title): string {
  return [plural(conditions, "condition"), plural(observations, "observation"), seeds > 1 && plural(seeds, "seed"), models > 1 && plural(models, "model")].filter(Boolean).join(" × ");
}

const ENDS: Record<Progress["state"], string> = { waiting: "not started", running: "", finished: "finished", cancelled: "cancelled", failed: "stopped by an error", opened: "" };

function facts({ state, done, total, failed, unjudged, seconds, rate, left, note, stopping }: Progress, gone: boolean): string[] {
  const running = state === "running";
  return [
    done < total ? `${done.toLocaleString("en")} of ${plural(total, "row")}` : plural(total, "row"),
    running && gone ? "was running when this was saved" : state === "finished" && seconds > 0 ? `finished in ${duration(seconds)}` : ENDS[state],
    failed > 0 ? `${failed.toLocaleString("en")} failed` : "",
    unjudged > 0 ? `${unjudged.toLocaleString("en")} not judged` : "",
    running && rate !== null ? `${pace(rate)} rows/s` : "",
    running && !gone ? note : "",
    running && !gone && left !== null && !stopping ? `${duration(left)} left` : "",
  ].filter(Boolean);
}
