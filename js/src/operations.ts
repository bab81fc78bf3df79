// What travels between kernel and page of the input: the operations, and the document that lists them. Types only; what each means is in the kernel's stimulus/.

export type Point = [number, number];
export type Rectangle = [x: number, y: number, width: number, height: number];
/** Any set of pixels of an image of this size: lengths of runs outside, inside, outside, ... row by row; the first may be 0. */
export interface Mask {
  size: [width: number, height: number];
  runs: number[];
  /** width of the soft edge around it, px */
  feather: number;
}
/** Where an effect acts: null is the whole image; three points or more are a polygon. */
export type Region = Rectangle | Point[] | { mask: Mask } | null;

/** Present only where they are not at their default. */
interface Common {
  /** not rendered */
  hidden?: true;
  /** not to be grabbed on the page */
  locked?: true;
}
interface Turned {
  /** degrees, clockwise as seen, about the centre of the extent */
  angle?: number;
}
export interface Box extends Common, Turned {
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
export interface Polygon extends Common {
  op: "polygon";
  points: Point[];
  color: string;
  fill: boolean;
  line_width: number;
}
export interface Line extends Common {
  op: "line";
  start: Point;
  end: Point;
  color: string;
  width: number;
}
export interface Arrow extends Omit<Line, "op"> {
  op: "arrow";
  label?: string;
  /** of the label, px; absent: 16 */
  size?: number;
}
export interface Text extends Common, Turned {
  op: "text";
  x: number;
  y: number;
  text: string;
  size: number;
  color: string;
}
interface Effect extends Common {
  region: Region;
}
export interface Noise extends Effect {
  op: "noise";
  sigma: number;
  seed: number;
}
export interface Blur extends Effect {
  op: "blur";
  radius: number;
}
export interface Pixelate extends Effect {
  op: "pixelate";
  size: number;
}
export interface Erase extends Effect {
  op: "erase";
  /** "mean", "inpaint" or a colour */
  fill: string;
}
/** A piece of an image, pasted: of the image itself (null) or of another one, by its checksum. */
export interface CopiedPatch extends Common {
  op: "patch";
  image: string | null;
  source: Rectangle;
  x: number;
  y: number;
  width: number;
  height: number;
}
/** The place that a thing has left is in-painted by the kernel, which writes the pixels (their checksum) and what they belong to into the operation. */
interface HoleEdit extends Common {
  region: Region;
  inpainter?: string;
  prompt?: string;
  seed?: number;
  pixels?: string;
  beneath?: string;
}
export interface Remove extends HoleEdit {
  op: "remove";
}
export interface Move extends HoleEdit {
  op: "move";
  /** new top left of the region's box */
  to: Point;
}
export interface Resize extends HoleEdit {
  op: "resize";
  /** of width and height, about the centre of the region's box */
  factor: number;
}
export interface Swap extends HoleEdit {
  op: "swap";
  other: Region;
}
export interface Mirror extends HoleEdit {
  op: "mirror";
  direction: "horizontal" | "vertical";
}
/** A part of a picture (by its checksum; null: the one that is edited), put to a place. */
export interface Insert extends Common {
  op: "insert";
  image: string | null;
  place: Point | Rectangle;
  source: Region;
  /** soft edge inside its outline, px */
  feather?: number;
}
export interface Recolor extends Common {
  op: "recolor";
  region: Region;
  color: string;
}
/** Null: the texture is of the picture that is edited. */
export interface Retexture extends Common {
  op: "retexture";
  region: Region;
  image: string | null;
  source: Region;
}
/** Edits of things of the picture: each acts on the picture as the operations before it left it. */
export type ObjectEdit = Remove | Move | Resize | Swap | Mirror | Insert | Recolor | Retexture;
export type Drawing = Box | Ellipse | Polygon | Line | Arrow | Text | Noise | Blur | Pixelate | Erase | CopiedPatch | ObjectEdit;

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

/** A splice: undo applies the last of the past to the operations, redo the first of the future. */
export interface Step {
  at: number;
  remove: number;
  insert: Operation[];
  /** the observation that it goes to, whose own document is the kernel's to bring back */
  observation?: number | null;
  /** the interventions inside the model that it goes to; absent: as they are */
  inside?: Intervention[];
}
/** One change inside the model, as the kernel writes it; inside.ts knows those that the panel makes. */
export interface Intervention {
  kind: string;
  [name: string]: unknown;
}
export interface Document {
  version: 1;
  operations: Operation[];
  /** interventions inside the model; absent: none */
  inside?: Intervention[];
  past: Step[];
  future: Step[];
}
/** Of a document whose history does not travel whole: which steps of the one that it starts from it keeps, past[i:j] and future[k:]. */
export type Kept = [i: number, j: number, k: number];
