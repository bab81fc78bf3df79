import Ajv2020 from "ajv/dist/2020";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DRAG_TOOLS, drawn } from "../src/shapes";
import * as a from "../src/answers";
import * as p from "../src/read";
import { offer, traits, trial } from "./fake";

const schema = JSON.parse(readFileSync("isi_widget/stimulus/schema.json", "utf8")) as Record<string, unknown>;
const ajv = new Ajv2020({ strict: false });
ajv.addSchema(schema, "stimulus");
const valid = ajv.compile({ $ref: "stimulus#/$defs/operation" });

const IMAGE = { width: 800, height: 600 };
const STYLE = { color: "#ff0000", fill: false, width: 3, size: 16, sigma: 0.2, radius: 8, block: 16, erase: "mean" };

const MADE: unknown[] = [
  ...DRAG_TOOLS.map((tool) => drawn(tool, [10, 10], [60, 70], IMAGE, STYLE, 7)),
  { op: "text", x: 1, y: 2, text: "a cat", size: 16, color: "#000000" },
  { op: "noise", sigma: 0.2, seed: 1, region: null },
  { op: "image", preset: "annotated", seed: null },
  { op: "image", preset: "random", seed: 12 },
  { op: "context", text: "", preset: "empty", seed: null },
  { op: "context", preset: "complementary", seed: null },
  { op: "context", preset: "random", seed: 3 },
  { op: "context", text: "free", preset: null, seed: null },
  { op: "question", text: "Is it?" },
];

describe("operations", () => {
  it("that the page makes are valid under the kernel's schema", () => {
    for (const op of MADE) expect(valid(op), `${JSON.stringify(op)} ${JSON.stringify(valid.errors)}`).toBe(true);
  });

  it("the schema is not satisfied by anything", () => {
    expect(valid({ op: "box", x: 1 })).toBe(false);
    expect(valid({ op: "hexagon" })).toBe(false);
  });

  it("come back as they went out", () => {
    for (const op of MADE) {
      const read = p.readOperation(op);
      expect(read.op).not.toBe("foreign");
      expect(p.writeOperation(read)).toEqual(op);
      expect(valid(p.writeOperation(read))).toBe(true);
    }
  });

  it("of a newer kernel are kept untouched", () => {
    const raw = { op: "polygon", points: [[0, 0], [1, 1]] };
    expect(p.readOperation(raw)).toEqual({ op: "foreign", name: "polygon", raw });
    expect(p.writeDocument(p.readDocument({ version: 1, operations: [raw], past: [{ at: 0, remove: 1, insert: [raw] }], future: [] }))).toEqual({ version: 1, operations: [raw], past: [{ at: 0, remove: 1, insert: [raw] }], future: [] });
  });

  it("with broken numbers are not drawn", () => {
    for (const bad of [
      { op: "box", x: NaN, y: 0, width: 1, height: 1 },
      { op: "box", x: "1", y: 0, width: 1, height: 1 },
      { op: "arrow", start: [0], end: [1, 1] },
      { op: "text", x: 0, y: 0, text: 5 },
      { op: "noise", sigma: 0.1, region: [0, 0, 1] },
      { op: "__proto__" },
      { op: "constructor" },
      null,
      7,
      [],
    ]) {
      expect(p.readOperation(bad).op, JSON.stringify(bad)).toBe("foreign");
    }
  });
});

