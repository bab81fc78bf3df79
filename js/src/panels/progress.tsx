// How much longer: beside the progress bar, once it can be known.
import { live } from "../live";
import { useEffect, useReducer, useRef } from "preact/hooks";
import { useView } from "../view";

export const TimeLeft = live(function TimeLeft() {
  const { store } = useView();
  const said = store.timeLeft.value;
  const [, tick] = useReducer((n: number) => n + 1, 0);
  const at = useRef<[said: number | null, time: number]>([null, 0]);
  if (at.current[0] !== said) at.current = [said, performance.now()];
  useEffect(() => {
    if (said === null) return undefined;
    const timer = setInterval(() => tick(undefined), 1000);
    return () => clearInterval(timer);
  }, [said === null]);
  if (said === null) return null;
  const loading = store.status.value.measures[0] === "load";
  return (
    <span
      class="isi-muted isi-fixed"
      data-testid="time-left"
      title={loading ? "At the pace so far" : "At the pace so far, for this step: answers may end earlier, and other steps may follow"}
    >
      {`${loading ? "" : "≤ "}${duration(said - (performance.now() - at.current[1]) / 1000)} left`}
    </span>
  );
});

/** Whole seconds, minutes or hours, never less than a second. */
export function duration(seconds: number): string {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 100) return `${whole} s`;
  const minutes = Math.ceil(whole / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}
