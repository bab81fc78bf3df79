// What travels between kernel and page: types, and readers that turn whatever arrives into these types or into null.
// Not for behaviour: nothing here knows the DOM, signals or the widget manager.

export type Point = [number, number];
export type Region = [number, number, number, number];

export interface Box {
  op: "box";
  x: number;
  y: number;
  width: number;
  height: number;
  color: string;
  fill: boolean;
  line_width: number;
}
export interface Ellipse extends Omit<Box, "op"> {
  op: "ellipse";
}
export interface Line {
  op: "line";
  start: Point;
  end: Point;
  color: string;
  width: number;
}
export interface Arrow extends Omit<Line, "op"> {
  op: "arrow";
}
export interface Text {
  op: "text";
  x: number;
  y: number;
  text: string;
  size: number;
  color: string;
}
export interface Noise {
  op: "noise";
  sigma: number;
  seed: number;
  region: Region | null;
}
export type Drawing = Box | Ellipse | Line | Arrow | Text | Noise;

/** Last one of each kind wins. The page sends a preset (and seed) only; the kernel fills in the text or the image. */
export interface ImageChoice {
  op: "image";
  preset: string;
  seed?: number | null;
  image?: string;
}
export interface ContextChoice {
  op: "context";
  text?: string;
  preset: string | null;
  seed?: number | null;
}
export interface QuestionChoice {
  op: "question";
  text: string;
}
export type Choice = ImageChoice | ContextChoice | QuestionChoice;
/** An operation of a newer kernel: kept and sent back unchanged, listed, not drawn here. */
export interface Foreign {
  op: "foreign";
  name: string;
  raw: unknown;
}
export type Operation = Drawing | Choice | Foreign;

export interface Document {
  version: 1;
  operations: Operation[];
  past: Operation[][];
  future: Operation[][];
}

export interface ObservationRow {
  index: number;
  id: string;
  question: string;
  answer: string | null;
  level: string | null;
}
export interface Observation extends ObservationRow {
  context: string;
  width: number;
  height: number;
  image_presets: string[];
  context_presets: string[];
}
export interface Inputs {
  context: string;
  question: string;
  truth: string | null;
  image_preset: string;
  context_preset: string | null;
  key: string;
}
export interface Preview {
  data: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
  image_width: number;
  image_height: number;
  key: string;
}
export interface Settings {
  samples: number;
  temperature: number;
  seed: number;
  max_new_tokens: number;
  strict: boolean;
}
export interface Status {
  state: "idle" | "running" | "cancelling";
  id: string | null;
  what: string[];
  stage: string;
  done: number;
  total: number;
  queued: number;
}
export interface Failure {
  message: string;
  hint: string;
  id: string | null;
}
export interface ModelInfo {
  name: string;
  note: string;
  device: string;
  parameters: number | string | null;
}

export const SEGMENTS = ["image", "context", "question", "other"] as const;
export type Segment = (typeof SEGMENTS)[number];
export type Shares = Partial<Record<string, number>>;

export interface AnswerView {
  text: string;
  correct: boolean | null;
  tokens: { text: string; logprob: number }[];
  yes_no: { yes: number; no: number; rest: number } | null;
}
export interface EntropyView {
  name: string;
  label: string;
  value: number;
  low: number | null;
  high: number | null;
  maximum: number | null;
  unit: string;
  definition: string;
}
export interface ClusterView {
  id: number;
  name: string;
  count: number;
  probability: number;
  answers: { text: string; count: number }[];
}
export interface UncertaintyView {
  samples: number;
  temperature: number;
  entropies: EntropyView[];
  clusters: ClusterView[];
}
export interface AttentionView {
  segments: string[];
  absolute: Shares;
  relative: Shares;
  token_counts: Shares;
  modality_dominance_index: number | null;
  by_layer: Shares[];
}
export interface TrialView {
  question: string;
  context: string;
  image_preset: string;
  context_preset: string | null;
  truth: string | null;
  operations: Operation[];
  model: string;
  settings: Record<string, unknown>;
  seconds: Record<string, unknown>;
  code: string;
  answer: AnswerView | null;
  uncertainty: UncertaintyView | null;
  attention: AttentionView | null;
}
export interface Trial {
  id: number;
  key: string;
  view: TrialView;
  thumbnail: Uint8Array<ArrayBuffer> | null;
}

