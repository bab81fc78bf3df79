// The traits of one study's widget as signals, and requests to the kernel. One per model, shared by its views.
import type { AnyModel } from "@anywidget/types";
import { batch, computed, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { same } from "../document";
import { plural } from "../numbers";
import type { Reader } from "../readers";
import { putStill, watchStills } from "../kept";
import * as read from "./read";

export type Model = AnyModel<Record<string, unknown>>;

/** Milliseconds after which a press that the kernel has not answered is explained. */
const PATIENCE = 4000;
const GONE = "There is no kernel for this study: it was restarted or shut down.";
const GO_ON = "The last numbers stay. To go on, run the notebook up to here: Run > Run All Above Selected Cell, then this cell.";
const STORED = " Finished rows are in its store and are not repeated.";
const BUSY = "The kernel has not answered yet: it may be running another cell.";

export class Store {
  readonly title;
  readonly progress;
  readonly table;
  readonly plots;
  readonly failures;
  readonly page;
  readonly opened;
  readonly error;
  /** what this page asks for; the kernel's page may be of an older one */
  readonly query: Signal<read.Query>;
  readonly gone = signal(false);
  /** a press that waits for the kernel */
  readonly asked: Signal<"" | "cancel" | "resume"> = signal("");
  /** the row is opened by a press in this page, which scrolls to it once it is open */
  readonly sought = signal(false);
  /** said by the page itself */
  readonly notice: Signal<read.Problem | null> = signal(null);
  readonly problem: ReadonlySignal<read.Problem | null>;
  /** the shown rows are not yet those of the query */
  readonly waiting: ReadonlySignal<boolean>;
  /** number of the newest still that the notebook was sent */
  readonly stills;
  /** for screen readers */
  readonly spoken = signal("");
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly model: Model,
    private readonly lifetime: AbortSignal,
  ) {
    this.title = this.#trait("about", read.readTitle);
    this.progress = this.#trait("progress", read.readProgress);
    this.table = this.#trait("table", read.readTable);
    this.plots = this.#trait("plots", read.readPlots);
    this.failures = this.#trait("failures", read.readFailures);
    this.page = this.#trait("page", read.readPage);
    this.opened = this.#trait("opened", read.readOpened);
    this.error = this.#trait("error", read.readProblem);
    this.query = this.#trait("query", read.readQuery);
    this.stills = this.#trait("stills", read.readWhole);
    this.problem = computed(() => this.notice.value ?? this.error.value);
    this.waiting = computed(() => !this.gone.value && !same(this.query.value, this.page.value.query));
    let state = this.progress.peek().state;
    this.#on("change:progress", () => {
      const { state: now, done, total, stopping } = this.progress.value;
      if (this.asked.value === "cancel" ? stopping || now !== "running" : now !== state) this.#answered();
      if (now !== state) this.spoken.value = SAID[now] + (now === "running" ? "" : `: ${done} of ${plural(total, "row")}`);
      state = now;
    });
    this.#on("change:opened", () => {
      this.#answered();
      const { row, state: now } = this.opened.value;
      if (now === "open") this.spoken.value = `Row ${row} is open in the probe below`;
    });
    this.#on("change:page", () => this.#answered());
    this.#on("comm_live_update", () => void this.#look());
    const host = (): [unknown, string] => [this.model.widget_manager, this.id];
    watchStills(this.stills, host, () => this.#reach(() => this.model.send({ kind: "still" })), lifetime);
    this.#on("msg:custom", (message) => {
      const still = read.readStill(message);
      if (still) putStill(host(), still);
    });
    void this.#look(); // a notebook that is opened anew has no kernel yet
    lifetime.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  get running(): boolean {
    return this.progress.value.state === "running" && !this.gone.value;
  }

  cancel(): void {
    this.#ask("cancel", { kind: "cancel" });
  }

  resume(): void {
    this.#ask("resume", { kind: "resume" });
  }

  /** Shows other rows; from the first one on, unless the change says otherwise. */
  show(change: Partial<read.Query>): void {
    const query = { ...this.query.value, start: 0, ...change };
    if (same(query, this.query.value)) return;
    this.query.value = query;
    this.#reach(() => {
      this.model.set("query", query);
      this.model.save_changes();
    });
    this.#patience();
  }

  /** Opens a row in a probe; −1 closes it. */
  open(row: number): void {
    this.sought.value = row >= 0;
    this.#ask("", { kind: "open", row });
  }

  dismiss(): void {
    this.notice.value = null;
    if (this.error.value) this.#reach(() => this.model.send({ kind: "dismiss" }));
  }

  #ask(asked: "" | "cancel" | "resume", message: object): void {
    this.asked.value = asked;
    this.#reach(() => this.model.send(message));
    this.#patience();
  }

  #patience(): void {
    clearTimeout(this.#timer);
    if (!this.gone.value) this.#timer = setTimeout(() => (this.notice.value = { message: BUSY, hint: "" }), PATIENCE);
  }

  /** Something came from the kernel. */
  #answered(): void {
    clearTimeout(this.#timer);
    batch(() => {
      this.asked.value = "";
      if (this.notice.value?.message === BUSY) this.notice.value = null;
    });
  }

  get id(): string {
    return String(this.model.get("widget_id"));
  }

  /** Asks the widget manager whether the kernel still has the widget. */
  async #look(): Promise<void> {
    const manager = this.model.widget_manager as unknown as { get_model?: (id: unknown) => Promise<{ comm_live?: boolean }> } | undefined;
    // A manager that does not know it yet says nothing about the kernel.
    const found = this.id ? await manager?.get_model?.(this.id).catch(() => undefined) : undefined;
    if (found?.comm_live === false) this.#lost();
  }

  #lost(): void {
    if (this.gone.value || this.lifetime.aborted) return;
    clearTimeout(this.#timer);
    batch(() => {
      this.gone.value = true;
      this.asked.value = "";
      this.notice.value = { message: GONE, hint: GO_ON + (this.title.value.store && STORED) };
    });
  }

  #reach(how: () => void): void {
    try {
      how();
    } catch (error) {
      console.warn(error);
      this.#lost();
    }
  }

  #trait<T>(name: string, reader: Reader<T>): Signal<T> {
    const state = signal(reader(this.model.get(name)));
    this.#on(`change:${name}`, () => {
      const next = reader(this.model.get(name));
      if (!same(next, state.peek())) state.value = next;
    });
    return state;
  }

  #on(event: string, listener: (...args: unknown[]) => void): void {
    this.model.on(event, listener);
    this.lifetime.addEventListener("abort", () => this.model.off(event, listener));
  }
}

const SAID: Record<read.Progress["state"], string> = {
  waiting: "The study waits",
  running: "The study runs",
  finished: "The study is finished",
  cancelled: "The study is cancelled",
  failed: "The study was stopped by an error",
  opened: "The study was opened from its store",
};
