// Readers: each takes anything that the kernel may have sent and gives its type, or null; none of them throws.
// `shape` builds a reader for a record from one for each field. Pure, as protocol.ts.
import type { Incoming } from "./messages";
import type {
  AnswerView,
  Arrow,
  AttentionView,
  AveragesView,
  Blur,
  Box,
  ClusterView,
  ColumnView,
  ContextChoice,
  Contribution,
  CurveView,
  Document,
  Ellipse,
  EntropyView,
  Erase,
  Failure,
  ImageChoice,
  Inputs,
  InsideView,
  Intervention,
  Kept,
  Line,
  MeasureInfo,
  MeasureView,
  ModelInfo,
  Noise,
  ObjectEdit,
  Observation,
  ObservationRow,
  Operation,
  CopiedPatch,
  Pixelate,
  Point,
  Polygon,
  Preview,
  QuestionChoice,
  Rectangle,
  Region,
  Settings,
  Shares,
  Status,
  Step,
  Text,
  Told,
  Token,
  TraceView,
  Trial,
  TrialView,
  UncertaintyView,
  Usual,
} from "./protocol";
import { isDict, isNumber, tuple, number, string, num, str, text, zero, flag, dict, many, strings, shape, filled, type Dict, type Reader } from "./readers";

export * from "./readers";
export const shares: Reader<Shares> = (x) => Object.fromEntries(Object.entries(dict(x)).filter((e): e is [string, number] => isNumber(e[1])));

function bytes(x: unknown): Uint8Array<ArrayBuffer> | null {
  if (x instanceof ArrayBuffer) return new Uint8Array(x);
  if (ArrayBuffer.isView(x)) return new Uint8Array(x.buffer as ArrayBuffer, x.byteOffset, x.byteLength);
  return null;
}

export const readBuffers = many<Uint8Array<ArrayBuffer>>((x) => bytes(x) ?? new Uint8Array());

const is = <T>(x: T): Reader<T> => () => x;
const as = <T>(): Reader<T> => (x) => x as T;
const maybe = as<string>(); // a string or absent: its user has checked

const sized = { x: zero, y: zero, width: zero, height: zero };
const painted = { color: str("#000000"), fill: (x: unknown) => x !== false, line_width: num(3) };
const stroked = { start: as<Point>(), end: as<Point>(), color: str("#000000"), width: num(2) };
export const numbers = (...names: string[]) => (x: Dict) => names.every((name) => isNumber(x[name]));
const ends = (x: Dict): boolean => tuple(x.start, 2) && tuple(x.end, 2);
const isPolygon = (x: unknown): boolean => Array.isArray(x) && x.length > 2 && x.every((p) => tuple(p, 2));
/** Whether x has a mask whose runs are as many as its pixels. */
export function isMask({ mask }: Dict): boolean {
  const { size, runs } = dict(mask);
  if (!tuple(size, 2) || !Array.isArray(runs)) return false;
  const [width = 0, height = 0] = size as number[];
  return width > 0 && runs.every((run) => isNumber(run) && run >= 0) && (runs as number[]).reduce((sum, run) => sum + run, 0) === width * height;
}
const isRegion = (x: unknown): boolean => x == null || tuple(x, 4) || isPolygon(x) || (isDict(x) && isMask(x));
const region: Reader<Region> = (x) => (x ?? null) as Region; // its user has checked
const affected = (name: string) => (x: Dict) => isNumber(x[name]) && isRegion(x.region);
/** What a drawing has only where it is not at its default. */
const option = <T>(read: Reader<T | null>): Reader<T> => (x) => (read(x) ?? undefined) as T;
const yes = option((x) => (x === true ? x : null));
const common = { hidden: yes, locked: yes };
const angle = option((x) => number(x) || null);

const rectangular = numbers("x", "y", "width", "height");