export const MEASURES = ["answer", "uncertainty", "attention"] as const;
export type Measure = (typeof MEASURES)[number];

export type Outgoing =
  | { kind: "run"; id: string; what: Measure[]; settings: Settings }
  | { kind: "cancel"; id: string }
  | { kind: "upload"; name: string }
  | { kind: "code"; id: string };

export type Incoming =
  | { kind: "progress"; id: string; stage: string; done: number; total: number }
  | { kind: "result"; id: string; trial: number }
  | { kind: "error"; id: string | null; message: string; hint: string }
  | { kind: "code"; id: string; text: string };

// ---- readers ---------------------------------------------------------------------------------------------------------

type Dict = Record<string, unknown>;

const isDict = (x: unknown): x is Dict => typeof x === "object" && x !== null && !Array.isArray(x);
const isNumber = (x: unknown): x is number => typeof x === "number" && Number.isFinite(x);
const num = (x: unknown, otherwise: number): number => (isNumber(x) ? x : otherwise);
const numOrNull = (x: unknown): number | null => (isNumber(x) ? x : null);
const str = (x: unknown, otherwise = ""): string => (typeof x === "string" ? x : isNumber(x) ? String(x) : otherwise);
const strOrNull = (x: unknown): string | null => (typeof x === "string" || isNumber(x) ? String(x) : null);
const list = (x: unknown): unknown[] => (Array.isArray(x) ? (x as unknown[]) : []);
const strings = (x: unknown): string[] => list(x).filter((s) => typeof s === "string");
const present = <T>(x: T | null): x is T => x !== null;
const isPoint = (x: unknown): x is Point => Array.isArray(x) && x.length === 2 && x.every(isNumber);
const isRegion = (x: unknown): x is Region => Array.isArray(x) && x.length === 4 && x.every(isNumber);

function shares(x: unknown): Shares {
  return isDict(x) ? Object.fromEntries(Object.entries(x).filter((e): e is [string, number] => isNumber(e[1]))) : {};
}

function bytes(x: unknown): Uint8Array<ArrayBuffer> | null {
  if (x instanceof ArrayBuffer) return new Uint8Array(x);
  if (ArrayBuffer.isView(x)) return new Uint8Array(x.buffer as ArrayBuffer, x.byteOffset, x.byteLength);
  return null;
}

/** A drawing with every number finite, or null: what is null here is never drawn and never edited. */
export function readDrawing(x: unknown): Drawing | null {
  if (!isDict(x)) return null;
  const color = str(x.color, "#000000");
  switch (x.op) {
    case "box":
    case "ellipse":
      if (![x.x, x.y, x.width, x.height].every(isNumber)) return null;
      return {
        op: x.op,
        x: num(x.x, 0),
        y: num(x.y, 0),
        width: num(x.width, 0),
        height: num(x.height, 0),
        color,
        fill: x.fill !== false,
        line_width: num(x.line_width, 3),
      };
    case "line":
    case "arrow":
      if (!isPoint(x.start) || !isPoint(x.end)) return null;
      return { op: x.op, start: x.start, end: x.end, color, width: num(x.width, 2) };
    case "text":
      if (!isNumber(x.x) || !isNumber(x.y) || typeof x.text !== "string") return null;
      return { op: "text", x: x.x, y: x.y, text: x.text, size: num(x.size, 16), color };
    case "noise":
      if (!isNumber(x.sigma) || !(x.region == null || isRegion(x.region))) return null;
      return { op: "noise", sigma: x.sigma, seed: num(x.seed, 0), region: x.region ?? null };
    default:
      return null;
  }
}

