// Readers: each takes anything that the kernel may have sent and gives its type, or null; none of them throws.
// `shape` builds a reader for a record from one for each field. Pure, as protocol.ts.
import type {
  AnswerView,
  Arrow,
  AttentionView,
  Box,
  Choice,
  ClusterView,
  ContextChoice,
  Document,
  Ellipse,
  EntropyView,
  Failure,
  ImageChoice,
  Incoming,
  Inputs,
  Line,
  ModelEntry,
  ModelInfo,
  Noise,
  Observation,
  ObservationRow,
  Operation,
  Point,
  Preview,
  QuestionChoice,
  Region,
  Settings,
  Shares,
  Status,
  Text,
  Trial,
  TrialView,
  UncertaintyView,
} from "./protocol";


type Reader<T> = (x: unknown) => T;
type Dict = Record<string, unknown>;

const isDict = (x: unknown): x is Dict => typeof x === "object" && x !== null && !Array.isArray(x);
const isNumber = (x: unknown): x is number => typeof x === "number" && Number.isFinite(x);
const present = <T>(x: T | null): x is T => x !== null;
const tuple = (x: unknown, n: number): boolean => Array.isArray(x) && x.length === n && x.every(isNumber);

const number: Reader<number | null> = (x) => (isNumber(x) ? x : null);
const string: Reader<string | null> = (x) => (typeof x === "string" || isNumber(x) ? String(x) : null);
const num = (otherwise: number): Reader<number> => (x) => number(x) ?? otherwise;
const str = (otherwise: string): Reader<string> => (x) => string(x) ?? otherwise;
const text = str("");
const zero = num(0);
const flag: Reader<boolean | null> = (x) => (typeof x === "boolean" ? x : null);
const dict: Reader<Dict> = (x) => (isDict(x) ? x : {});
const many = <T>(read: Reader<T | null>): Reader<T[]> => (x) => (Array.isArray(x) ? x.map((y) => read(y)).filter(present) : []);
const strings = many((x) => (typeof x === "string" ? x : null));
const shares: Reader<Shares> = (x) => Object.fromEntries(Object.entries(dict(x)).filter((e): e is [string, number] => isNumber(e[1])));

type Fields<T> = { [K in keyof T]-?: Reader<T[K]> };
const fields = <T>(spec: Fields<T>, x: Dict): T => {
  const result: Dict = {};
  for (const key in spec) result[key] = spec[key](x[key]);
  return result as T;
};
/** Null unless x is a record that `fit` accepts. */
const shape = <T>(spec: Fields<T>, fit: (x: Dict) => boolean = () => true): Reader<T | null> => (x) => (isDict(x) && fit(x) ? fields(spec, x) : null);
/** Always a record: what is missing gets the fields' own defaults. */
const filled = <T>(spec: Fields<T>): Reader<T> => (x) => fields(spec, dict(x));

function bytes(x: unknown): Uint8Array<ArrayBuffer> | null {
  if (x instanceof ArrayBuffer) return new Uint8Array(x);
  if (ArrayBuffer.isView(x)) return new Uint8Array(x.buffer as ArrayBuffer, x.byteOffset, x.byteLength);
  return null;
}

const is = <T>(x: T): Reader<T> => () => x;
const as = <T>(): Reader<T> => (x) => x as T;
const maybe = as<string>(); // a string or absent: whoever uses it has checked

const extended = {
  x: zero,
  y: zero,
  width: zero,
  height: zero,
  color: str("#000000"),
  fill: (x: unknown) => x !== false,
  line_width: num(3),
};
const stroked = { start: as<Point>(), end: as<Point>(), color: str("#000000"), width: num(2) };
const numbers = (...names: string[]) => (x: Dict) => names.every((name) => isNumber(x[name]));
const points = (x: Dict): boolean => tuple(x.start, 2) && tuple(x.end, 2);
const region: Reader<Region | null> = (x) => (tuple(x, 4) ? (x as Region) : null);

const OPERATIONS: Record<string, Reader<Operation | null>> = {
  box: shape<Box>({ op: is("box"), ...extended }, numbers("x", "y", "width", "height")),
  ellipse: shape<Ellipse>({ op: is("ellipse"), ...extended }, numbers("x", "y", "width", "height")),
  line: shape<Line>({ op: is("line"), ...stroked }, points),
  arrow: shape<Arrow>({ op: is("arrow"), ...stroked }, points),
  text: shape<Text>(
    { op: is("text"), x: zero, y: zero, text, size: num(16), color: str("#000000") },
    (x) => numbers("x", "y")(x) && typeof x.text === "string",
  ),
  noise: shape<Noise>(
    { op: is("noise"), sigma: num(0.2), seed: zero, region },
    (x) => numbers("sigma")(x) && (x.region == null || region(x.region) !== null),
  ),
  image: (x) => choice(shape<ImageChoice>({ op: is("image"), preset: text, seed: number, image: maybe }, (d) => typeof d.preset === "string")(x)),
  context: (x) =>
    choice(
      shape<ContextChoice>(
        { op: is("context"), text: maybe, preset: string, seed: number },
        (d) => typeof d.text === "string" || typeof d.preset === "string",
      )(x),
    ),
  question: shape<QuestionChoice>({ op: is("question"), text }, (x) => typeof x.text === "string"),
};

/** Without the key that was not there: a preset may come without its text, an image without its checksum. */
function choice<T extends Choice>(x: T | null): T | null {
  return x && (Object.fromEntries(Object.entries(x).filter(([, value]) => value !== undefined)) as T);
}

