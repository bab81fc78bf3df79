// Remaining time of a stage, from its pace so far. Pure: the caller passes the time.
import type { Status } from "../protocol";

/** Earlier, the pace is too uncertain to show. */
const STEPS = 2;
const SECONDS = 1;

export class Pace {
  #stage = "";
  #since = 0;
  #from = 0;

  /** Seconds that the present stage needs at most (answers may end early), at the time `now` in ms; null while that cannot be known. */
  left({ state, id, stage, done, total }: Status, now: number): number | null {
    const name = state === "running" && total > 0 ? `${id} ${stage}` : "";
    if (name !== this.#stage || done < this.#from) {
      this.#stage = name;
      this.#since = now;
      this.#from = done;
    }
    const steps = done - this.#from;
    const seconds = (now - this.#since) / 1000;
    return name && steps >= STEPS && seconds >= SECONDS ? ((total - done) * seconds) / steps : null;
  }
}
