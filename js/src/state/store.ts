// What is synced: the model's traits as signals, and every change that the page makes to them. One store per model, shared by its views.
// Not for the document (edits.ts), what only the editor asks (kernel.ts), nor what is only on one screen (screen.ts).
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { same } from "../document";
import type { Incoming } from "../messages";
import { PLACES, type Partly, type Settings, type Status, type Trial } from "../protocol";
import * as read from "../read";
import { Edits } from "./edits";
import { identifier, ignore } from "./requests";
import type { Model } from "./synced";

export { identifier } from "./requests";
export { GO_ON, type Model } from "./synced";

/** A requested run that the kernel has not yet accepted. */
export interface Pending {
  id: string;
  measures: string[];
}

export class Store extends Edits {
  readonly observations;
  readonly index;
  readonly observation;
  readonly settings;
  readonly status;
  readonly failure;
  readonly trials;
  readonly shown;
  readonly modelInfo;
  /** what can be measured */
  readonly measures;
  readonly runOnChange;
  /** which entailment model compares the meanings: its name, or "auto" */
  readonly judge;
  readonly #pinned: Signal<number[]>;
  /** numbers of the trials to compare, rising */
  readonly pinned: ReadonlySignal<number[]>;
  /** number of a trial -> what is noted of it */
  readonly notes;
  /** the last trace between two trials */
  readonly trace;
  /** the lens is on the picture, on every page */
  readonly lensOn;

  readonly asked: Signal<Pending | null> = signal(null);
  /** Tool and selection that Python has set; the page's own are each view's. */
  readonly wished: Signal<{ tool?: string; selected?: number[] }> = signal({});
  /** Number of the newest still that the kernel has made. */
  readonly still;
  readonly #heardOf: Signal<Partly | null> = signal(null);
  /** What the present run has said so far; null once it is over, whatever its end. */
  readonly partly: ReadonlySignal<Partly | null>;
  /** The run that goes on while the user looks at an older trial. */
  #away: string | null = null;

  readonly trial: ReadonlySignal<Trial | null>;
  /** The shown result belongs to the input that is on screen. */
  readonly current: ReadonlySignal<boolean>;
  readonly running: ReadonlySignal<boolean>;