describe("traits", () => {
  it("are read as they are", () => {
    const t = traits();
    expect(p.readObservations(t.observations)).toHaveLength(2);
    expect(p.readObservation(t.observation)?.context_presets).toContain("random");
    expect(p.readInputs(t.inputs)).toEqual({ ...(t.inputs as object), edit: null, stimulus: "", inside: [], truth_holds: true, warning: "" });
    expect(p.readSettings(t.settings)).toEqual(t.settings);
    expect(p.readStatus(t.status)).toEqual(t.status);
    expect(p.readModel(t.model)).toEqual({ ...(t.model as object), plain_label: "", layers: 0, heads: 0 });
    expect(p.readModel({ name: "old" })).toMatchObject({ name: "old", label: "", quantization: null, unavailable: {} });
    expect(p.readPreview(t.preview)).toMatchObject({ width: 400, image_width: 800 });
    expect(p.readPreview(t.preview)?.data).toBeInstanceOf(Uint8Array);
    expect(p.readTrial(trial())?.view.uncertainty?.clusters[1]?.answers[0]).toEqual({ text: "A star.", count: 3, probability: null });
  });

  it("of any other shape become nothing, never an exception", () => {
    const junk = [null, undefined, 0, "x", [], {}, [null], [[]], { data: 1 }, { view: 3 }, { id: 1, view: {} }, { operations: 5 }, { message: 3 }];
    for (const read of [p.readObservations, p.readObservation, p.readInputs, p.readPreview, p.readSettings, p.readStatus, p.readFailure, p.readModel, p.readTrial, p.readDocument, p.readMessage]) {
      for (const x of junk) expect(() => read(x)).not.toThrow();
    }
    expect(p.readPreview({ width: 1, height: 1, data: new Uint8Array() })).toBeNull();
    expect(p.readFailure({ message: "" })).toBeNull();
    expect([null, { id: "x" }].map(p.readTrial)).toEqual([null, null]);
  });
});

describe("answers", () => {
  it("of any other shape become nothing, never an exception", () => {
    const [buffer] = p.readBuffers([new Uint8Array([1])]) as [Uint8Array<ArrayBuffer>];
    for (const junk of [null, 5, "x", [], {}, { region: [1, 2] }, { indexes: 3 }, { number: "a" }, { text: 3 }]) {
      for (const read of [a.readColor, a.readOffer, a.readJudges, a.readTokens, a.readStill, p.readCode]) expect(() => read(junk)).not.toThrow();
      expect(a.readExcerpt(junk, [buffer])).toBeNull();
      expect([a.readHeat(junk, []), a.readFile(junk, [])]).toEqual([null, null]);
      expect(a.readThumbnails(junk, [buffer])).toEqual([]);
    }
    expect(a.readExcerpt({ region: [1, 2, 3, 4], key: "k" }, [buffer])).toEqual({ region: [1, 2, 3, 4], key: "k", data: buffer });
    expect(a.readExcerpt({ region: [1, 2, 3, 4], key: "k" }, [])).toBeNull();
    expect(a.readThumbnails({ indexes: [4, 7] }, [buffer, new Uint8Array()])).toEqual([[4, buffer], [7, null]]);
  });
});

describe("messages", () => {
  it("are known kinds or nothing", () => {
    expect(p.readMessage({ kind: "progress", id: "a", stage: "samples", done: 1, total: 3 })).toEqual({ kind: "progress", id: "a", stage: "samples", done: 1, total: 3 });
    expect(p.readMessage({ kind: "result", id: "a", trial: 4 })).toEqual({ kind: "result", id: "a", trial: 4 });
    expect(p.readMessage({ kind: "error", id: null, message: "m", hint: "h" })).toEqual({ kind: "error", id: null, message: "m", hint: "h" });
    const partial = { kind: "partial", id: "a", answer: null, samples: ["x", "y"] };
    expect(p.readMessage(partial)).toEqual(partial);
    expect(p.readMessage({ ...partial, answer: "Ye", samples: ["x", 5, null] })).toEqual({ ...partial, answer: "Ye", samples: ["x"] });
    expect(p.readMessage({ kind: "partial" })).toEqual({ kind: "partial", id: "", answer: null, samples: [] });
    expect(a.readOffer(offer())).toEqual(offer());
    expect(a.readOffer({ models: [null, {}, { name: 3 }, { name: "a", memory: { none: "much" } }], free: "?" })).toEqual({
      models: [{ name: "a", family: "", parameters: 0, licence: "", memory: {} }],
      free: null,
      held: 0,
      device: "",
    });
    expect(p.readMessage({ kind: "result", id: "a" })).toBeNull();
    expect(p.readMessage({ kind: "toString" })).toBeNull();
    expect(p.readMessage("x")).toBeNull();
  });
});
