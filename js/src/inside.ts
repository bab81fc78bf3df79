// What the panel "Inside" changes in a model: gates of heads and cuts of attention, read from and written as interventions
// (isi_widget/interventions), and the rank correlation of its scatter plot. Pure.
import type { Intervention } from "./protocol";

export interface Head {
  layer: number;
  head: number;
}
/** What the output of a head is multiplied by, or what takes its place ("mean": the mean of the layer's other heads). */
export type Gate = number | string;

export const GROUPS = ["image", "context", "question"] as const;
export type Group = (typeof GROUPS)[number];
/** Who cannot read from a group that is cut off: every token outside of it, or only the token that predicts the answer, and the answer itself. */
export type Reader = "all" | "answer";
export interface Cuts {
  groups: Group[];
  reader: Reader;
  /** first and last layer, counted from 0; null: all */
  layers: [number, number] | null;
}
export interface Inside {
  /** set in Python, of kinds that the panel does not make */
  others: Intervention[];
  /** gates of all heads at once, [layers][heads] (`HeadGates`); null: none. A head with a factor other than 1 here has no gate of its own. */
  matrix: readonly (readonly number[])[] | null;
  gates: ReadonlyMap<string, Intervention>;
  cuts: Cuts;
}

/** In the order in which the kernel writes groups of tokens. */
const READERS = [...GROUPS, "template", "system", "history", "last", "answer"];
const readersOf = (group: Group, reader: Reader): string[] => (reader === "answer" ? ["last", "answer"] : READERS.filter((name) => name !== group));

export const at = ({ layer, head }: Head): string => `${layer},${head}`;
const place = (item: Intervention): Head | null => (typeof item.layer === "number" && typeof item.head === "number" ? { layer: item.layer, head: item.head } : null);

const alike = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** A cut as the panel makes it; null for any other. */
function cutOf(item: Intervention): Cuts | null {
  const group = GROUPS.find((name) => name === item.keys);
  if (item.kind !== "knockout" || !group || item.heads != null) return null;
  const reader = (["all", "answer"] as const).find((name) => alike(item.queries, readersOf(group, name)));
  const layers = Array.isArray(item.layers) ? (item.layers as number[]) : null;
  const [first = 0, last = 0] = [layers?.[0], layers?.at(-1)];
  if (!reader || (layers && layers.length !== last - first + 1)) return null;
  return { groups: [group], reader, layers: layers && [first, last] };
}

const factorsOf = (item: Intervention): number[][] | null => (item.kind === "head_gates" && Array.isArray(item.factors) ? (item.factors as number[][]) : null);
const headOf = (item: Intervention): Head | null => (item.kind === "head_scale" || item.kind === "head_replace" ? place(item) : null);

/** Layers in which the order of the gates matters, and is not the one that the panel writes: the mean of the other heads sees what was changed before it. */
function unordered(list: readonly Intervention[]): Set<number> {
  const found = new Set<number>();
  const last = new Map<number, number>();
  const means = new Set<unknown>(list.flatMap((item) => (item.kind === "head_replace" ? [item.layer] : [])));
  for (const item of list) {
    const head = headOf(item);
    const changed = head ? [head] : (factorsOf(item) ?? []).flatMap((row, layer) => (row.some((factor) => factor !== 1) ? [{ layer, head: -1 }] : []));
    for (const one of changed) {
      if (means.has(one.layer) && one.head < (last.get(one.layer) ?? -1)) found.add(one.layer);
      last.set(one.layer, one.head);
    }
  }
  return found;
}

/** Whether no head has both a gate of its own and a factor among those of all heads. */
const apart = (factors: number[][], gates: ReadonlyMap<string, Intervention>): boolean =>
  [...gates.values()].every((item) => {
    const head = place(item);
    return !head || (factors[head.layer]?.[head.head] ?? 1) === 1;
  });

export function readInside(list: readonly Intervention[]): Inside {
  const others: Intervention[] = [];
  const gates = new Map<string, Intervention>();
  const odd = unordered(list);
  let matrix: number[][] | null = null;
  let cuts: Cuts = { groups: [], reader: "all", layers: null };
  for (const item of list) {
    const head = headOf(item);
    const cut = cutOf(item);
    const first = cuts.groups.length === 0;
    const factors = factorsOf(item);
    if (factors && !matrix && apart(factors, gates)) matrix = factors;
    else if (head && !odd.has(head.layer) && !gates.has(at(head)) && (matrix?.[head.layer]?.[head.head] ?? 1) === 1) gates.set(at(head), item);
    else if (cut && (first || (cut.reader === cuts.reader && alike(cut.layers, cuts.layers) && !cuts.groups.some((group) => cut.groups.includes(group))))) cuts = { ...cut, groups: [...cuts.groups, ...cut.groups] };
    else others.push(item);
  }
  return { others, matrix, gates, cuts };
}