/** As the kernel wrote it: what its place depends on is checked. */
const edit = (fit: (x: Dict) => boolean = () => true): Reader<ObjectEdit | null> => (x) => (isDict(x) && isRegion(x.region) && fit(x) ? (x as unknown as ObjectEdit) : null);

const OPERATIONS: Record<string, Reader<Operation | null>> = {
  box: shape<Box>({ op: is("box"), ...sized, ...painted, angle, ...common }, rectangular),
  ellipse: shape<Ellipse>({ op: is("ellipse"), ...sized, ...painted, angle, ...common }, rectangular),
  polygon: shape<Polygon>({ op: is("polygon"), points: as<Point[]>(), ...painted, ...common }, (x) => isPolygon(x.points)),
  line: shape<Line>({ op: is("line"), ...stroked, ...common }, ends),
  arrow: shape<Arrow>({ op: is("arrow"), ...stroked, label: option((x) => text(x) || null), size: option(number), ...common }, ends),
  text: shape<Text>(
    { op: is("text"), x: zero, y: zero, text, size: num(16), color: str("#000000"), angle, ...common },
    (x) => numbers("x", "y")(x) && typeof x.text === "string",
  ),
  noise: shape<Noise>({ op: is("noise"), sigma: num(0.2), seed: zero, region, ...common }, affected("sigma")),
  blur: shape<Blur>({ op: is("blur"), radius: zero, region, ...common }, affected("radius")),
  pixelate: shape<Pixelate>({ op: is("pixelate"), size: zero, region, ...common }, affected("size")),
  erase: shape<Erase>({ op: is("erase"), fill: text, region, ...common }, (x) => typeof x.fill === "string" && isRegion(x.region)),
  patch: shape<CopiedPatch>({ op: is("patch"), image: string, source: as<Rectangle>(), ...sized, ...common }, (x) => rectangular(x) && tuple(x.source, 4)),
  remove: edit(),
  move: edit((x) => tuple(x.to, 2)),
  resize: edit(numbers("factor")),
  swap: edit((x) => isRegion(x.other)),
  mirror: edit((x) => typeof x.direction === "string"),
  insert: edit((x) => isRegion(x.source) && (tuple(x.place, 2) || tuple(x.place, 4))),
  recolor: edit((x) => typeof x.color === "string"),
  retexture: edit((x) => isRegion(x.source)),
  image: shape<ImageChoice>({ op: is("image"), preset: text, seed: number, image: maybe }, (x) => typeof x.preset === "string"),
  context: shape<ContextChoice>(
    { op: is("context"), text: maybe, preset: string, seed: number },
    (x) => typeof x.text === "string" || typeof x.preset === "string",
  ),
  question: shape<QuestionChoice>({ op: is("question"), text }, (x) => typeof x.text === "string"),
};

export function readOperation(x: unknown): Operation {
  const name = string(dict(x).op) ?? "unknown";
  const read = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  const found = read?.(x);
  // A preset may come without its text, a box without an angle: without the key, too.
  return found ? (Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as unknown as Operation) : { op: "foreign", name, raw: x };
}

/** The JSON that is sent: a foreign operation goes back as it came. */
export function writeOperation(op: Operation): unknown {
  return op.op === "foreign" ? op.raw : op;
}

const operations = many<Operation>(readOperation);

const interventions = many<Intervention>((x) => (isDict(x) && typeof x.kind === "string" ? (x as Intervention) : null));
const inside = option((x) => (Array.isArray(x) ? interventions(x) : null));

const readStep = shape<Step>({ at: zero, remove: zero, insert: operations, observation: number, inside }, numbers("at", "remove"));

export const readDocument = filled<Document>({ version: is(1), operations, inside, past: many(readStep), future: many(readStep) });

/** Where a document does not come whole what it starts from, and the number that it has. */
export const readRevision = filled<{ kept: Kept | null; base: number | null; revision: number | null }>({
  kept: (x) => (tuple(x, 3) ? (x as Kept) : null),
  base: number,
  revision: number,
});

