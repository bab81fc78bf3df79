// What travels between kernel and page: the types. read.ts turns whatever arrives into these.
// Not for behaviour: nothing here knows the DOM, signals or the widget manager.
import type { Operation, Rectangle } from "./operations";

export type * from "./operations";

export interface ObservationRow {
  index: number;
  id: string;
  question: string;
  answer: string | null;
  level: string | null;
  /** grade of a built-in data set that has grades */
  difficulty: string | null;
  /** a picture of the user's own */
  own: boolean;
}
export interface Observation extends ObservationRow {
  context: string;
  width: number;
  height: number;
  image_presets: string[];
  context_presets: string[];
}
export interface Inputs {
  /** the last edit of the page that they are made from */
  edit: number | null;
  context: string;
  question: string;
  truth: string | null;
  /** false: what is drawn may have changed the right answer; the truth is that of the original picture */
  truth_holds: boolean;
  image_preset: string;
  context_preset: string | null;
  key: string;
  /** key of the stimulus alone: without what is changed inside the model */
  stimulus: string;
  /** what is changed inside the model, a line for each intervention of the document */
  inside: string[];
  /** message about it: letters that the font lacks; "": none */
  warning: string;
}
export interface Preview {
  data: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
  image_width: number;
  image_height: number;
  key: string;
}
export type SettingValue = number | string | boolean;
/** Of a run, by name; settings.ts knows what each is. */
export type Settings = Readonly<Record<string, SettingValue>>;
export interface Status {
  state: "idle" | "running" | "cancelling";
  id: string | null;
  measures: string[];
  stage: string;
  /** more on the stage, where there is more to say */
  note: string;
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
  quantization: string | null;
  /** name and quantisation, as trials name it */
  label: string;
  /** the same without interventions; "" in older records */
  plain_label: string;
  /** 0: nothing inside can be changed */
  layers: number;
  heads: number;
  /** measure -> why this model cannot give it */
  unavailable: Partial<Record<string, string>>;
}

/** A model that can be loaded; `memory` by quantisation, in bytes. */
export interface ModelEntry {
  name: string;
  family: string;
  parameters: number;
  licence: string;
  memory: Partial<Record<string, number>>;
}
/** The models to choose from. `held`: what the present model would leave on the device. */
export interface Offer {
  models: ModelEntry[];
  free: number | null;
  held: number;
  device: string;
}

/** An entailment model that can compare the meanings; sizes in bytes. */
export interface JudgeEntry {
  name: string;
  parameters: number;
  download: number;
  memory: number;
  licence: string;
  languages: string;
  /** "shipped", "loaded", "on disk", "to be downloaded" */
  state: string;
}
/** The entailment models to choose from. `automatic`: which of them "auto" takes now. */
export interface Judges {
  models: JudgeEntry[];
  automatic: string;
}

/** How many tokens the prompt has by segment, for the input with this key and the model with this label. */
export interface Tokens {
  key: string;
  model: string;
  /** null: not known */
  counts: Shares | null;
  /** of the texts that were replaced by hand */
  original: Shares;
  /** why the model would refuse the prompt; "" if it would not */
  problem: string;
}

/** A picture that the kernel keeps for an edit, by its checksum. */
export interface KeptPicture extends Record<"width" | "height", number> {
  image: string;
}

/** What can fill holes. `quick`: at once; else as a run that can be cancelled. */
export interface Inpainter {
  name: string;
  title: string;
  quick: boolean;
  /** it takes a text that describes the content */
  prompt: boolean;
}

/** What a run has said so far: the answer as it grows, and the samples that have ended, in the order in which they did. */
export interface Partly {
  id: string;
  answer: string | null;
  samples: string[];
}

/** What one answer token attended to: a PNG with alpha over the whole image, the share of its attention that the image had, and the density of
 *  attention that the fullest colour stands for; 1 is all of it, laid evenly over the picture. */
export interface Heat {
  share: number;
  peak: number;
  layer: Uint8Array<ArrayBuffer>;
}

/** A part of the picture in its own pixels, where the preview has too few: an encoded image. */
export interface Excerpt {
  region: Rectangle;
  /** of the picture that it is a part of */
  key: string;
  data: Uint8Array<ArrayBuffer>;
}

export const SEGMENTS = ["image", "context", "question", "other"] as const;
export type Segment = (typeof SEGMENTS)[number];
/** What a person changes. */
export const INPUTS = SEGMENTS.slice(0, 3);
export type Shares = Partial<Record<string, number>>;

