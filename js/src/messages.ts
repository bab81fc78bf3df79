// The messages between page and kernel: what the page asks, and what the kernel reports by itself. Types only.
import type { Format, Mask, Partly, Point, Rectangle, Settings } from "./protocol";

/** Where the kernel looks for an object: in a box, by strokes (this is of the object, or this is not) on what is selected, or by the colour at a point. */
export interface Sought {
  box: Rectangle | null;
  strokes: { object: boolean; points: Point[]; radius: number }[];
  mask: Mask | null;
  point: Point | null;
  /** of the colour, CIELAB */
  tolerance: number | null;
}

/** What the page asks of the kernel; requests.ts gives each an id, under which it is answered. */
export type Question =
  | { kind: "run"; measures: string[]; settings: Settings; plain?: true }
  | { kind: "cancel"; run: string }
  | { kind: "upload"; name: string; part: number; parts: number; keep?: true }
  | { kind: "picture"; observation: number | null }
  | { kind: "inpainters" | "complete" | "save" }
  | { kind: "undo" | "redo" | "history" }
  | { kind: "truth"; text: string }
  | { kind: "code"; trial?: number }
  | { kind: "conditions" | "models" | "judges" | "tokens" | "editor" | "font" | "still" }
  | { kind: "thumbnails"; indexes: number[] }
  | { kind: "reshuffle"; part: "image" | "context" }
  | { kind: "detail"; region: Rectangle; width: number }
  | { kind: "cut"; operation: number; observation: number }
  | { kind: "map"; trial: number; token: number }
  | { kind: "color"; x: number; y: number }
  | ({ kind: "segment" } & Sought)
  | { kind: "load"; name: string; quantization: string | null }
  | { kind: "judge"; name: string }
  | { kind: "restore" | "delete" | "lens"; trial: number }
  | { kind: "heads"; trial: number; exact?: boolean }
  | { kind: "trace"; clean: number; corrupt: number }
  | { kind: "note"; trial: number; text: string }
  | { kind: "export"; trials: number[]; format: Format };

/** Messages that the kernel sends by itself; `request` reads the answers. */
export type Incoming =
  | { kind: "progress"; id: string; stage: string; done: number; total: number }
  | { kind: "result"; id: string; trial: number }
  | { kind: "error"; id: string | null; message: string; hint: string }
  | { kind: "notice"; id: null; message: string; hint: string }
  | ({ kind: "partial" } & Partly);