export function writeDocument(doc: Document): Dict {
  const write = ({ observation, ...step }: Step): unknown => ({ ...step, insert: step.insert.map(writeOperation), ...(observation != null && { observation }) });
  const { operations, inside, past, future } = doc;
  return { version: 1, operations: operations.map(writeOperation), ...(inside && { inside }), past: past.map(write), future: future.map(write) };
}

/** Null: it may not; absent in older records. */
const holds = (x: unknown): boolean => x !== null;

const row = { index: num(-1), id: text, question: text, answer: string, level: string, difficulty: string, own: (x: unknown) => x === true };

export const readObservations = many(shape<ObservationRow>(row));

export const readObservation = shape<Observation>(
  { ...row, context: text, width: zero, height: zero, image_presets: strings, context_presets: strings },
  (x) => Object.keys(x).length > 0,
);

export const readInputs = shape<Inputs>(
  { edit: number, context: text, question: text, truth: string, truth_holds: holds, image_preset: str("natural"), context_preset: string, key: text, stimulus: text, inside: strings, warning: text },
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

export const readSettings = (x: unknown): Settings =>
  Object.fromEntries(Object.entries(dict(x)).filter((e): e is [string, number | string | boolean] => isNumber(e[1]) || typeof e[1] === "string" || typeof e[1] === "boolean"));

export const readStatus = filled<Status>({
  state: (x) => (x === "running" || x === "cancelling" ? x : "idle"),
  id: string,
  measures: strings,
  stage: text,
  note: text,
  done: zero,
  total: zero,
  queued: zero,
});

export const readTool = str("select");
export const readNumbers = many(number);

const failure = { message: text, hint: text, id: string };

export const readFailure = shape<Failure>(failure, (x) => typeof x.message === "string" && x.message !== "");

export const readModel = filled<ModelInfo>({
  name: text,
  note: text,
  device: text,
  parameters: as<ModelInfo["parameters"]>(),
  quantization: string,
  label: text,
  plain_label: text,
  layers: zero,
  heads: zero,
  unavailable: (x) => Object.fromEntries(Object.entries(dict(x)).map(([key, why]) => [key, String(why)])),
});

const told = { text, logprob: number };

const readAnswer = shape<AnswerView>(
  {
    text,
    correct: flag,
    mark: text,
    judged: text,
    finished: flag,
    reasoning: text,
    tokens: many(shape<Token>({ ...told, alternatives: many(shape<Told>(told)) })),
    yes_no: shape({ yes: zero, no: zero, rest: zero }, numbers("yes", "no")),
  },
  (x) => typeof x.text === "string",
);

const line = many(number);

const readCurve = shape<CurveView>({ label: text, unit: text, samples: line, mean: line, low: line, high: line, scale: num(1), definition: text }, (x) => {
  const lines = [x.samples, x.mean, x.low, x.high];
  const n = Array.isArray(x.samples) ? x.samples.length : 0;
  return n > 1 && lines.every((values) => tuple(values, n));
});

const readUncertainty = shape<UncertaintyView>({
  samples: zero,
  temperature: zero,
  basis: text,
  caveats: strings,
  judge: filled({ label: text, doubts: strings }),
  scale_note: text,
  curve: readCurve,
  entropies: many(
    shape<EntropyView>(
      { name: text, label: text, value: zero, low: number, high: number, scale: num(1), unit: text, definition: text },
      numbers("value"),
    ),
  ),
  clusters: many(
    shape<ClusterView>({ id: zero, name: text, count: number, probability: number, answers: many(shape({ text, count: number, probability: number })) }),
  ),
});

/** [layers][heads] */
const heads = many((x) => (Array.isArray(x) && x.length > 0 && x.every(isNumber) ? x : null));

const readAttention = shape<AttentionView>(
  {
    segments: strings,
    absolute: shares,
    relative: shares,
    token_counts: shares,
    modality_dominance_index: number,
    by_layer: many(shares),
    by_head: heads,
    by_head_of: (x) => Object.fromEntries(Object.entries(dict(x)).map(([name, shares]) => [name, heads(shares)])),
    by_token: many(shares),
  },
  (x) => isDict(x.absolute),
);

const readUsual = shape<Usual>({ mean: zero, percentile: zero }, numbers("mean", "percentile"));

/** In the kernel's JSON the measures stand beside the rest, by name. */
const readAverages = (x: unknown): AveragesView | null => {
  if (!isDict(x)) return null;
  const measures: AveragesView["measures"] = {};
  for (const [name, value] of Object.entries(x)) {
    const usual = readUsual(value);
    if (usual) measures[name] = usual;
  }
  return { measures, attention_absolute: shares(x.attention_absolute), attention_relative: shares(x.attention_relative), note: text(x.note) };
};

const readColumn = shape<ColumnView>(
  {
    name: text,
    label: text,
    unit: text,
    value: (x) => (typeof x === "boolean" ? Number(x) : number(x)),
    text,
    interval: (x) => (tuple(x, 2) ? (x as [number, number]) : null),
    scale: (x) => (isNumber(x) && x > 0 ? x : null),
    definition: text,
  },
  (x) => typeof x.name === "string",
);

const readMeasure = shape<MeasureView>({ name: text, title: text, help: text, columns: many(readColumn) }, (x) => typeof x.name === "string");

export const readMeasures = many(
  shape<MeasureInfo>({ name: text, title: text, help: text, by_default: (x) => x !== false, unavailable: text }, (x) => typeof x.name === "string"),
);

const readView = filled<TrialView>({
  question: text,
  context: text,
  image_preset: str("natural"),
  context_preset: string,
  truth: string,
  truth_holds: holds,
  operations,
  model: text,
  interventions: text,
  intervention_lines: strings,
  settings: dict,
  seconds: dict,
  code: text,
  notes: strings,
  answer: readAnswer,
  uncertainty: readUncertainty,
  attention: readAttention,
  averages: readAverages,
  measures: many(readMeasure),
});

/** [rows][columns] */
const numbersOrNone = many((x) => (Array.isArray(x) ? x.map(number) : null));

const readInside = filled<InsideView>({
  contribution: shape<Contribution>({ values: numbersOrNone, unit: text, help: text, estimate: text, measured: zero }, (x) => numbersOrNone(x.values).some((line) => line.length > 0)),
});

export const readTrace = shape<TraceView>(
  { title: text, help: text, rows: strings, columns: strings, values: numbersOrNone, sentences: many(strings) },
  (x) => Array.isArray(x.values),
);

export const readTrial = shape<Trial>({ id: zero, key: text, stimulus: text, inside: readInside, thumbnail: bytes, view: readView }, (x) => isNumber(x.id) && isDict(x.view));

/** What is noted of trials, by their numbers. */
export const readNotes = (x: unknown): Partial<Record<string, string>> =>
  Object.fromEntries(Object.entries(dict(x)).filter((e): e is [string, string] => typeof e[1] === "string"));

export const readCode = (x: unknown): string | null => (isDict(x) && typeof x.text === "string" ? x.text : null);

const MESSAGES: Record<string, Reader<Incoming | null>> = {
  progress: shape({ kind: is("progress"), id: text, stage: text, done: zero, total: zero }),
  result: shape({ kind: is("result"), id: text, trial: num(-1) }, numbers("trial")),
  error: shape({ kind: is("error"), ...failure, message: str("The kernel reported an error.") }),
  notice: shape({ kind: is("notice"), id: is(null), message: text, hint: text }),
  partial: shape({ kind: is("partial"), id: text, answer: string, samples: strings }),
};

export function readMessage(x: unknown): Incoming | null {
  const kind = string(dict(x).kind) ?? "";
  return Object.hasOwn(MESSAGES, kind) ? (MESSAGES[kind]?.(x) ?? null) : null;
}
