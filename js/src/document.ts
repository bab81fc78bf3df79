// The document: an ordered list of operations with its past and future. Pure functions; each gesture is one step.
// The kernel has the same functions in Python, so that undo from a cell and undo from the page mean the same.
import type { Choice, Document, Drawing, Intervention, Kept, Mask, Operation, Step } from "./protocol";

/** Largest number of steps that are kept. */
export const PAST_LIMIT = 10_000;
/** Steps that travel whole, and entries of their lists and characters of their texts. */
const SHORT = 32;
const LIGHT = 4000;

export const EMPTY: Document = { version: 1, operations: [], past: [], future: [] };

export function isDrawing(op: Operation): op is Drawing {
  return op.op !== "image" && op.op !== "context" && op.op !== "question" && op.op !== "foreign";
}

/** Equality by content; key order does not matter, null and absent are the same (the kernel writes nulls out). */
export function same(a: unknown, b: unknown): boolean {
  if (a === b || (a == null && b == null)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (Array.isArray(a) || a instanceof Uint8Array) {
    const [these, those] = [a as unknown[], b as unknown[]];
    return these.length === those.length && these.every((x, i) => same(x, those[i]));
  }
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    if (!same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])) return false;
  }
  return true;
}

/** The step that makes `after` of `before`: what lies between what they begin and end with alike. */
export function change(before: Operation[], after: Operation[]): Step {
  const shortest = Math.min(before.length, after.length);
  let start = 0;
  while (start < shortest && same(before[start], after[start])) start++;
  let end = 0;
  while (end < shortest - start && same(before.at(-1 - end), after.at(-1 - end))) end++;
  return { at: start, remove: before.length - start - end, insert: after.slice(start, after.length - end) };
}

const applied = (operations: Operation[], { at, remove, insert }: Step): Operation[] => [...operations.slice(0, at), ...insert, ...operations.slice(at + remove)];

/** What undo changes. */
type State = Pick<Document, "operations" | "inside">;

const state = (operations: Operation[], inside: Intervention[] | undefined): State => ({ operations, ...(inside?.length && { inside }) });
const after = ({ operations, inside }: State, step: Step): State => state(applied(operations, step), step.inside ?? inside);
/** The step from one state to another. */
const way = (from: State, to: State): Step => ({ ...change(from.operations, to.operations), ...(!same(from.inside, to.inside) && { inside: to.inside ?? [] }) });

/** One step forward. `merge` continues the last step (typing, nudging): undo then goes back to where that one began. */
export function commit(doc: Document, operations: Operation[], merge = false, inside = doc.inside): Document {
  const next = state(operations, inside);
  if (same(doc.operations, operations) && same(doc.inside, next.inside)) return doc;
  const latest = merge ? doc.past.at(-1) : undefined;
  const last = latest?.observation == null ? latest : undefined;
  const before = last ? after(doc, last) : doc;
  const past = [...(last ? doc.past.slice(0, -1) : doc.past), way(next, before)].slice(-PAST_LIMIT);
  return { version: 1, ...next, past, future: [] };
}

export function undo(doc: Document): Document {
  const last = doc.past.at(-1);
  if (!last) return doc;
  const before = after(doc, last);
  return { version: 1, ...before, past: doc.past.slice(0, -1), future: [way(before, doc), ...doc.future] };
}

export function redo(doc: Document): Document {
  const [next, ...future] = doc.future;
  if (!next) return doc;
  const then = after(doc, next);
  return { version: 1, ...then, past: [...doc.past, way(then, doc)].slice(-PAST_LIMIT), future };
}

/** Whether the whole history may travel with each gesture: few steps, and no long ones. */
export function isShort({ past, future }: Document): boolean {
  const steps = [...past, ...future];
  if (steps.length > SHORT) return false;
  const values = steps.flatMap((step) => [...step.insert, ...(step.inside ?? [])].flatMap((op) => Object.values(op) as ({ mask?: Mask; length?: number } | null)[]));
  return values.reduce((sum, value) => sum + (value?.mask?.runs.length ?? value?.length ?? 0), 0) <= LIGHT;
}

/** What makes `now` of `known`, which it was made from by gestures: its operations, and the steps that `known` does not have (see the kernel's document.py). */
export function news(known: Document, now: Document): Document & { kept: Kept } {
  // A full past has lost its first steps.
  const first = Math.max(0, known.past.indexOf(now.past[0] as Step));
  let end = Math.min(known.past.length, first + now.past.length);
  while (end > first && known.past[end - 1] !== now.past[end - 1 - first]) end--;
  let last = Math.min(known.future.length, now.future.length);
  while (last > 0 && known.future.at(-last) !== now.future.at(-last)) last--;
  return { ...now, past: now.past.slice(end - first), future: now.future.slice(0, now.future.length - last), kept: [first, end, known.future.length - last] };
}

/** `now`, of `known` and `news(known, now)`. */
export function patched(known: Document, { past, future, ...rest }: Document, [first, end, from]: Kept): Document {
  return { ...rest, past: [...known.past.slice(first, end), ...past].slice(-PAST_LIMIT), future: [...future, ...known.future.slice(from)] };
}

export const replaced = (ops: Operation[], index: number, op: Operation): Operation[] => ops.map((o, i) => (i === index ? op : o));

/** The operation that decides the image, context or question, if any: the last one of its kind. */
export function choiceOf<K extends Choice["op"]>(ops: Operation[], kind: K): Extract<Choice, { op: K }> | null {
  return (ops.findLast((o) => o.op === kind) as Extract<Choice, { op: K }> | undefined) ?? null;
}

/** Sets the image, context or question (or, with null, goes back to the observation's own). Earlier ones of the kind are dropped: they decide nothing. */
export function withChoice(ops: Operation[], kind: Choice["op"], choice: Choice | null): Operation[] {
  const rest = ops.filter((o) => o.op !== kind);
  return choice ? [...rest, choice] : rest;
}

/** What the picture depends on: everything but context and question. */
export const pictured = (ops: Operation[]): Operation[] => ops.filter((o) => o.op !== "context" && o.op !== "question");
