// What is chosen in the panel "Inside" of one view, and every change that it makes. Part of the editor.
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { same } from "../document";
import { at, readInside, withGate, writeInside, type Gate, type Head, type Inside } from "../inside";
import type { Intervention, Trial } from "../protocol";
import type { Lens } from "../answers";
import { askHeads, askLens, askTrace } from "./kernel";
import { identifier } from "./requests";
import type { Screen } from "./screen";
import type { Store } from "./store";

/** Changes of one gate that follow one another within this time are one step. */
const PAUSE = 1500;

export class Gates {
  readonly chosen: Signal<readonly Head[]> = signal([]);
  /** The gate as a slider shows it while it is dragged. */
  readonly live: Signal<number | null> = signal(null);
  readonly now: ReadonlySignal<Inside>;
  /** The words of the layers of a trial; null: the lens is off. "asked": they are on their way. */
  readonly lens: Signal<{ trial: number; lens: Lens | "asked" } | null> = signal(null);
  /** The image token under the lens, by keys; the pointer goes first. */
  readonly patch = signal(0);
  /** The last measurement of what heads do to the answer of a trial, under the id of its request; "": it is over. */
  readonly heads: Signal<{ trial: number; id: string }> = signal({ trial: -1, id: "" });
  /** The trace that is being made, by the id of its request; "": none. */
  readonly tracing = signal("");
  #last: { what: string; list: Intervention[]; when: number } | null = null;

  constructor(private readonly store: Store) {
    this.now = computed(() => readInside(store.document.value.inside ?? []));
  }

  /** One step; a change of the same thing a moment later continues it. */
  put(next: Inside, what: string, say: string): void {
    const before = this.store.document.value.inside ?? [];
    const merge = this.#last?.what === what && same(this.#last.list, before) && performance.now() - this.#last.when < PAUSE;
    const list = writeInside(next);
    this.store.intervene(list, { merge, say });
    this.#last = { what, list, when: performance.now() };
  }

  /** Sets the gate of the chosen heads. */
  gate(gate: Gate): void {
    const heads = this.chosen.value;
    this.live.value = null;
    if (heads.length === 0) return;
    const names = heads.length === 1 ? heads.map(({ layer, head }) => `L${layer}H${head}`).join() : `${heads.length} heads`;
    this.put(withGate(this.now.value, heads, gate), `gate ${heads.map(at).join(" ")}`, gate === 1 ? `${names} reset` : `${names}: ${typeof gate === "number" ? `times ${gate}` : gate}`);
  }

  /** Puts the lens on the picture of a trial, or takes it off. */
  async look(trial: number | null): Promise<void> {
    this.store.keepLens(trial !== null);
    if (trial === null) this.lens.value = null;
    else if (this.lens.value?.trial !== trial) {
      this.lens.value = { trial, lens: "asked" };
      const lens = await askLens(this.store, trial);
      if (this.lens.value.trial !== trial) return;
      this.lens.value = lens && { trial, lens };
      if (!lens) this.store.keepLens(false);
    }
  }

  /** Measures what each head does to the answer of a trial; `exact`: each by a run of its own, however many there are. */
  async measure(trial: number, exact = false): Promise<void> {
    const id = identifier();
    this.heads.value = { trial, id };
    await askHeads(this.store, trial, exact, id);
    if (this.heads.value.id === id) this.heads.value = { trial, id: "" };
  }

  async trace(clean: number, corrupt: number): Promise<void> {
    const id = identifier();
    this.tracing.value = id;
    await askTrace(this.store, clean, corrupt, id);
    if (this.tracing.value === id) this.tracing.value = "";
  }

  reset(): void {
    this.live.value = null;
    this.store.intervene([], { say: "Nothing is changed inside the model" });
  }
}

const all = new WeakMap<Screen, Gates>();

export function gatesOf(screen: Screen): Gates {
  let found = all.get(screen);
  if (!found) all.set(screen, (found = new Gates(screen.store)));
  return found;
}

/** The newest trial of a stimulus, with or without changes inside the model. */
export function trialOf(store: Store, stimulus: string, changed: boolean): Trial | null {
  return store.trials.value.findLast((trial) => trial.stimulus === stimulus && stimulus !== "" && !store.otherModel(trial) && (trial.view.interventions !== "") === changed) ?? null;
}

/** The trial under the present changes, and the one without any, of the input that is on screen or of the shown trial. */
export function pairOf(store: Store): { plain: Trial | null; changed: Trial | null } {
  const trial = store.trial.value;
  if (!trial) return { plain: null, changed: null };
  const changed = trial.view.interventions ? trial : trialOf(store, trial.stimulus, true);
  return { plain: trial.view.interventions ? trialOf(store, trial.stimulus, false) : trial, changed };
}

/** Runs the input under the changes; before it without them, unless such a trial is there. */
export function runBeside(store: Store): void {
  store.settled(() => {
    const trial = store.trial.value;
    const every = store.measures.value.filter((measure) => !store.unavailable(measure.name));
    const ran = trial && every.filter(({ name }) => (trial.view as unknown as Record<string, unknown>)[name] || trial.view.measures.some((measure) => measure.name === name));
    const measures = (ran?.length ? ran : every.filter((measure) => measure.by_default)).map(({ name }) => name);
    const { stimulus = "" } = store.inputs.value ?? {};
    if ((store.document.value.inside ?? []).length > 0 && !trialOf(store, stimulus, false)) store.run(measures, true);
    store.run(measures);
  });
}
