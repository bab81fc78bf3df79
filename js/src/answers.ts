// Readers of the answers to what the editor asks: each takes anything, and gives its type or null. Pure, as read.ts; part of the editor.
import type { StillOutput } from "./kept";
import { dict, isDict, isMask, many, num, number, numbers, shape, shares, str, text, tuple, zero, type Reader } from "./read";
import type { Excerpt, Heat, Inpainter, JudgeEntry, Judges, KeptPicture, Mask, ModelEntry, Offer, Rectangle, Tokens } from "./protocol";
import type { Box } from "./inside";
import type { Buffers } from "./state/requests";

const named = (x: Record<string, unknown>): boolean => typeof x.name === "string";
const readEntry = shape<ModelEntry>({ name: text, family: text, parameters: zero, licence: text, memory: shares }, named);
const readJudge = shape<JudgeEntry>({ name: text, parameters: zero, download: zero, memory: zero, licence: text, languages: text, state: text }, named);

export const readOffer: Reader<Offer | null> = shape<Offer>({ models: many(readEntry), free: number, held: zero, device: text });
export const readJudges: Reader<Judges | null> = shape<Judges>({ models: many(readJudge), automatic: text });
export const readTokens: Reader<Tokens | null> = shape<Tokens>({ key: text, model: text, counts: (x) => (isDict(x) ? shares(x) : null), original: shares, problem: text });

/** Small pictures by the index of their observation; null: it has none that can be read. */
export const readThumbnails = (x: unknown, buffers: Buffers): [number, Buffers[number] | null][] =>
  many(number)(dict(x).indexes).map((index, i) => [index, buffers[i]?.length ? buffers[i] : null]);

export const readColor = (x: unknown): string | null => text(dict(x).color) || null;

export function readHeat(x: unknown, [layer]: Buffers): Heat | null {
  const { share, peak } = dict(x);
  return layer ? { share: zero(share), peak: zero(peak), layer } : null;
}

export function readExcerpt(x: unknown, [data]: Buffers): Excerpt | null {
  const { region, key } = dict(x);
  return data && tuple(region, 4) ? { region: region as Rectangle, key: text(key), data } : null;
}

/** What a search for an object found: its mask, and words for the person where that is a guess. */
export interface FoundMask {
  mask: Mask;
  note: string;
}
export const readMask = (x: unknown): FoundMask | null => {
  const { mask, note } = dict(x);
  return isMask(dict(x)) ? { mask: { ...(mask as Mask), feather: num(0)(dict(mask).feather) }, note: text(note) } : null;
};

export const readPicture = shape<KeptPicture>({ image: text, width: zero, height: zero }, (x) => typeof x.image === "string" && numbers("width", "height")(x));

const yes = (x: unknown): boolean => x === true;
const readInpainter = shape<Inpainter>({ name: text, title: text, quick: yes, prompt: yes }, named);
export const readInpainters = (x: unknown): Inpainter[] => many(readInpainter)(dict(x).inpainters);

export interface ExportedFile {
  name: string;
  type: string;
  data: Buffers[number];
}
export function readFile(x: unknown, [data]: Buffers): ExportedFile | null {
  const { name, type } = dict(x);
  return data ? { name: str("trials")(name), type: text(type), data } : null;
}

/** The folder in which the work is kept ("": none), why it is not, and what to know of what came back. */
export interface Kept {
  folder: string;
  problem: string;
  note: string;
}
export const readKept = (x: unknown): Kept => ({ folder: text(dict(x).folder), problem: text(dict(x).problem), note: text(dict(x).note) });

export const readStill = shape<StillOutput>({ number: num(0), data: dict }, (x) => numbers("number")(x) && isDict(x.data));

/** The words of each layer at the image tokens of a prompt, and (last) at its last token. */
export interface Lens {
  /** of the image tokens, in pixels of the image */
  boxes: Box[];
  vocabulary: string[];
  /** indexes into the vocabulary, best first, [tokens][layers][words] */
  words: number[][][];
  probabilities: number[][][];
  /** why it is not known where the image tokens lie; "": it is */
  unplaced: string;
}

const nested = many(many(many(number)));

export const readLens: Reader<Lens | null> = shape<Lens>({
  boxes: many((x) => (tuple(x, 4) ? (x as Box) : null)),
  vocabulary: many((x) => (typeof x === "string" ? x : null)),
  words: nested,
  probabilities: nested,
  unplaced: text,
});
