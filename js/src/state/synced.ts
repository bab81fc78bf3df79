// The model's traits as signals, and the ways to the kernel: setting traits, and requests. Not for what a trait means: edits.ts and store.ts.
import type { AnyModel } from "@anywidget/types";
import { batch, signal, type Signal } from "@preact/signals-core";
import { same } from "../document";
import type { Question } from "../messages";
import type { Failure } from "../protocol";
import { NoAnswer, Requests, type Options } from "./requests";

export type Model = AnyModel<Record<string, unknown>>;

/** A new kernel knows none of the notebook's variables: the one cell alone would fail. */
export const GO_ON = "To go on in a new kernel run the notebook up to here: Run > Run All Above Selected Cell, then this cell.";

export class Synced {
  /** The widget's kernel was restarted or shut down: nothing that is asked or changed reaches it. */
  readonly gone = signal(false);
  /** Said by the page itself: refused files, a kernel that does not answer. */
  readonly notice: Signal<Failure | null> = signal(null);
  /** For screen readers. */
  readonly spoken = signal("");
  protected readonly requests: Requests;

  constructor(
    protected readonly model: Model,
    protected readonly lifetime: AbortSignal,
  ) {
    this.requests = new Requests(
      (message, buffers) => this.reach(() => model.send(message, undefined, buffers)),
      (message, then) =>
        batch(() => {
          then();
          this.fail(message, `The kernel is gone or is running another cell. The last results stay visible. ${GO_ON}`);
        }),
    );
    lifetime.addEventListener("abort", () => this.requests.end(new NoAnswer("cancelled", "the page is closed")));
    // Of the widget manager: the kernel was restarted or shut down.
    this.on("comm_live_update", () => void this.#look());
  }

  /** Asks the kernel; the promise is of its answer, or rejected with a `NoAnswer`. */
  ask<T = null>(question: Question, options?: Options<T>): Promise<T | null> {
    return this.requests.request(question, options);
  }

  fail(message: string, hint = ""): void {
    this.notice.value = { message, hint, id: null };
  }

  /** What shows the widget, and the id by which it knows it. */
  host(): [manager: unknown, id: unknown] {
    return [this.model.widget_manager, this.model.get("widget_id")];
  }

  /** Asks the widget manager whether the kernel still has the widget. */
  async #look(): Promise<void> {
    const [manager, id] = this.host() as [{ get_model?: (id: unknown) => Promise<{ comm_live?: boolean }> } | undefined, unknown];
    if ((await manager?.get_model?.(id))?.comm_live === false) this.lost();
  }

  protected lost(): void {
    if (this.gone.value || this.lifetime.aborted) return;
    const message = "The kernel of this probe is gone: it was restarted or shut down.";
    // all else that is read of "kept" is the editor's
    const { folder, problem } = (this.model.get("kept") ?? {}) as Record<string, unknown>;
    const kept = typeof folder === "string" && folder !== "" && problem === "";
    const hint = `${GO_ON} ${kept ? `The session ${folder} brings all work back.` : "The notebook keeps a still of the last run."}`;
    batch(() => {
      this.gone.value = true;
      this.fail(message, hint);
    });
    this.requests.end(new NoAnswer("gone", message, hint));
  }

  /** A dead kernel also shows as an error of the widget manager. */
  protected reach(how: () => void): void {
    try {
      how();
    } catch (error) {
      console.warn(error);
      this.lost();
    }
  }

  protected set(name: string, value: unknown): void {
    this.reach(() => {
      this.model.set(name, value);
      this.model.save_changes();
    });
  }

  /** A trait as a signal, for as long as the widget lives. */
  trait<T>(name: string, reader: (raw: unknown) => T): Signal<T> {
    const state = signal(reader(this.model.get(name)));
    this.on(`change:${name}`, () => {
      const next = reader(this.model.get(name));
      if (!same(next, state.peek())) state.value = next;
    });
    return state;
  }

  protected watch(name: string, then: (raw: unknown) => void): void {
    then(this.model.get(name));
    this.on(`change:${name}`, () => then(this.model.get(name)));
  }

  protected on(event: string, listener: (...args: unknown[]) => void): void {
    this.model.on(event, listener);
    this.lifetime.addEventListener("abort", () => this.model.off(event, listener));
  }
}
