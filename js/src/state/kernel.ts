// Requests of the editor to the kernel, and answers that outlive their panel. Part of the editor. The store shows failures:
// callers only continue without an answer.
import { signal, type Signal } from "@preact/signals-core";
import * as answers from "../answers";
import type { Question, Sought } from "../messages";
import type { Format, Heat, Inpainter, Judges, KeptPicture, Offer, Rectangle, Tokens } from "../protocol";
import { ignore, NoAnswer } from "./requests";
import type { Store } from "./store";

/** Seconds that a report of many trials may take. */
const MAKING = 60;
/** Bytes of a part of a file: messages over 10 MiB are lost on their way to the kernel, and nobody hears of it. */
const PART = 4 * 1024 * 1024;

export interface Answers {
  /** The models that can be loaded, from the last request. */
  offer: Signal<Offer | null>;
  /** The entailment models that can be chosen, likewise. */
  judges: Signal<Judges | null>;
  /** Thumbnails of observations by index, as far as requested; null: the picture cannot be read. */
  thumbnails: Signal<ReadonlyMap<number, Uint8Array<ArrayBuffer> | null>>;
  /** The last count of tokens. */
  tokens: Signal<Tokens | null>;
  /** What can fill holes; empty until it was requested. */
  inpainters: Signal<Inpainter[]>;
}

const all = new WeakMap<Store, Answers>();

/** What was answered to the store of a widget so far. */
export function answersOf(store: Store): Answers {
  let found = all.get(store);
  if (!found) all.set(store, (found = { offer: signal(null), judges: signal(null), thumbnails: signal(new Map()), tokens: signal(null), inpainters: signal([]) }));
  return found;
}

/** Puts an answer where panels look; without one everything stays. */
function keep<T>(answer: Promise<T | null>, into: (answer: T) => void): void {
  answer.then((found) => {
    if (found !== null) into(found);
  }, ignore);
}

const command = (store: Store, question: Question, silence?: string): void => {
  store.ask(question, silence ? { silence } : {}).catch(ignore);
};

// ---- models

export function askModels(store: Store): void {
  keep(store.ask({ kind: "models" }, { read: answers.readOffer, silence: "The kernel did not return the list of models." }), (offer) => (answersOf(store).offer.value = offer));
}

export function askJudges(store: Store): void {
  keep(store.ask({ kind: "judges" }, { read: answers.readJudges }), (judges) => (answersOf(store).judges.value = judges));
}

export function loadModel(store: Store, name: string, quantization: string | null): void {
  store.dismiss();
  command(store, { kind: "load", name, quantization }, "The kernel did not receive the request for the model.");
}

/** Has another entailment model compare the meanings, and downloads it where it is not on the disk. */
export function takeJudge(store: Store, name: string): void {
  store.dismiss();
  command(store, { kind: "judge", name });
}

// ---- the input

export function upload(store: Store, name: string, data: ArrayBuffer): void {
  store.unrendered.value = 0;
  send(store, name, data, {}).catch(ignore);
}

/** Sends a picture that is to be part of an edit: it is kept, not opened. */
export const uploadPart = (store: Store, name: string, data: ArrayBuffer): Promise<KeptPicture | null> => send(store, name, data, { keep: true });

function send(store: Store, name: string, data: ArrayBuffer, more: { keep?: true }): Promise<KeptPicture | null> {
  const id = crypto.randomUUID();
  const parts = Math.max(1, Math.ceil(data.byteLength / PART));
  let answer: Promise<KeptPicture | null> = Promise.resolve(null);
  for (let part = 0; part < parts; part++) {
    answer = store.ask({ kind: "upload", name, part, parts, ...more }, { id, read: answers.readPicture, buffers: [data.slice(part * PART, (part + 1) * PART)] });
    if (part < parts - 1) answer.catch(ignore);
  }
  store.spoken.value = `Image ${name} sent`;
  return answer;
}

/** Sets what is right about a picture of the user's own; "": nothing is known. */
export function setTruth(store: Store, text: string): void {
  if (text !== (store.truth.value ?? "")) command(store, { kind: "truth", text });
}

/** Draws a random image or context other than the shown one, which comes as a step of the document. */
export function reshuffle(store: Store, part: "image" | "context"): void {
  store.dismiss();
  store.settled(() => command(store, { kind: "reshuffle", part }, `The kernel did not draw another random ${part}.`));
}

/** Cuts a patch from the image of another observation. */
export function cut(store: Store, operation: number, observation: number): void {
  command(store, { kind: "cut", operation, observation });
}

/** Counts the tokens of the present input, unless the model is busy. */
export function askTokens(store: Store): void {
  keep(store.ask({ kind: "tokens" }, { read: answers.readTokens }), (tokens) => (answersOf(store).tokens.value = tokens));
}

