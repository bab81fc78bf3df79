// What the kernel sends of a study, as types and their readers. Pure.
import type { StillOutput } from "../kept";
import { dict, filled, many, num, number, shape, str, text, zero, type Reader } from "../readers";

export const readWhole = zero;
export const readStill = shape<StillOutput>({ number: zero, data: dict }, (x) => x.kind === "still");

export interface Title {
  conditions: number;
  observations: number;
  seeds: number;
  models: number;
  data: string;
  store: string;
}

export interface Progress {
  state: "waiting" | "running" | "finished" | "cancelled" | "failed" | "opened";
  done: number;
  total: number;
  failed: number;
  unjudged: number;
  seconds: number;
  rate: number | null;
  left: number | null;
  note: string;
  error: string;
  stopping: boolean;
  /** this kernel can compute the rows that are missing */
  resumable: boolean;
}

/** A measure, in words and with the end of its bars. */
export interface Column {
  name: string;
  label: string;
  unit: string;
  definition: string;
  scale: number;
  segment: string;
  /** it depends on the comparison of the answers' meanings */
  meanings: boolean;
}

export interface Cell {
  value: number;
  low: number | null;
  high: number | null;
  /** rows that have a value; null: unknown */
  count: number | null;
}

/** All rows of one model and one condition. */
export interface Group {
  model: string;
  condition: string;
  rows: number;
  failed: number;
  unjudged: number;
  cells: (Cell | null)[];
  /** accuracy of the most frequent true answer, always given */
  majority: number | null;
  /** of the questions of yes or no: how often yes is true, and how much more often the model says it */
  yes: number | null;
  bias: number | null;
  /** rows whose answers could not be compared reliably */
  doubtful: number;
}

export interface Table {
  columns: Column[];
  groups: Group[];
  /** what the intervals are; "": there are none yet */
  intervals: string;
}

/** A condition against the baseline, the same observations in both. */
export interface Difference {
  model: string;
  condition: string;
  value: number;
  low: number | null;
  high: number | null;
  /** adjusted for the number of conditions */
  p: number | null;
  pairs: number;
}

export interface Point {
  level: number;
  value: number;
  low: number | null;
  high: number | null;
}

export interface Curve {
  model: string;
  group: string;
  parameter: string;
  points: Point[];
}

export interface Plot {
  column: Column;
  differences: Difference[];
  curves: Curve[];
}

export interface Plots {
  baseline: string;
  plots: Plot[];
  /** how p-values and intervals were made */
  note: string;
}

export interface Failure {
  kind: string;
  reason: string;
  rows: number;
  first: number;
}

export interface Failures {
  reasons: Failure[];
  others: number;
}

export const VERDICTS = ["all", "right", "wrong", "unjudged", "failed"] as const;
export type Verdict = (typeof VERDICTS)[number];

/** Which rows are shown, in which order. */
export interface Query {
  model: string;
  condition: string;
  verdict: Verdict;
  sort: string;
  descending: boolean;
  start: number;
}

export interface Row {
  row: number;
  model: string;
  condition: string;
  observation: string;
  question: string;
  seed: number;
  answer: string;
  truth: string;
  verdict: Verdict;
  /** why it failed, or why it is not judged */
  reason: string;
  /** why its entropies may be wrong: the answers could not be compared reliably */
  doubt: string;
  /** of the columns of the page */
  values: (number | null)[];
}

export interface Page {
  query: Query;
  rows: Row[];
  columns: Column[];
  /** rows that the query finds */
  total: number;
  /** rows before this page */
  start: number;
  /** the same without the verdict, by verdict */
  counts: Record<Verdict, number>;
  size: number;
}

export interface Opened {
  /** −1: none */
  row: number;
  state: "" | "opening" | "open" | "error";
  message: string;
}

export interface Problem {
  message: string;
  hint: string;
}

const STATES: readonly Progress["state"][] = ["waiting", "running", "finished", "cancelled", "failed", "opened"];
const oneOf = <T extends string>(names: readonly T[], otherwise: T): Reader<T> => (x) => names.find((name) => name === x) ?? otherwise;
/** Also where something is missing: places of a list keep their meaning. */
const places = <T>(read: Reader<T | null>): Reader<(T | null)[]> => (x) => (Array.isArray(x) ? x.map(read) : []);
const yes: Reader<boolean> = (x) => x === true;

export const readTitle = filled<Title>({ conditions: zero, observations: zero, seeds: zero, models: zero, data: text, store: text });
export const readProgress = filled<Progress>({
  state: oneOf(STATES, "waiting"),
  done: zero,
  total: zero,
  failed: zero,
  unjudged: zero,
  seconds: zero,
  rate: number,
  left: number,
  note: text,
  error: text,
  stopping: yes,
  resumable: yes,
});

const readColumn = filled<Column>({ name: text, label: text, unit: text, definition: text, scale: num(1), segment: text, meanings: yes });
const readCell = shape<Cell>({ value: zero, low: number, high: number, count: number }, ({ value }) => number(value) !== null);
const readGroup = filled<Group>({ model: text, condition: text, rows: zero, failed: zero, unjudged: zero, cells: places(readCell), majority: number, yes: number, bias: number, doubtful: zero });
export const readTable = filled<Table>({ columns: many(readColumn), groups: many(readGroup), intervals: text });

const readDifference = shape<Difference>({ model: text, condition: text, value: zero, low: number, high: number, p: number, pairs: zero }, ({ value }) => number(value) !== null);
const readPoint = shape<Point>({ level: zero, value: zero, low: number, high: number }, ({ level, value }) => number(level) !== null && number(value) !== null);
const readCurve = filled<Curve>({ model: text, group: text, parameter: text, points: many(readPoint) });
const readPlot = filled<Plot>({ column: readColumn, differences: many(readDifference), curves: many(readCurve) });
export const readPlots = filled<Plots>({ baseline: text, plots: many(readPlot), note: text });

const readFailure = filled<Failure>({ kind: text, reason: text, rows: zero, first: num(-1) });
export const readFailures = filled<Failures>({ reasons: many(readFailure), others: zero });

const readVerdict = oneOf(VERDICTS, "all");
export const readQuery = filled<Query>({ model: text, condition: text, verdict: readVerdict, sort: str("row"), descending: yes, start: zero });
const readRow = filled<Row>({
  row: num(-1),
  model: text,
  condition: text,
  observation: text,
  question: text,
  seed: zero,
  answer: text,
  truth: text,
  verdict: readVerdict,
  reason: text,
  doubt: text,
  values: places(number),
});
const readCounts: Reader<Record<Verdict, number>> = (x) => Object.fromEntries(VERDICTS.map((verdict) => [verdict, zero(dict(x)[verdict])])) as Record<Verdict, number>;
export const readPage = filled<Page>({ query: readQuery, rows: many(readRow), columns: many(readColumn), total: zero, start: zero, counts: readCounts, size: num(25) });
export const readOpened = filled<Opened>({ row: num(-1), state: oneOf(["", "opening", "open", "error"] as const, ""), message: text });
export const readProblem: Reader<Problem | null> = shape<Problem>({ message: text, hint: text }, ({ message }) => text(message) !== "");

