import { describe, expect, it } from "vitest";
import { choiceOf, commit, EMPTY, isShort, news, PAST_LIMIT, patched, pictured, redo, same, undo, withChoice } from "../src/document";
import type { Box, Document, Operation } from "../src/protocol";

const box = (x: number): Box => ({ op: "box", x, y: 0, width: 1, height: 1, color: "#000000", fill: true, line_width: 3 });

/** Small seeded generator: the same walks every time. */
function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
}

describe("a mask in a step", () => {
  const masked = (runs: number): Operation => ({ op: "blur", radius: 2, region: { mask: { size: [runs, 1], runs: Array<number>(runs).fill(1), feather: 0 } } });

  it("is equal by content, and counts as long as its runs", () => {
    expect(same(masked(6), masked(6))).toBe(true);
    expect(same(masked(6), masked(7))).toBe(false);
    expect(isShort(commit(commit(EMPTY, [masked(3000)]), []))).toBe(true);
    expect(isShort(commit(commit(EMPTY, [masked(5000)]), []))).toBe(false);
  });
});

describe("steps", () => {
  it("keeps past and future and clears the future on a new step", () => {
    const one = commit(EMPTY, [box(1)]);
    const two = commit(one, [box(1), box(2)]);
    expect(two.past).toEqual([
      { at: 0, remove: 1, insert: [] },
      { at: 1, remove: 1, insert: [] },
    ]);
    const back = undo(two);
    expect(back.operations).toEqual([box(1)]);
    expect(back.future).toEqual([{ at: 1, remove: 0, insert: [box(2)] }]);
    expect(commit(back, [box(3)]).future).toEqual([]);
  });

  it("is no step when nothing changes", () => {
    const doc = commit(EMPTY, [box(1)]);
    expect(commit(doc, [{ ...box(1) }])).toBe(doc);
    expect(undo(EMPTY)).toBe(EMPTY);
    expect(redo(EMPTY)).toBe(EMPTY);
  });

  it("joins merged steps into one", () => {
    const doc = commit(commit(commit(EMPTY, [box(1)]), [box(2)]), [box(3)], true);
    expect(doc.past).toHaveLength(2);
    expect(undo(doc).operations).toEqual([box(1)]);
  });

  it("are as small as what they change", () => {
    const many = Array.from({ length: 50 }, (_, i) => box(i));
    const moved = many.map((b, i) => (i === 20 ? box(99) : b));
    expect(commit({ ...EMPTY, operations: many }, moved).past).toEqual([{ at: 20, remove: 1, insert: [box(20)] }]);
  });

  it("caps the past", () => {
    let doc: Document = EMPTY;
    for (let i = 0; i < PAST_LIMIT + 20; i++) doc = commit(doc, [box(i)]);
    expect(doc.past).toHaveLength(PAST_LIMIT);
    for (let i = 0; i < PAST_LIMIT; i++) doc = undo(doc);
    expect(doc.operations).toEqual([box(19)]);
    expect(undo(doc)).toBe(doc);
  });

  it("undo and redo are inverse along random walks, and never change what they are given", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const next = random(seed);
      let doc: Document = EMPTY;
      for (let i = 0; i < 30; i++) {
        const before = structuredClone(doc);
        const frozen = doc;
        const dice = next();
        const some = doc.operations.filter(() => next() < 0.7);
        doc = dice < 0.3 ? commit(doc, [...doc.operations, box(i)]) : dice < 0.5 ? commit(doc, [box(i), ...some.reverse()]) : dice < 0.8 ? undo(doc) : redo(doc);
        expect(frozen).toEqual(before);
        if (doc.past.length > 0) expect(redo(undo(doc))).toEqual(doc);
        if (doc.future.length > 0) expect(undo(redo(doc))).toEqual(doc);
      }
    }
  });
});

/** A document of so many gestures, each of which moves the one box. */
function after(gestures: number): Document {
  let doc: Document = EMPTY;
  for (let i = 0; i < gestures; i++) doc = commit(doc, [box(i)]);
  return doc;
}

describe("what travels", () => {
  const apply = (known: Document, now: Document): Document => {
    const { kept, ...rest } = news(known, now);
    return patched(known, rest, kept);
  };

  it("is what was added, and makes the document again", () => {
    const known = after(200);
    for (const [now, past, future] of [
      [commit(known, [box(1), box(2)]), 1, 0],
      [undo(undo(known)), 0, 2],
      [commit(undo(known), [box(7)]), 1, 0],
      [commit(known, [box(7)], true), 1, 0],
      [redo(undo(known)), 1, 0],
      [known, 0, 0],
    ] as const) {
      const part = news(known, now);
      expect([part.past.length, part.future.length]).toEqual([past, future]);
      expect(apply(known, now)).toEqual(now);
    }
  });

  it("is what was added to a past that is full", () => {
    const known = after(PAST_LIMIT);
    const now = commit(commit(known, [box(1), box(2)]), [box(3)]);
    expect(news(known, now).past).toHaveLength(2);
    expect(apply(known, now)).toEqual(now);
  });

  it("is right along random walks", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const next = random(seed);
      let known = after(5);
      let now = known;
      for (let i = 0; i < 30; i++) {
        const dice = next();
        now = dice < 0.4 ? commit(now, [...now.operations, box(i)], next() < 0.2) : dice < 0.7 ? undo(now) : redo(now);
        if (next() < 0.5) expect(apply(known, now)).toEqual(now);
        if (next() < 0.3) known = now;
      }
    }
  });

  it("is everything of a short history without long steps", () => {
    expect(isShort(after(32))).toBe(true);
    expect(isShort(after(33))).toBe(false);
    const points = Array.from({ length: 5000 }, (_, i): [number, number] => [i, i]);
    const mask: Operation = { op: "polygon", points, color: "#000000", fill: true, line_width: 3 };
    expect(isShort(commit(commit(EMPTY, [mask]), []))).toBe(false);
  });
});

describe("choices", () => {
  const context = (text: string): Operation => ({ op: "context", text, preset: null, seed: null });

  it("the last one of a kind decides, and replaces the others", () => {
    const ops = [context("a"), box(1), context("b")];
    expect(choiceOf(ops, "context")).toEqual(context("b"));
    expect(withChoice(ops, "context", { op: "context", text: "c", preset: null })).toEqual([box(1), { op: "context", text: "c", preset: null }]);
    expect(withChoice(ops, "context", null)).toEqual([box(1)]);
    expect(choiceOf([box(1)], "image")).toBeNull();
  });

  it("texts do not change the picture", () => {
    expect(pictured([context("a"), box(1), { op: "question", text: "?" }])).toEqual([box(1)]);
  });
});

describe("same", () => {
  it("compares by content; null and absent are the same", () => {
    expect(same({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] })).toBe(true);
    expect(same({ a: null }, {})).toBe(true);
    expect(same({ a: 0 }, {})).toBe(false);
    expect(same([1, 2], [1])).toBe(false);
    expect(same([], {})).toBe(false);
    expect(same(new Uint8Array([1, 2]), new Uint8Array([1, 2]))).toBe(true);
    expect(same(new Uint8Array([1, 2]), new Uint8Array([1, 3]))).toBe(false);
  });
});