/** Resolves once the pictures are in `thumbnails`, or will not come. */
export function askThumbnails(store: Store, indexes: number[]): Promise<void> {
  const { thumbnails } = answersOf(store);
  return store.ask({ kind: "thumbnails", indexes }, { read: answers.readThumbnails }).then((found) => {
    thumbnails.value = new Map([...thumbnails.value, ...(found ?? [])]);
  }, ignore);
}

/** The colour of one pixel as the model sees it. */
export function askColor(store: Store, x: number, y: number, then: (color: string) => void): void {
  keep(store.ask({ kind: "color", x, y }, { read: answers.readColor }), then);
}

/** A part of the picture at full resolution. */
export function askDetail(store: Store, region: Rectangle, width: number, signal: AbortSignal) {
  return store.ask({ kind: "detail", region, width }, { read: answers.readExcerpt, signal });
}

// ---- edits of things

/** Has the kernel keep a picture for an edit: that of an observation, or (null) the one that is shown. */
export async function askPicture(store: Store, observation: number | null): Promise<KeptPicture | null> {
  await new Promise<void>((done) => store.settled(done));
  return store.ask({ kind: "picture", observation }, { read: answers.readPicture, silence: "The kernel did not return the picture." });
}

export function askInpainters(store: Store): void {
  keep(store.ask({ kind: "inpainters" }, { read: answers.readInpainters }), (found) => (answersOf(store).inpainters.value = found));
}

/** Has holes filled that are still empty: after a cancelled or failed filling. */
export function fillHoles(store: Store): void {
  store.dismiss();
  command(store, { kind: "complete" });
}

// ---- masks

/** The mask of an object, or of a flat area. */
export function askMask(store: Store, sought: Sought, id: string, signal: AbortSignal): Promise<answers.FoundMask | null> {
  store.dismiss();
  return store.ask({ kind: "segment", ...sought }, { id, signal, read: answers.readMask, silence: "The kernel did not return an outline." });
}

/** Has the kernel stop the work on a question. */
export function takeBack(store: Store, id: string): void {
  command(store, { kind: "cancel", run: id });
}

// ---- trials

/** Makes the input of a trial the present one; the kernel sends it as a step of the document. */
export function restore(store: Store, trial: number): void {
  store.dismiss();
  command(store, { kind: "restore", trial });
  store.spoken.value = `Input of trial ${trial} restored`;
}

export function forget(store: Store, trial: number): void {
  store.dismiss();
  command(store, { kind: "delete", trial });
  store.spoken.value = `Trial ${trial} deleted`;
}

export function note(store: Store, trial: number, text: string): void {
  if ((store.notes.value[trial] ?? "") === text) return;
  command(store, { kind: "note", trial, text });
  store.notes.value = { ...store.notes.value, [trial]: text };
}

/** Measures what each head does to the answer of a trial; it comes with the trial. */
export function askHeads(store: Store, trial: number, exact: boolean, id: string): Promise<unknown> {
  store.dismiss();
  return store.ask({ kind: "heads", trial, ...(exact && { exact }) }, { id }).catch(ignore);
}

/** Traces the difference between two trials; it comes as a trait. */
export function askTrace(store: Store, clean: number, corrupt: number, id: string): Promise<unknown> {
  store.dismiss();
  return store.ask({ kind: "trace", clean, corrupt }, { id }).catch(ignore);
}

/** The words of each layer at each image token of a trial; null where they cannot be read. */
export function askLens(store: Store, trial: number): Promise<answers.Lens | null> {
  store.dismiss();
  return store.ask({ kind: "lens", trial }, { read: answers.readLens }).catch(() => null);
}

/** A file with some trials in it. */
export function exportTrials(store: Store, trials: number[], format: Format, then: (file: answers.ExportedFile) => void): void {
  store.dismiss();
  store.spoken.value = "The file is being made";
  keep(store.ask({ kind: "export", trials, format }, { read: answers.readFile, silence: "The kernel did not return the file.", seconds: MAKING }), then);
}

/** All work of the probe as one file. */
export function saveProbe(store: Store, then: (file: answers.ExportedFile) => void): void {
  store.dismiss();
  store.spoken.value = "The file is being made";
  keep(store.ask({ kind: "save" }, { read: answers.readFile, silence: "The kernel did not return the file.", seconds: MAKING }), then);
}

/** Where the work is kept. */
export function keptOf(store: Store): Signal<answers.Kept> {
  let found = kept.get(store);
  if (!found) kept.set(store, (found = store.trait("kept", answers.readKept)));
  return found;
}
const kept = new WeakMap<Store, Signal<answers.Kept>>();

/** What one token of a trial's answer attended to; null where that is taken back or cannot be. */
export function askHeat(store: Store, trial: number, token: number, signal: AbortSignal): Promise<Heat | null> {
  return store.ask({ kind: "map", trial, token }, { read: answers.readHeat, signal }).catch((error: unknown) => {
    if (error instanceof NoAnswer) return null;
    throw error;
  });
}