export function readOperation(x: unknown): Operation {
  const name = string(dict(x).op) ?? "unknown";
  const read = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  return read?.(x) ?? { op: "foreign", name, raw: x };
}

/** The JSON that is sent: a foreign operation goes back as it came. */
export function writeOperation(op: Operation): unknown {
  return op.op === "foreign" ? op.raw : op;
}

const operations = many<Operation>(readOperation);

export const readDocument = filled<Document>({ version: is(1), operations, past: many(operations), future: many(operations) });

export function writeDocument(doc: Document): unknown {
  const write = (ops: Operation[]): unknown[] => ops.map(writeOperation);
  return { version: 1, operations: write(doc.operations), past: doc.past.map(write), future: doc.future.map(write) };
}

const row = { index: num(-1), id: text, question: text, answer: string, level: string };

export const readObservations = many(shape<ObservationRow>(row));

export const readObservation = shape<Observation>(
  { ...row, context: text, width: zero, height: zero, image_presets: strings, context_presets: strings },
  (x) => Object.keys(x).length > 0,
);

export const readInputs = shape<Inputs>(
  { context: text, question: text, truth: string, image_preset: str("natural"), context_preset: string, key: text },
  (x) => typeof x.question === "string",
);

const readRawPreview = shape<Omit<Preview, "data"> & { data: Preview["data"] | null }>({
  data: bytes,
  width: zero,
  height: zero,
  image_width: zero,
  image_height: zero,
  key: text,
});

export function readPreview(x: unknown): Preview | null {
  const p = readRawPreview(x);
  if (!p?.data?.length || p.width <= 0 || p.height <= 0) return null;
  return { ...p, data: p.data, image_width: p.image_width || p.width, image_height: p.image_height || p.height };
}

export const readSettings = filled<Settings>({
  samples: num(10),
  temperature: num(0.9),
  seed: zero,
  max_new_tokens: num(64),
  strict: (x) => x === true,
});

export const readStatus = filled<Status>({
  state: (x) => (x === "running" || x === "cancelling" ? x : "idle"),
  id: string,
  what: strings,
  stage: text,
  note: text,
  done: zero,
  total: zero,
  queued: zero,
});

const failure = { message: text, hint: text, id: string };

export const readFailure = shape<Failure>(failure, (x) => typeof x.message === "string" && x.message !== "");

export const readModel = filled<ModelInfo>({
  name: text,
  note: text,
  device: text,
  parameters: as<ModelInfo["parameters"]>(),
  quantization: string,
  label: text,
  unavailable: (x) => Object.fromEntries(Object.entries(dict(x)).map(([key, why]) => [key, String(why)])),
});

const readEntry = shape<ModelEntry>(
  { name: text, family: text, parameters: zero, licence: text, memory: shares },
  (x) => typeof x.name === "string",
);

const readAnswer = shape<AnswerView>(
  {
    text,
    correct: flag,
    finished: flag,
    tokens: many(shape({ text, logprob: number })),
    yes_no: shape({ yes: zero, no: zero, rest: zero }, numbers("yes", "no")),
  },
  (x) => typeof x.text === "string",
);

const readUncertainty = shape<UncertaintyView>({
  samples: zero,
  temperature: zero,
  caveats: strings,
  entropies: many(
    shape<EntropyView>(
      { name: text, label: text, value: zero, low: number, high: number, maximum: number, unit: text, definition: text },
      numbers("value"),
    ),
  ),
  clusters: many(
    shape<ClusterView>({ id: zero, name: text, count: zero, probability: number, answers: many(shape({ text, count: num(1) })) }),
  ),
});

const readAttention = shape<AttentionView>(
  { segments: strings, absolute: shares, relative: shares, token_counts: shares, modality_dominance_index: number, by_layer: many(shares) },
  (x) => isDict(x.absolute),
);

const readView = filled<TrialView>({
  question: text,
  context: text,
  image_preset: str("natural"),
  context_preset: string,
  truth: string,
  operations,
  model: text,
  settings: dict,
  seconds: dict,
  code: text,
  notes: strings,
  answer: readAnswer,
  uncertainty: readUncertainty,
  attention: readAttention,
});

export const readTrial = shape<Trial>({ id: zero, key: text, thumbnail: bytes, view: readView }, (x) => isNumber(x.id) && isDict(x.view));

export const readTrials = many(readTrial);

const MESSAGES: Record<string, Reader<Incoming | null>> = {
  progress: shape({ kind: is("progress"), id: text, stage: text, done: zero, total: zero }),
  result: shape({ kind: is("result"), id: text, trial: num(-1) }, numbers("trial")),
  error: shape({ kind: is("error"), ...failure, message: str("The kernel reported an error.") }),
  code: shape({ kind: is("code"), id: text, text }, (x) => typeof x.text === "string"),
  editor: shape({ kind: is("editor"), id: is(null), text }, (x) => typeof x.text === "string"),
  partial: shape({ kind: is("partial"), id: text, answer: string, samples: strings }),
  models: shape({ kind: is("models"), id: is(null), models: many(readEntry), free: number, held: zero, device: text }),
};

export function readMessage(x: unknown): Incoming | null {
  const kind = string(dict(x).kind) ?? "";
  return Object.hasOwn(MESSAGES, kind) ? (MESSAGES[kind]?.(x) ?? null) : null;
}
