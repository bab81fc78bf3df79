// The document and its edits: what the page has changed, what the kernel has confirmed, and the pictures of both.
import { batch, computed, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import * as documents from "../document";
import { choiceOf, pictured, same } from "../document";
import type { Choice, Document, Intervention, Operation } from "../protocol";
import * as read from "../read";
import { PictureLoader, type Picture } from "./picture";
import { ignore } from "./requests";
import { Synced, type Model } from "./synced";

/** Milliseconds that a question waits for the kernel to have taken the last edit (state messages may be held back by the widget manager). */
const SETTLE = 600;
const MAX_EDIT = 1e6;

export class Edits extends Synced {
  readonly document: Signal<Document>;
  /** The last document that came from the kernel, and its number: what is sent starts from it. */
  #known: Document;
  #revision: number;
  #partial: boolean;
  readonly inputs;

  readonly picture: Signal<Picture | null> = signal(null);
  readonly base: Signal<Picture | null> = signal(null);
  /** Size of the original image, which all coordinates refer to; null before any picture. */
  readonly image: ReadonlySignal<Picture["image"] | null>;
  /** Edits of the picture whose rendering has not come back: meanwhile the page draws them itself. */
  readonly unrendered = signal(0);
  /** Numbers of the last edit, and of the last one that `inputs` (and its key) are made from. */
  readonly #edit;
  readonly #settled: Signal<number>;
  /** The kernel has taken the last edit. */
  readonly insync: ReadonlySignal<boolean>;

  readonly truth: ReadonlySignal<string | null>;
  readonly imagePreset: ReadonlySignal<string>;
  readonly contextPreset: ReadonlySignal<string | null>;
  readonly context: ReadonlySignal<string>;
  readonly question: ReadonlySignal<string>;

  /** The page itself is setting traits. */
  protected own = false;
  #quiet: ReturnType<typeof setTimeout> | undefined;

  constructor(model: Model, lifetime: AbortSignal) {
    super(model, lifetime);
    this.#known = read.readDocument(model.get("document"));
    this.document = signal(this.#known);
    const { kept, revision } = read.readRevision(model.get("document"));
    this.#partial = kept !== null;
    this.#revision = revision ?? this.#newest();
    this.inputs = this.trait("inputs", read.readInputs);
    this.image = computed(() => (this.picture.value ?? this.base.value)?.image ?? null);
    this.#edit = this.trait("edit", (x) => (typeof x === "number" ? x : 0));
    this.#settled = signal(this.#edit.value);
    this.insync = computed(() => this.#settled.value === this.#edit.value);
    this.truth = computed(() => (this.insync.value ? (this.inputs.value?.truth ?? null) : null));
    const operations = computed(() => this.document.value.operations);
    this.imagePreset = computed(() => choiceOf(operations.value, "image")?.preset ?? this.inputs.value?.image_preset ?? "natural");
    this.contextPreset = computed(() => {
      const choice = choiceOf(operations.value, "context");
      return choice ? choice.preset : (this.inputs.value?.context_preset ?? null);
    });
    this.context = computed(() => choiceOf(operations.value, "context")?.text ?? this.inputs.value?.context ?? "");
    this.question = computed(() => choiceOf(operations.value, "question")?.text ?? this.inputs.value?.question ?? "");

    const [picture, base] = [new PictureLoader(this.picture), new PictureLoader(this.base)];
    this.watch("preview", (x) => {
      void picture.load(read.readPreview(x), () => this.#rendered());
    });
    this.watch("base_preview", (x) => {
      void base.load(read.readPreview(x));
    });
    this.on("change:document", () => {
      // A change that did not start here comes from the kernel, with its own picture.
      if (this.own || !this.#take(model.get("document"))) return;
      this.requests.heard();
      this.unrendered.value = 0;
    });
    this.on("change:inputs", () => (this.#settled.value = this.inputs.value?.edit ?? this.#edit.value));
    lifetime.addEventListener("abort", () => {
      clearTimeout(this.#quiet);
      for (const loader of [picture, base]) loader.close();
    });
  }

  // ---- each call is one step
  edit(operations: Operation[], options: { merge?: boolean; say?: string } = {}): void {
    this.#step(documents.commit(this.document.value, operations, options.merge), options.say);
  }

  choose(kind: Choice["op"], choice: Choice | null, merge = false): void {
    const say = { image: "Image", context: "Context", question: "Question" }[kind] + (choice ? " changed" : " reset");
    this.edit(documents.withChoice(this.document.value.operations, kind, choice), { merge, say });
  }

  /** Changes what is changed inside the model. */
  intervene(inside: Intervention[], options: { merge?: boolean; say?: string } = {}): void {
    const { document } = this;
    this.#step(documents.commit(document.value, document.value.operations, options.merge, inside), options.say);
  }

  undo(): void {
    if (this.document.value.past.at(-1)?.observation != null) this.ask({ kind: "undo" }).catch(ignore);
    else this.#step(documents.undo(this.document.value), "Undone");
  }

  redo(): void {
    if (this.document.value.future[0]?.observation != null) this.ask({ kind: "redo" }).catch(ignore);
    else this.#step(documents.redo(this.document.value), "Redone");
  }

  #step(next: Document, say = "Changed"): void {
    const before = this.document.value;
    if (next === before) return;
    this.own = true;
    batch(() => {
      if (!same(pictured(before.operations), pictured(next.operations))) this.unrendered.value += 1;
      // As many as a number holds, and never 0 again.
      this.#edit.value = (this.#edit.value % MAX_EDIT) + 1;
      this.model.set("edit", this.#edit.value);
      const part = documents.isShort(next) ? null : documents.news(this.#known, next);
      this.set("document", part ? { ...read.writeDocument(part), kept: part.kept, base: this.#revision } : read.writeDocument(next));
      this.document.value = next;
      this.spoken.value = say;
    });
    this.own = false;
  }

  /** Takes a document of the kernel; false where it only confirms the one that is shown. */
  #take(raw: unknown): boolean {
    const { kept, base, revision } = read.readRevision(raw);
    if (kept && base !== this.#revision) {
      this.#askWhole();
      return false;
    }
    const came = read.readDocument(raw);
    const now = this.document.value;
    this.#known = kept ? documents.patched(this.#known, came, kept) : came;
    this.#revision = revision ?? this.#newest();
    const { past, future, operations, inside } = this.#known;
    const confirmed = same(operations, now.operations) && same(inside, now.inside) && past.length === now.past.length && future.length === now.future.length;
    if (confirmed && (kept || revision !== null)) this.#known = now;
    else if (kept || !same(this.#known, now)) this.document.value = this.#known;
    return !confirmed;
  }

  /** The whole document, where a part of its history was missed; it comes as a trait. */
  #askWhole(): void {
    this.ask({ kind: "history" }).catch(ignore);
  }

  /** Asks for it if a view was opened on what had been sent last. */
  complete(): void {
    if (this.#partial) this.#askWhole();
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

  /** Goes on once the kernel has taken the last edit, or a moment later; at once where it has. */
  settled(then: () => void): void {
    if (this.insync.value) {
      then();
      return;
    }
    let done = false;
    let stop = (): void => undefined;
    const finish = (): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      stop();
      if (!this.lifetime.aborted) then();
    };
    const timer = setTimeout(finish, SETTLE);
    stop = this.insync.subscribe((yes) => {
      if (yes) queueMicrotask(finish);
    });
  }

  #newest(): number {
    const found = this.model.get("revision");
    return typeof found === "number" ? found : 0;
  }
}
