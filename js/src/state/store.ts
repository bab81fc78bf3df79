// What is synced: the model's traits as signals, and every change that the page makes to them. One store per model, shared by its views.
// Not for what is only on one screen (tool, selection, pop-overs): that is state/screen.ts.
import type { AnyModel } from "@anywidget/types";
import { batch, computed, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import * as documents from "../document";
import { choiceOf, pictured, same } from "../document";
import * as read from "../read";
import { PLACES } from "../protocol";
import type { Choice, Document, Failure, Heat, Format, Incoming, Judges, Measure, Offer, Operation, Outgoing, Partly, Rectangle, Settings, Status, Tokens, Trial } from "../protocol";
import { Pace } from "./pace";
import { decode, PictureLoader, type Detail, type Picture } from "./picture";

/** Seconds of silence after which the page says that the kernel does not answer. */
const PATIENCE = 8;
/** Milliseconds that a run waits for the kernel to have taken the last edit (state messages may be held back by the widget manager). */
const SETTLE = 600;
/** Seconds that a report of many trials may take. */
const MAKING = 60;

const MAX_EDIT = 1e6;
/** Bytes of a part of a file: messages over 10 MiB are lost on their way to the kernel, and nobody hears of it. */
const PART = 4 * 1024 * 1024;

/** A new kernel knows none of the notebook's variables: the one cell alone would fail. */
export const GO_ON = "To go on in a new kernel run the notebook up to here: Run > Run All Above Selected Cell, then this cell.";

export type Model = AnyModel<Record<string, unknown>>;

export interface Pending {
  id: string;
  measures: Measure[];
}

export class Store {
  readonly observations;
  readonly index;
  readonly observation;
  readonly document: Signal<Document>;
  /** The last document that came from the kernel, and its number: what is sent starts from it. */
  #known: Document;
  #revision: number;
  #partial: boolean;
  readonly inputs;
  readonly settings;
  readonly status;
  readonly failure;
  readonly trials;
  readonly shown;
  readonly modelInfo;
  readonly runOnChange;
  /** which entailment model compares the meanings: its name, or "auto" */
  readonly judge;
  readonly #pinned: Signal<number[]>;
  /** numbers of the trials to compare, rising */
  readonly pinned: ReadonlySignal<number[]>;
  /** The kernel that the widget was of is there no more: nothing that is asked or changed is heard. */
  readonly gone = signal(false);
  /** number of a trial -> what is noted of it */
  readonly notes;

  readonly picture: Signal<Picture | null>;
  readonly base: Signal<Picture | null>;

  /** Size of the original image, which all coordinates refer to; null before any picture. */
  readonly image: ReadonlySignal<Picture["image"] | null>;

  /** A run that was asked for and not yet taken up by the kernel. */
  readonly asked: Signal<Pending | null> = signal(null);
  /** Said by the page itself: refused files, a kernel that does not answer. */
  readonly notice: Signal<Failure | null> = signal(null);
  /** For screen readers. */
  readonly spoken = signal("");
  readonly code: Signal<{ id: string; text: string } | null> = signal(null);
  /** The models that can be loaded, as of the last time that they were asked for. */
  readonly offer: Signal<Offer | null> = signal(null);
  /** The entailment models that can be chosen, as of the last time that they were asked for. */
  readonly judges: Signal<Judges | null> = signal(null);
  /** Small pictures of observations by index, as far as they were asked for; null: it has none that can be read. */
  readonly thumbnails: Signal<ReadonlyMap<number, Uint8Array<ArrayBuffer> | null>> = signal(new Map());
  /** The last count of tokens that came. */
  readonly tokens: Signal<Tokens | null> = signal(null);
  /** Seconds that the stage which is going may still take; null while that cannot be known. */
  readonly timeLeft: Signal<number | null> = signal(null);
  readonly detail: Signal<Detail | null> = signal(null);
  #detailAsked = "";
  readonly heat: Signal<Heat | null> = signal(null);
  readonly font: Signal<Uint8Array<ArrayBuffer> | null> = signal(null);
  /** Source of the editor, once it came. */
  readonly editor: Signal<string | null> = signal(null);
  /** Tool and selection that Python has set; the page's own are each view's. */
  readonly wished: Signal<{ tool?: string; selected?: number[] }> = signal({});
  /** The newest still that the kernel has made; its data where it was asked for. */
  readonly still: Signal<{ number: number; data: Record<string, unknown> | null } | null> = signal(null);
  readonly #colors = new Map<string, (color: string) => void>();
  /** A file that was asked for, once it came. */
  readonly exported: Signal<{ id: string; name: string; type: string; data: Uint8Array<ArrayBuffer> } | null> = signal(null);
  readonly #heardOf: Signal<Partly | null> = signal(null);
  /** What the run that is going has said so far; null once it is over, whatever its end. */
  readonly partly: ReadonlySignal<Partly | null>;
  /** The run that goes on while the user looks at an older trial. */
  #away: string | null = null;

  /** Edits of the picture whose rendering has not come back: meanwhile the page draws them itself. */
  readonly unrendered = signal(0);
  /** Numbers of the last edit, and of the last one that `inputs` (and its key) are made from. */
  readonly #edit;
  readonly #settled: Signal<number>;
  readonly insync: ReadonlySignal<boolean>;

  readonly trial: ReadonlySignal<Trial | null>;
  /** The shown result belongs to the input that is on screen. */
  readonly current: ReadonlySignal<boolean>;
  readonly running: ReadonlySignal<boolean>;
  readonly truth: ReadonlySignal<string | null>;
  readonly imagePreset: ReadonlySignal<string>;
  readonly contextPreset: ReadonlySignal<string | null>;
  readonly context: ReadonlySignal<string>;
  readonly question: ReadonlySignal<string>;

  readonly #loaders: PictureLoader[];
  #own = false;
  #quiet: ReturnType<typeof setTimeout> | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;

  readonly #model: Model;
  readonly #lifetime: AbortSignal;

  constructor(model: Model, lifetime: AbortSignal) {
    this.#model = model;
    this.#lifetime = lifetime;
    this.observations = this.#trait("observations", read.readObservations);
    this.index = this.#trait("observation_index", (x) => (typeof x === "number" ? x : -1));
    this.observation = this.#trait("observation", read.readObservation);
    this.#known = read.readDocument(model.get("document"));
    this.document = signal(this.#known);
    const { kept, revision } = read.readRevision(model.get("document"));
    this.#partial = kept !== null;
    this.#revision = revision ?? this.#number("revision");
    this.inputs = this.#trait("inputs", read.readInputs);
    this.settings = this.#trait("settings", read.readSettings);
    this.status = this.#trait("status", read.readStatus);
    this.failure = this.#trait("error", read.readFailure);
    // Each is in a trait of its own: a new trial comes alone, and takes the place of an older one.
    const entries = Array.from({ length: PLACES }, (_, at) => this.#trait(`_entry_${at}`, read.readTrial));
    this.trials = computed(() => entries.flatMap((entry) => entry.value ?? []).sort((a, b) => a.id - b.id));
    this.shown = this.#trait("shown", (x) => (typeof x === "number" ? x : -1));
    this.modelInfo = this.#trait("model", read.readModel);
    this.runOnChange = this.#trait("run_on_change", (x) => x === true);
    this.judge = this.#trait("judge", (x) => (typeof x === "string" && x ? x : "auto"));
    this.notes = this.#trait("notes", read.readNotes);
    this.#pinned = this.#trait("pinned", read.readNumbers);
    this.pinned = computed(() => this.#pinned.value.filter((id) => this.trials.value.some((trial) => trial.id === id)));

    this.picture = signal(null);
    this.base = signal(null);
    this.image = computed(() => (this.picture.value ?? this.base.value)?.image ?? null);
    this.#loaders = [new PictureLoader(this.picture), new PictureLoader(this.base)];
    this.#edit = this.#trait("edit", (x) => (typeof x === "number" ? x : 0));
    this.#settled = signal(this.#edit.value);

    this.insync = computed(() => this.#settled.value === this.#edit.value);
    this.trial = computed(() => this.trials.value.find((t) => t.id === this.shown.value) ?? null);
    this.current = computed(() => this.insync.value && this.trial.value !== null && this.trial.value.key === this.inputs.value?.key);
    this.running = computed(() => this.asked.value !== null || this.status.value.state !== "idle");
    this.partly = computed(() => (this.status.value.state !== "idle" && this.#heardOf.value?.id === this.status.value.id ? this.#heardOf.value : null));
    this.truth = computed(() => (this.insync.value ? (this.inputs.value?.truth ?? null) : null));
    const operations = computed(() => this.document.value.operations);
    this.imagePreset = computed(() => choiceOf(operations.value, "image")?.preset ?? this.inputs.value?.image_preset ?? "natural");
    this.contextPreset = computed(() => {
      const choice = choiceOf(operations.value, "context");
      return choice ? choice.preset : (this.inputs.value?.context_preset ?? null);
    });
    this.context = computed(() => choiceOf(operations.value, "context")?.text ?? this.inputs.value?.context ?? "");
    this.question = computed(() => choiceOf(operations.value, "question")?.text ?? this.inputs.value?.question ?? "");

    this.#watch("preview", (x) => {
      void this.#loaders[0]?.load(read.readPreview(x), () => this.#rendered());
    });
    this.#watch("base_preview", (x) => {
      void this.#loaders[1]?.load(read.readPreview(x));
    });
    this.#on("change:document", () => {
      // A change that did not start here comes from the kernel, with its own picture.
      if (this.#own || !this.#take(model.get("document"))) return;
      this.#heard();
      this.unrendered.value = 0;
    });
    for (const [name, reader] of [["tool", read.readTool], ["selected", read.readNumbers]] as const) {
      this.#on(`change:${name}`, () => {
        if (!this.#own) this.wished.value = { [name]: reader(this.#model.get(name)) };
      });
    }
    this.#on("change:inputs", () => (this.#settled.value = this.inputs.value?.edit ?? this.#edit.value));
    let said = "";
    this.#on("change:status", () => {
      this.#heard();
      const { state, stage } = this.status.value;
      const now = state === "running" ? stage : "";
      if (now && now !== said) this.spoken.value = doing(this.status.value);
      said = now;
    });
    this.#on("change:model", () => (this.spoken.value = `Model: ${this.modelInfo.value.label}`));
    this.#on("msg:custom", (message: unknown, buffers: unknown) => this.#receive(read.readMessage(message), read.readBuffers(buffers)));
    // Of the widget manager: the kernel was restarted or shut down.
    this.#on("comm_live_update", () => void this.#look());
    const pace = new Pace();
    lifetime.addEventListener("abort", this.status.subscribe((status) => (this.timeLeft.value = pace.left(status, performance.now()))));
    lifetime.addEventListener("abort", () => {
      clearTimeout(this.#quiet);
      clearTimeout(this.#patience);
      for (const loader of this.#loaders) loader.close();
    });
  }

  // ---- edits: each call is one step ---------------------------------------------------------------------------------

  edit(operations: Operation[], options: { merge?: boolean; say?: string } = {}): void {
    this.#step(documents.commit(this.document.value, operations, options.merge), options.say);
  }

  choose(kind: Choice["op"], choice: Choice | null, merge = false): void {
    const say = { image: "Image", context: "Context", question: "Question" }[kind] + (choice ? " changed" : " reset");
    this.edit(documents.withChoice(this.document.value.operations, kind, choice), { merge, say });
  }

  undo(): void {
    if (this.document.value.past.at(-1)?.observation != null) this.#send({ kind: "undo" });
    else this.#step(documents.undo(this.document.value), "Undone");
  }

  redo(): void {
    if (this.document.value.future[0]?.observation != null) this.#send({ kind: "redo" });
    else this.#step(documents.redo(this.document.value), "Redone");
  }

  #step(next: Document, say = "Changed"): void {
    const before = this.document.value;
    if (next === before) return;
    this.#own = true;
    batch(() => {
      if (!same(pictured(before.operations), pictured(next.operations))) this.unrendered.value += 1;
      // As many as a number holds, and never 0 again.
      this.#edit.value = (this.#edit.value % MAX_EDIT) + 1;
      this.#model.set("edit", this.#edit.value);
      const part = documents.isShort(next) ? null : documents.news(this.#known, next);
      this.#set("document", part ? { ...read.writeDocument(part), kept: part.kept, base: this.#revision } : read.writeDocument(next));
      this.document.value = next;
      this.spoken.value = say;
    });
    this.#own = false;
  }

  /** Takes a document of the kernel; false where it only confirms the one that is shown. */
  #take(raw: unknown): boolean {
    const { kept, base, revision } = read.readRevision(raw);
    if (kept && base !== this.#revision) {
      this.askHistory();
      return false;
    }
    const came = read.readDocument(raw);
    const now = this.document.value;
    this.#known = kept ? documents.patched(this.#known, came, kept) : came;
    this.#revision = revision ?? this.#number("revision");
    const { past, future, operations } = this.#known;
    const confirmed = same(operations, now.operations) && past.length === now.past.length && future.length === now.future.length;
    if (confirmed && (kept || revision !== null)) this.#known = now;
    else if (kept || !same(this.#known, now)) this.document.value = this.#known;
    return !confirmed;
  }

  /** Asks for the whole document, where a part of its history was missed. */
  askHistory(): void {
    this.#send({ kind: "history" });
  }

  /** Asks for it if a view was opened on what had been sent last. */
  complete(): void {
    if (this.#partial) this.askHistory();
    this.#partial = false;
  }

  /**
   * A rendered preview arrived. With one edit under way it is the answer to that edit; with several the kernel may have joined them,
   * so the page's own drawing stays until as many previews came or none came for a moment: nothing flickers back.
   */
  #rendered(): void {
    clearTimeout(this.#quiet);
    this.unrendered.value = Math.max(0, this.unrendered.value - 1);
    if (this.unrendered.value > 0) this.#quiet = setTimeout(() => (this.unrendered.value = 0), 500);
  }

  /** Whether a trial is of another model than the present one. */
  otherModel(trial: Trial): boolean {
    const { label, name } = this.modelInfo.value;
    return trial.view.model !== (label || name);
  }

  observe(index: number): void {
    if (index === this.index.value) return;
    this.#set("observation_index", index);
  }

  show(id: number): void {
    this.#away = this.status.value.id;
    this.#heardOf.value = null;
    this.#set("shown", id);
  }

  /** Pins a trial, or takes its pin away. */
  pin(id: number): void {
    const others = this.pinned.value.filter((other) => other !== id);
    const next = others.length < this.pinned.value.length ? others : [...others, id].sort((a, b) => a - b);
    this.#pinned.value = next;
    this.#set("pinned", next);
  }

  configure(settings: Settings): void {
    this.#set("settings", settings);
  }

  follow(on: boolean): void {
    this.#set("run_on_change", on);
  }

  dismiss(): void {
    this.notice.value = null;
    if (this.failure.value) this.#set("error", null);
  }

  fail(message: string, hint = ""): void {
    this.notice.value = { message, hint, id: null };
  }

  // ---- requests -----------------------------------------------------------------------------------------------------

  run(measures: Measure[]): string {
    const id = identifier();
    this.dismiss();
    this.asked.value = { id, measures };
    const send = (): void => {
      if (this.asked.value?.id !== id) return;
      this.#send({ kind: "run", id, measures, settings: this.settings.value });
      this.#wait("The run was not taken up by the kernel.", () => (this.asked.value = null));
    };
    if (this.insync.value) send();
    else this.#whenSettled(send);
    return id;
  }

  #whenSettled(then: () => void): void {
    let done = false;
    let stop = (): void => undefined;
    const finish = (): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      stop();
      if (!this.#lifetime.aborted) then();
    };
    const timer = setTimeout(finish, SETTLE);
    stop = this.insync.subscribe((yes) => {
      if (yes) queueMicrotask(finish);
    });
  }

  /** Stops what runs and what waits: who says stop means all of it. */
  cancel(): void {
    this.asked.value = null;
    this.#send({ kind: "cancel", id: "" });
    if (this.status.value.state !== "idle") {
      this.spoken.value = "Cancelling";
      this.#wait("The kernel does not answer.", () => (this.status.value = { ...this.status.value, state: "idle", queued: 0 }));
    }
  }

  upload(name: string, data: ArrayBuffer): void {
    this.unrendered.value = 0;
    const id = identifier();
    const parts = Math.max(1, Math.ceil(data.byteLength / PART));
    for (let part = 0; part < parts; part++) this.#send({ kind: "upload", name, id, part, parts }, [data.slice(part * PART, (part + 1) * PART)]);
    this.spoken.value = `Image ${name} sent`;
  }

  /** Says what is right about a picture of the user's own; "": nothing is known. */
  tellTruth(text: string): void {
    if (text !== (this.truth.value ?? "")) this.#send({ kind: "truth", text });
  }

  /** What shows the widget, and the id by which it knows it. */
  host(): [manager: unknown, id: unknown] {
    return [this.#model.widget_manager, this.#model.get("widget_id")];
  }

  /** Asks for the Python that rebuilds the current input, or a trial; the answer arrives in `code` with this id. */
  askCode(id: string, trial?: number): void {
    this.#send({ kind: "code", id, ...(trial !== undefined && { trial }) });
    this.#wait("The Python was not returned by the kernel.");
  }

  /** Asks for small pictures of observations; they arrive in `thumbnails`. */
  askThumbnails(indexes: number[]): void {
    this.#send({ kind: "thumbnails", indexes });
  }

  /** Asks for the tokens of the present input; they arrive in `tokens`, unless the model is busy. */
  askTokens(): void {
    this.#send({ kind: "tokens" });
  }

  /** Asks for another random image or context than the shown one, which comes as a step of the document. */
  reshuffle(part: "image" | "context"): void {
    this.dismiss();
    const send = (): void => {
      this.#send({ kind: "reshuffle", part });
      this.#wait(`Another random ${part} was not drawn by the kernel.`);
    };
    if (this.insync.value) send();
    else this.#whenSettled(send);
  }

  /** Asks for the models that can be loaded; they arrive in `offer`. */
  askModels(): void {
    this.#send({ kind: "models" });
    this.#wait("The list of models was not returned by the kernel.");
  }

  /** Asks for the entailment models; they arrive in `judges`. */
  askJudges(): void {
    this.#send({ kind: "judges" });
  }

  /** Has another entailment model compare the meanings, and downloads it where it is not on the disk. */
  takeJudge(name: string): void {
    this.dismiss();
    this.#send({ kind: "judge", id: identifier(), name });
  }

  /** Tells Python tool and selection: those of the view that was used last. */
  tell(view: { tool: string; selected: readonly number[] }): void {
    this.#own = true;
    const news = Object.entries(view).filter(([name, value]) => !same(value, this.#model.get(name)));
    for (const [name, value] of news) this.#model.set(name, value);
    if (news.length > 0) this.#model.save_changes();
    this.#own = false;
  }

  /** Asks for the colour of one pixel as the model sees it. */
  askColor(x: number, y: number, then: (color: string) => void): void {
    const id = identifier();
    this.#colors.set(id, then);
    this.#send({ kind: "color", id, x, y });
  }

  /** Asks for what one token of a trial's answer attended to; it arrives in `heat` with the id that is returned. */
  askMap(trial: number, token: number): string {
    const id = identifier();
    this.#send({ kind: "map", id, trial, token });
    return id;
  }

  /** Cuts a patch from the image of another observation. */
  cut(operation: number, observation: number): void {
    this.#send({ kind: "cut", operation, observation });
  }

  /** Asks for a part of the picture at full resolution; the answer to the last question arrives in `detail`. */
  askDetail(region: Rectangle, width: number): void {
    this.#detailAsked = identifier();
    this.#send({ kind: "detail", id: this.#detailAsked, region, width });
  }

  /** Asks for the font of the kernel's texts. */
  askFont(): void {
    this.#send({ kind: "font" });
  }

  /** Asks for the still that a notebook keeps; it arrives in `still`. */
  askStill(): void {
    this.#send({ kind: "still" });
  }

  /** Asks for the source of the editor. */
  askEditor(): void {
    this.#send({ kind: "editor" });
  }

  load(name: string, quantization: string | null): void {
    this.dismiss();
    this.#send({ kind: "load", id: identifier(), name, quantization });
    this.#wait("The model was not asked for by the kernel.");
  }

  // ---- trials -------------------------------------------------------------------------------------------------------

  /** Makes the input of a trial the present one; the kernel sends it as a step of the document. */
  restore(trial: number): void {
    this.dismiss();
    this.#send({ kind: "restore", trial });
    this.spoken.value = `Input of trial ${trial} restored`;
  }

  forget(trial: number): void {
    this.dismiss();
    this.#send({ kind: "delete", trial });
    this.spoken.value = `Trial ${trial} deleted`;
  }

  note(trial: number, text: string): void {
    if ((this.notes.value[trial] ?? "") === text) return;
    this.#send({ kind: "note", trial, text });
    this.notes.value = { ...this.notes.value, [trial]: text };
  }

  /** Asks for a file with some trials in it; it arrives in `exported` with this id. */
  export(id: string, trials: number[], format: Format): void {
    this.dismiss();
    this.#send({ kind: "export", id, trials, format });
    this.spoken.value = "The file is being made";
    this.#wait("The file was not returned by the kernel.", undefined, MAKING);
  }

  // ---- plumbing -----------------------------------------------------------------------------------------------------

  #receive(message: Incoming | null, buffers: Uint8Array<ArrayBuffer>[]): void {
    if (!message) return;
    this.#heard(message.id);
    switch (message.kind) {
      case "progress":
        // Quicker than the status trait, and about the same run.
        if (this.status.value.id === message.id && this.status.value.state !== "idle") {
          this.status.value = { ...this.status.value, stage: message.stage, done: message.done, total: message.total };
        }
        break;
      case "partial":
        if (message.id !== this.#away) this.#heardOf.value = message;
        break;
      case "export": {
        const [data] = buffers;
        if (data) this.exported.value = { id: message.id, name: message.name, type: message.type, data };
        break;
      }
      case "models":
        this.offer.value = message;
        break;
      case "judges":
        this.judges.value = message;
        break;
      case "thumbnails":
        this.thumbnails.value = new Map([...this.thumbnails.value, ...message.indexes.map((index, i) => [index, buffers[i]?.length ? buffers[i] : null] as const)]);
        break;
      case "tokens":
        this.tokens.value = message;
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
      case "editor":
        this.editor.value = message.text;
        break;
      case "map":
        if (buffers[0]) this.heat.value = { id: message.id, share: message.share, peak: message.peak, layer: buffers[0] };
        break;
      case "detail":
        if (buffers[0]) {
          void decode(buffers[0]).then((source) => {
            if (source && message.id === this.#detailAsked) this.detail.value = { source, region: message.region, key: message.key };
          });
        }
        break;
      case "font":
        this.font.value = buffers[0] ?? null;
        break;
      case "still":
        this.still.value = message;
        break;
      case "color":
        this.#colors.get(message.id)?.(message.color);
        this.#colors.delete(message.id);
        break;
      case "code":
        this.code.value = { id: message.id, text: message.text };
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

  #heard(id: string | null = this.status.value.id): void {
    clearTimeout(this.#patience);
    const asked = this.asked.value;
    if (!asked) return;
    const busy = this.status.value.state !== "idle";
    if (id === asked.id || (busy && this.status.value.queued > 0)) this.asked.value = null;
    else this.#wait("The run was not taken up by the kernel.", () => (this.asked.value = null));
  }

  #wait(message: string, then: () => void = () => undefined, seconds = PATIENCE): void {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => {
      batch(() => {
        then();
        this.fail(
          message,
          `The kernel is gone or busy with another cell. What was last computed stays visible. ${GO_ON}`,
        );
      });
    }, seconds * 1000);
  }

  /** Asks the widget manager whether the kernel still has the widget. */
  async #look(): Promise<void> {
    const [manager, id] = this.host() as [{ get_model?: (id: unknown) => Promise<{ comm_live?: boolean }> } | undefined, unknown];
    if ((await manager?.get_model?.(id))?.comm_live === false) this.#lost();
  }

  #lost(): void {
    if (this.gone.value || this.#lifetime.aborted) return;
    clearTimeout(this.#patience);
    batch(() => {
      this.gone.value = true;
      this.asked.value = null;
      this.status.value = { ...this.status.value, state: "idle", queued: 0 };
      this.fail(
        "The kernel of this probe is gone: it was restarted or shut down.",
        `${GO_ON} The notebook keeps a still of the last run.`,
      );
    });
  }

  /** A kernel that is gone is told by an error of the widget manager, too. */
  #reach(how: () => void): void {
    try {
      how();
    } catch (error) {
      console.warn(error);
      this.#lost();
    }
  }

  #send(message: Outgoing, buffers: ArrayBuffer[] = []): void {
    this.#reach(() => this.#model.send(message, undefined, buffers));
  }

  #set(name: string, value: unknown): void {
    this.#reach(() => {
      this.#model.set(name, value);
      this.#model.save_changes();
    });
  }

  #number(name: string): number {
    const found = this.#model.get(name);
    return typeof found === "number" ? found : 0;
  }

  #trait<T>(name: string, reader: (raw: unknown) => T): Signal<T> {
    const state = signal(reader(this.#model.get(name)));
    this.#on(`change:${name}`, () => {
      const next = reader(this.#model.get(name));
      if (!same(next, state.peek())) state.value = next;
    });
    return state;
  }

  #watch(name: string, then: (raw: unknown) => void): void {
    then(this.#model.get(name));
    this.#on(`change:${name}`, () => then(this.#model.get(name)));
  }

  #on(event: string, listener: (...args: unknown[]) => void): void {
    this.#model.on(event, listener);
    this.#lifetime.addEventListener("abort", () => this.#model.off(event, listener));
  }
}

/** What is going on, in words. */
export const doing = ({ measures, stage, note }: Status): string => note || (measures[0] === "load" ? "Loading the model" : `Running${stage && `: ${stage}`}`);

export function identifier(): string {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return Array.from(words, (w) => w.toString(36)).join("");
}

/** A seed for a random preset or for noise: an integer that every side can hold. */
export function randomSeed(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % 1_000_000;
}

export type { Status };