export function readOperation(x: unknown): Operation {
  const drawing = readDrawing(x);
  if (drawing) return drawing;
  if (isDict(x)) {
    const seed = numOrNull(x.seed);
    if (x.op === "image" && typeof x.preset === "string") {
      return { op: "image", preset: x.preset, seed, ...(typeof x.image === "string" ? { image: x.image } : {}) };
    }
    if (x.op === "context" && (typeof x.text === "string" || typeof x.preset === "string")) {
      return { op: "context", preset: strOrNull(x.preset), seed, ...(typeof x.text === "string" ? { text: x.text } : {}) };
    }
    if (x.op === "question" && typeof x.text === "string") return { op: "question", text: x.text };
  }
  return { op: "foreign", name: isDict(x) ? str(x.op, "unknown") : "unknown", raw: x };
}

/** The JSON that is sent: a foreign operation goes back as it came. */
export function writeOperation(op: Operation): unknown {
  return op.op === "foreign" ? op.raw : op;
}

export function readDocument(x: unknown): Document {
  const d = isDict(x) ? x : {};
  const operations = (steps: unknown): Operation[] => list(steps).map(readOperation);
  return {
    version: 1,
    operations: operations(d.operations),
    past: list(d.past).map(operations),
    future: list(d.future).map(operations),
  };
}

export function writeDocument(doc: Document): unknown {
  const operations = (ops: Operation[]): unknown[] => ops.map(writeOperation);
  return {
    version: 1,
    operations: operations(doc.operations),
    past: doc.past.map(operations),
    future: doc.future.map(operations),
  };
}

function row(x: Dict): ObservationRow {
  return { index: num(x.index, -1), id: str(x.id), question: str(x.question), answer: strOrNull(x.answer), level: strOrNull(x.level) };
}

export const readObservations = (x: unknown): ObservationRow[] => list(x).filter(isDict).map(row);

export function readObservation(x: unknown): Observation | null {
  if (!isDict(x) || Object.keys(x).length === 0) return null;
  return {
    ...row(x),
    context: str(x.context),
    width: num(x.width, 0),
    height: num(x.height, 0),
    image_presets: strings(x.image_presets),
    context_presets: strings(x.context_presets),
  };
}

export function readInputs(x: unknown): Inputs | null {
  if (!isDict(x) || typeof x.question !== "string") return null;
  return {
    context: str(x.context),
    question: x.question,
    truth: strOrNull(x.truth),
    image_preset: str(x.image_preset, "natural"),
    context_preset: strOrNull(x.context_preset),
    key: str(x.key),
  };
}

export function readPreview(x: unknown): Preview | null {
  if (!isDict(x)) return null;
  const data = bytes(x.data);
  const [width, height] = [num(x.width, 0), num(x.height, 0)];
  if (!data?.byteLength || width <= 0 || height <= 0) return null;
  return {
    data,
    width,
    height,
    image_width: num(x.image_width, width),
    image_height: num(x.image_height, height),
    key: str(x.key),
  };
}

export const LIMITS = {
  samples: { low: 1, high: 1000, step: 1 },
  temperature: { low: 0.05, high: 5, step: 0.05 },
  seed: { low: 0, high: 2 ** 31 - 1, step: 1 },
  max_new_tokens: { low: 1, high: 2048, step: 1 },
} as const;

export function readSettings(x: unknown): Settings {
  const d = isDict(x) ? x : {};
  return {
    samples: num(d.samples, 10),
    temperature: num(d.temperature, 0.9),
    seed: num(d.seed, 0),
    max_new_tokens: num(d.max_new_tokens, 64),
    strict: d.strict === true,
  };
}

export function readStatus(x: unknown): Status {
  const d = isDict(x) ? x : {};
  const state = d.state === "running" || d.state === "cancelling" ? d.state : "idle";
  return {
    state,
    id: strOrNull(d.id),
    what: strings(d.what),
    stage: str(d.stage),
    done: num(d.done, 0),
    total: num(d.total, 0),
    queued: num(d.queued, 0),
  };
}

export function readFailure(x: unknown): Failure | null {
  if (!isDict(x) || typeof x.message !== "string" || x.message === "") return null;
  return { message: x.message, hint: str(x.hint), id: strOrNull(x.id) };
}