/** In one order, whatever the order of the clicks: equal changes are equal lists. */
export function writeInside({ others, matrix, gates, cuts }: Inside): Intervention[] {
  const sorted = [...gates.values()].sort((a, b) => Number(a.layer) - Number(b.layer) || Number(a.head) - Number(b.head));
  const layers = cuts.layers && Array.from({ length: cuts.layers[1] - cuts.layers[0] + 1 }, (_, i) => (cuts.layers?.[0] ?? 0) + i);
  const cut = GROUPS.filter((group) => cuts.groups.includes(group)).map((group) => ({ kind: "knockout", version: 1, queries: readersOf(group, cuts.reader), keys: group, ...(layers && { layers }) }));
  return [...others, ...(matrix ? [{ kind: "head_gates", version: 1, factors: matrix }] : []), ...sorted, ...cut];
}

/** The gate of a head; 1 where it is as it was. */
export function gateOf(inside: Inside, head: Head): Gate {
  const item = inside.gates.get(at(head));
  if (!item) return inside.matrix?.[head.layer]?.[head.head] ?? 1;
  return item.kind === "head_scale" ? Number(item.factor) : typeof item.by === "string" ? item.by : "mean";
}

/** Sets the gate of some heads; 1 takes it away. Gates of all heads at once stay one intervention, in which the factor is changed. */
export function withGate(inside: Inside, heads: readonly Head[], gate: Gate): Inside {
  const gates = new Map(inside.gates);
  const factors = inside.matrix?.map((row) => [...row]);
  for (const head of heads) {
    const row = factors?.[head.layer];
    const within = row?.[head.head] !== undefined;
    if (row && within) row[head.head] = typeof gate === "number" ? gate : 1;
    if (gate === 1 || (within && typeof gate === "number")) gates.delete(at(head));
    else if (typeof gate === "number") gates.set(at(head), { kind: "head_scale", version: 1, ...head, factor: gate });
    else gates.set(at(head), { kind: "head_replace", version: 1, ...head, ...(gate !== "mean" && { by: gate }) });
  }
  return { ...inside, matrix: factors?.flat().some((factor) => factor !== 1) ? factors : null, gates };
}

/** In a few words, as the kernel calls them beside a trial; "": nothing is changed. */
export function summary({ others, matrix, gates, cuts }: Inside): string {
  const heads = gates.size + (matrix?.flat().filter((factor) => factor !== 1).length ?? 0);
  return [heads > 0 && `${heads} head${heads > 1 ? "s" : ""} changed`, cuts.groups.length > 0 && "attention cut", others.length > 0 && `${others.length} set in Python`].filter(Boolean).join(", ");
}

/** All heads between two corners. */
export function between(from: Head, to: Head): Head[] {
  const span = (a: number, b: number): number[] => Array.from({ length: Math.abs(a - b) + 1 }, (_, i) => Math.min(a, b) + i);
  return span(from.layer, to.layer).flatMap((layer) => span(from.head, to.head).map((head) => ({ layer, head })));
}

/** Mean ranks of equal numbers. */
function ranks(values: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return values.map((value) => (sorted.indexOf(value) + sorted.lastIndexOf(value)) / 2);
}

/** Spearman's rank correlation, with mean ranks for ties; null where one of the two is constant. */
export function rankCorrelation(xs: readonly number[], ys: readonly number[]): number | null {
  const [a, b] = [ranks(xs), ranks(ys)];
  const mean = (a.length - 1) / 2;
  const product = (u: number[], v: number[]): number => u.reduce((sum, x, i) => sum + (x - mean) * ((v[i] ?? 0) - mean), 0);
  const scale = Math.sqrt(product(a, a) * product(b, b));
  return scale > 0 ? product(a, b) / scale : null;
}

// ---- the lens

export type Box = readonly [left: number, top: number, right: number, bottom: number];

/** The smallest box at a point; -1: none. */
export function boxAt(boxes: readonly Box[], [x, y]: readonly [number, number]): number {
  const area = ([left, top, right, bottom]: Box): number => (right - left) * (bottom - top);
  return boxes.reduce((best, box, i) => {
    const [left, top, right, bottom] = box;
    const inside = left <= x && x < right && top <= y && y < bottom;
    return inside && (best < 0 || area(box) < area(boxes[best] as Box)) ? i : best;
  }, -1);
}

/** The next box in a direction, by its middle; the same where there is none. */
export function boxBeside(boxes: readonly Box[], index: number, [dx, dy]: readonly [number, number]): number {
  const middle = ([left, top, right, bottom]: Box): [number, number] => [(left + right) / 2, (top + bottom) / 2];
  const here = boxes[index];
  if (!here) return index;
  const [x, y] = middle(here);
  let best = index;
  let least = Infinity;
  boxes.forEach((box, i) => {
    const [u, v] = middle(box);
    const along = (u - x) * dx + (v - y) * dy;
    const aside = Math.abs((u - x) * dy) + Math.abs((v - y) * dx);
    if (along > 1e-6 && aside <= along && along + 2 * aside < least) [best, least] = [i, along + 2 * aside];
  });
  return best;
}