  constructor(model: Model, lifetime: AbortSignal) {
    super(model, lifetime);
    this.observations = this.trait("observations", read.readObservations);
    this.index = this.trait("observation_index", (x) => (typeof x === "number" ? x : -1));
    this.observation = this.trait("observation", read.readObservation);
    this.settings = this.trait("settings", read.readSettings);
    this.status = this.trait("status", read.readStatus);
    this.failure = this.trait("error", read.readFailure);
    // Each is in a trait of its own: a new trial comes alone, and takes the place of an older one.
    const entries = Array.from({ length: PLACES }, (_, at) => this.trait(`_entry_${at}`, read.readTrial));
    this.trials = computed(() => entries.flatMap((entry) => entry.value ?? []).sort((a, b) => a.id - b.id));
    this.shown = this.trait("shown", (x) => (typeof x === "number" ? x : -1));
    this.modelInfo = this.trait("model", read.readModel);
    this.measures = this.trait("measures", read.readMeasures);
    this.runOnChange = this.trait("run_on_change", (x) => x === true);
    this.judge = this.trait("judge", (x) => (typeof x === "string" && x ? x : "auto"));
    this.notes = this.trait("notes", read.readNotes);
    this.trace = this.trait("traced", read.readTrace);
    this.lensOn = this.trait("lens_on", (x) => x === true);
    this.still = this.trait("stills", (x) => (typeof x === "number" ? x : 0));
    this.#pinned = this.trait("pinned", read.readNumbers);
    this.pinned = computed(() => this.#pinned.value.filter((id) => this.trials.value.some((trial) => trial.id === id)));

    this.trial = computed(() => this.trials.value.find((t) => t.id === this.shown.value) ?? null);
    this.current = computed(() => this.insync.value && this.trial.value !== null && this.trial.value.key === this.inputs.value?.key);
    this.running = computed(() => this.asked.value !== null || this.status.value.state !== "idle");
    this.partly = computed(() => (this.status.value.state !== "idle" && this.#heardOf.value?.id === this.status.value.id ? this.#heardOf.value : null));

    for (const [name, reader] of [["tool", read.readTool], ["selected", read.readNumbers]] as const) {
      this.on(`change:${name}`, () => {
        if (!this.own) this.wished.value = { [name]: reader(this.model.get(name)) };
      });
    }
    let said = "";
    this.on("change:status", () => {
      this.requests.heard();
      const { state, stage, id, queued } = this.status.value;
      if (id === this.asked.value?.id || (state !== "idle" && queued > 0)) this.asked.value = null;
      const now = state === "running" ? stage : "";
      if (now && now !== said) this.spoken.value = doing(this.status.value);
      said = now;
    });
    this.on("change:model", () => (this.spoken.value = `Model: ${this.modelInfo.value.label}`));
    this.on("msg:custom", (message: unknown, buffers: unknown) => {
      this.requests.heard();
      if (typeof message !== "object" || message === null) return;
      this.#receive(read.readMessage(message));
      this.requests.receive(message, read.readBuffers(buffers));
    });
  }

  /** Whether a trial is of another model than the present one. */
  otherModel(trial: Trial): boolean {
    const { plain_label, label, name } = this.modelInfo.value;
    const { model, interventions } = trial.view;
    return (interventions ? model.replace(`, ${interventions}`, "") : model) !== (plain_label || label || name);
  }

  observe(index: number): void {
    if (index !== this.index.value) this.set("observation_index", index);
  }

  show(id: number): void {
    this.#away = this.status.value.id;
    this.#heardOf.value = null;
    this.set("shown", id);
  }

  /** Whether the lens is on the picture, also after a reload. */
  keepLens(on: boolean): void {
    if (on !== this.lensOn.value) this.set("lens_on", on);
  }

  /** Pins a trial, or takes its pin away. */
  pin(id: number): void {
    const others = this.pinned.value.filter((other) => other !== id);
    const next = others.length < this.pinned.value.length ? others : [...others, id].sort((a, b) => a - b);
    this.#pinned.value = next;
    this.set("pinned", next);
  }

  configure(settings: Settings): void {
    if (this.failure.value?.id === null) this.dismiss(); // of a setting refused before, not of a run
    this.set("settings", settings);
  }

  follow(on: boolean): void {
    this.set("run_on_change", on);
  }

  dismiss(): void {
    this.notice.value = null;
    if (this.failure.value) this.set("error", null);
  }

  /** Sends tool and selection to Python: those of the view that was used last. */
  tell(view: { tool: string; selected: readonly number[] }): void {
    this.own = true;
    const news = Object.entries(view).filter(([name, value]) => !same(value, this.model.get(name)));
    for (const [name, value] of news) this.model.set(name, value);
    if (news.length > 0) this.model.save_changes();
    this.own = false;
  }

  // ---- runs

  /** Why the present model cannot give a measure; "": it can. */
  unavailable(name: string): string {
    return this.modelInfo.value.unavailable[name] ?? this.measures.value.find((measure) => measure.name === name)?.unavailable ?? "";
  }

  /** Every measure that a run of everything has; the kernel leaves out what the model cannot give. */
  runEverything(): void {
    this.run(this.measures.value.filter((measure) => measure.by_default).map(({ name }) => name));
  }

  /** `plain`: without what is changed inside the model. */
  run(measures: string[], plain = false): string {
    const id = identifier();
    const over = (): void => {
      if (this.asked.value?.id === id) this.asked.value = null;
    };
    this.dismiss();
    this.asked.value = { id, measures };
    this.settled(() => {
      if (this.asked.value?.id !== id) return;
      this.ask({ kind: "run", measures, settings: this.settings.value, ...(plain && { plain }) }, { id, silence: "The kernel did not start the run.", then: over }).then(over, over);
    });
    return id;
  }

  /** Stops the present run and all that wait. */
  cancel(): void {
    this.asked.value = null;
    const busy = this.status.value.state !== "idle";
    if (busy) this.spoken.value = "Cancelling";
    const idle = (): void => {
      this.status.value = { ...this.status.value, state: "idle", queued: 0 };
    };
    this.ask({ kind: "cancel", run: "" }, busy ? { silence: "The kernel does not answer.", then: idle } : {}).catch(ignore);
  }

  protected override lost(): void {
    if (this.gone.value) return;
    this.asked.value = null;
    this.status.value = { ...this.status.value, state: "idle", queued: 0 };
    super.lost();
  }

  /** What the kernel reports by itself. */
  #receive(message: Incoming | null): void {
    switch (message?.kind) {
      case "progress":
        // Quicker than the status trait, and about the same run.
        if (this.status.value.id === message.id && this.status.value.state !== "idle") {
          this.status.value = { ...this.status.value, stage: message.stage, done: message.done, total: message.total };
        }
        break;
      case "partial":
        if (message.id !== this.#away) this.#heardOf.value = message;
        break;
      case "result":
        this.#heardOf.value = null;
        this.spoken.value = this.#sentence(message.trial);
        break;
      case "error":
        // The trait says the same and stays after a reload; a message alone is shown too.
        if (this.failure.value?.message !== message.message) this.notice.value = message;
        break;
      case "notice":
        this.notice.value = message;
        break;
    }
  }

  #sentence(id: number): string {
    const view = this.trials.value.find((t) => t.id === id)?.view;
    const marks = view?.answer?.judged ? `, ${view.answer.judged}` : "";
    const entropy = view?.uncertainty?.entropies[0];
    return [
      view?.answer ? `Answer: ${view.answer.text}${marks}.` : "Result.",
      entropy ? `${entropy.label} ${entropy.value.toFixed(2)} ${entropy.unit}.` : "",
    ].join(" ");
  }
}

/** The present activity, in words. */
export const doing = ({ measures, stage, note }: Status): string => note || (measures[0] === "load" ? "Loading the model" : `Running${stage && `: ${stage}`}`);

/** Which measure a stage of the kernel belongs to. */
export const measureOf = (stage: string): string => (/samples|clusters|entailment/.test(stage) ? "uncertainty" : /^(prompt)?$/.test(stage) ? "answer" : stage);

/** A seed for a random preset or for noise: an integer that every side can hold. */
export function randomSeed(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % 1_000_000;
}

export type { Status };