export function readModel(x: unknown): ModelInfo {
  const d = isDict(x) ? x : {};
  return {
    name: str(d.name, str(d.model_id)),
    note: str(d.note),
    device: str(d.device),
    parameters: isNumber(d.parameters) || typeof d.parameters === "string" ? d.parameters : null,
  };
}

function readAnswer(x: unknown): AnswerView | null {
  if (!isDict(x) || typeof x.text !== "string") return null;
  const yesNo = isDict(x.yes_no) ? x.yes_no : null;
  return {
    text: x.text,
    correct: typeof x.correct === "boolean" ? x.correct : null,
    tokens: list(x.tokens)
      .filter(isDict)
      .map((t) => ({ text: str(t.text), logprob: num(t.logprob, 0) })),
    yes_no: yesNo && isNumber(yesNo.yes) && isNumber(yesNo.no) ? { yes: yesNo.yes, no: yesNo.no, rest: num(yesNo.rest, 0) } : null,
  };
}

function readUncertainty(x: unknown): UncertaintyView | null {
  if (!isDict(x)) return null;
  const entropy = (e: Dict): EntropyView | null =>
    isNumber(e.value)
      ? {
          name: str(e.name),
          label: str(e.label, str(e.name)),
          value: e.value,
          low: numOrNull(e.low),
          high: numOrNull(e.high),
          maximum: numOrNull(e.maximum),
          unit: str(e.unit),
          definition: str(e.definition),
        }
      : null;
  const cluster = (c: Dict, i: number): ClusterView => ({
    id: num(c.id, i),
    name: str(c.name),
    count: num(c.count, 0),
    probability: num(c.probability, 0),
    answers: list(c.answers)
      .filter(isDict)
      .map((a) => ({ text: str(a.text), count: num(a.count, 1) })),
  });
  return {
    samples: num(x.samples, 0),
    temperature: num(x.temperature, 0),
    entropies: list(x.entropies).filter(isDict).map(entropy).filter(present),
    clusters: list(x.clusters).filter(isDict).map(cluster),
  };
}

function readAttention(x: unknown): AttentionView | null {
  if (!isDict(x) || !isDict(x.absolute)) return null;
  return {
    segments: strings(x.segments),
    absolute: shares(x.absolute),
    relative: shares(x.relative),
    token_counts: shares(x.token_counts),
    modality_dominance_index: numOrNull(x.modality_dominance_index),
    by_layer: list(x.by_layer).map(shares),
  };
}

export function readTrial(x: unknown): Trial | null {
  if (!isDict(x) || !isNumber(x.id) || !isDict(x.view)) return null;
  const v = x.view;
  return {
    id: x.id,
    key: str(x.key),
    thumbnail: bytes(x.thumbnail),
    view: {
      question: str(v.question),
      context: str(v.context),
      image_preset: str(v.image_preset, "natural"),
      context_preset: strOrNull(v.context_preset),
      truth: strOrNull(v.truth),
      operations: list(v.operations).map(readOperation),
      model: str(v.model),
      settings: isDict(v.settings) ? v.settings : {},
      seconds: isDict(v.seconds) ? v.seconds : {},
      code: str(v.code),
      answer: readAnswer(v.answer),
      uncertainty: readUncertainty(v.uncertainty),
      attention: readAttention(v.attention),
    },
  };
}

export const readTrials = (x: unknown): Trial[] => list(x).map(readTrial).filter(present);

export function readMessage(x: unknown): Incoming | null {
  if (!isDict(x)) return null;
  const id = strOrNull(x.id);
  switch (x.kind) {
    case "progress":
      return id === null ? null : { kind: "progress", id, stage: str(x.stage), done: num(x.done, 0), total: num(x.total, 0) };
    case "result":
      return id === null || !isNumber(x.trial) ? null : { kind: "result", id, trial: x.trial };
    case "error":
      return { kind: "error", id, message: str(x.message, "The kernel reported an error."), hint: str(x.hint) };
    case "code":
      return id === null || typeof x.text !== "string" ? null : { kind: "code", id, text: x.text };
    default:
      return null;
  }
}