/** A piece of text with its natural log-probability; null: not reported. */
export interface Told {
  text: string;
  logprob: number | null;
}
export interface Token extends Told {
  /** the most likely others in its place, best first; "" would have ended the answer */
  alternatives: Told[];
}
export interface AnswerView {
  text: string;
  correct: boolean | null;
  /** how it is judged, in a word and in full; empty where it is not */
  mark: string;
  judged: string;
  /** false: it was cut off at the largest number of tokens */
  finished: boolean | null;
  /** what a model behind a server wrote before its answer; never judged */
  reasoning: string;
  tokens: Token[];
  yes_no: { yes: number; no: number; rest: number } | null;
}
export interface EntropyView {
  name: string;
  label: string;
  value: number;
  low: number | null;
  high: number | null;
  /** the value at the end of its bar: the same in every trial */
  scale: number;
  unit: string;
  /** what it is, what its interval is, its largest value */
  definition: string;
}
export interface ClusterView {
  id: number;
  name: string;
  /** null: the answers were enumerated, each once */
  count: number | null;
  /** null: the answers were sampled; they are counted */
  probability: number | null;
  answers: { text: string; count: number | null; probability: number | null }[];
}
export interface CurveView {
  label: string;
  unit: string;
  samples: number[];
  mean: number[];
  low: number[];
  high: number[];
  /** the value at the top: that of the entropy's bar */
  scale: number;
  definition: string;
}
export interface UncertaintyView {
  samples: number;
  temperature: number;
  /** what the numbers come from, in words; "" in older records */
  basis: string;
  entropies: EntropyView[];
  clusters: ClusterView[];
  /** who compared the meanings, and why not to rely on it */
  judge: { label: string; doubts: string[] };
  /** as it would have come out of fewer of the same answers; null where there are too few */
  curve: CurveView | null;
  caveats: string[];
  /** where the bars end */
  scale_note: string;
}
export interface AttentionView {
  segments: string[];
  absolute: Shares;
  relative: Shares;
  token_counts: Shares;
  modality_dominance_index: number | null;
  by_layer: Shares[];
  /** share of the image, [layers][heads] */
  by_head: number[][];
  /** of context and question */
  by_head_of: Partial<Record<string, number[][]>>;
  /** shares of each answer token */
  by_token: Shares[];
}
/** Mean over a data set, and where the trial stands in it, 0 to 100. */
export interface Usual {
  mean: number;
  percentile: number;
}
/** What is usual for the model: of each entropy by its name and of the number of clusters, and of the shares of attention. */
export interface AveragesView {
  measures: Partial<Record<string, Usual>>;
  attention_absolute: Shares;
  attention_relative: Shares;
  note: string;
}
/** A number or text of a measure that has no panel of its own. */
export interface ColumnView {
  name: string;
  label: string;
  unit: string;
  /** null: a text, or not available */
  value: number | null;
  /** as it is shown, without its unit */
  text: string;
  interval: [low: number, high: number] | null;
  /** the value at the end of its bar, the same in every trial; null: no bar */
  scale: number | null;
  definition: string;
}
export interface MeasureView {
  name: string;
  title: string;
  help: string;
  columns: ColumnView[];
}
export interface TrialView {
  question: string;
  context: string;
  image_preset: string;
  context_preset: string | null;
  truth: string | null;
  /** as of `Inputs` */
  truth_holds: boolean;
  operations: Operation[];
  model: string;
  /** What was changed inside the model, in a few words and line by line; empty for a plain one. */
  interventions: string;
  intervention_lines: string[];
  settings: Record<string, unknown>;
  seconds: Record<string, unknown>;
  code: string;
  notes: string[];
  answer: AnswerView | null;
  uncertainty: UncertaintyView | null;
  attention: AttentionView | null;
  averages: AveragesView | null;
  /** those without a panel of their own */
  measures: MeasureView[];
}
/** What each head does to the shown answer, [layers][heads]. */
export interface Contribution {
  /** null: the head was not reached before the run was cancelled */
  values: (number | null)[][];
  unit: string;
  /** what the numbers are and how they were measured, in a sentence */
  help: string;
  /** what is not measured, and how an estimate agrees with what is; "": all numbers are measured */
  estimate: string;
  /** heads measured by an exact run that was cancelled; 0: no run was */
  measured: number;
}
/** What was measured inside the model after the run. */
export interface InsideView {
  contribution: Contribution | null;
}
/** A trace between two trials: how much of their difference the states of a group of tokens carry, [layers][groups]. */
export interface TraceView {
  title: string;
  /** what a number is, in a sentence or two, and what the trace could not do */
  help: string;
  rows: string[];
  columns: string[];
  values: (number | null)[][];
  /** each cell in a sentence */
  sentences: string[][];
}
export interface Trial {
  id: number;
  key: string;
  /** key of the stimulus alone: without what was changed inside the model */
  stimulus: string;
  view: TrialView;
  inside: InsideView;
  thumbnail: Uint8Array<ArrayBuffer> | null;
}

/** Number of trials that the kernel sends, each in a trait of its own (`_entry_0`, ...): KEPT of widget/trials.py. */
export const PLACES = 50;

/** A measure that can be run, as the kernel lists it. */
export interface MeasureInfo {
  name: string;
  title: string;
  /** one sentence on what it is */
  help: string;
  /** "Run everything" has it */
  by_default: boolean;
  /** why the present model cannot give it; "": it can */
  unavailable: string;
}

export const FORMATS = ["json", "csv", "pdf", "html"] as const;
export type Format = (typeof FORMATS)[number];
