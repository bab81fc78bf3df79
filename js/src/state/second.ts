// An edit that needs two things (a swap, a texture taken from another place): the first one waits here until the second one is selected. Per screen. Part of the editor.
import { signal, type Signal } from "@preact/signals-core";
import type { Mask, ObjectEdit } from "../protocol";
import type { Screen } from "./screen";
import { selectionOf } from "./selection";

export interface Waiting {
  what: "swap" | "retexture";
  first: Mask;
  /** of the picture that both are of */
  picture: string | undefined;
}

const all = new WeakMap<Screen, Signal<Waiting | null>>();

function kept(screen: Screen): Signal<Waiting | null> {
  let found = all.get(screen);
  if (!found) all.set(screen, (found = signal(null)));
  return found;
}

const pictureOf = ({ store }: Screen): string | undefined => store.base.value?.key;

/** What waits for a second thing of the picture that is shown. */
export function waitingOf(screen: Screen): Waiting | null {
  const waiting = kept(screen).value;
  return waiting?.picture === pictureOf(screen) ? waiting : null;
}

/** Keeps the selected thing as the first one; the next one is to be selected. */
export function begin(screen: Screen, what: Waiting["what"], first: Mask): void {
  kept(screen).value = { what, first, picture: pictureOf(screen) };
  selectionOf(screen).clear();
  screen.setTool("segment");
  selectionOf(screen).mode.value = "box";
}

/** Returns whether something waited. */
export function giveUp(screen: Screen): boolean {
  const there = waitingOf(screen) !== null;
  kept(screen).value = null;
  return there;
}

/** Does it, with the thing that is selected now. */
export function complete(screen: Screen, second: Mask): void {
  const waiting = waitingOf(screen);
  if (waiting) finish(screen, waiting.what === "swap" ? { op: "swap", region: { mask: waiting.first }, other: { mask: selectionOf(screen).thing.value ?? second } } : { op: "retexture", region: { mask: waiting.first }, image: null, source: { mask: second } });
}

/** Retextures the first thing with a picture, by its checksum. */
export function completeWith(screen: Screen, image: string): void {
  const waiting = waitingOf(screen);
  if (waiting) finish(screen, { op: "retexture", region: { mask: waiting.first }, image, source: null });
}

function finish(screen: Screen, edit: ObjectEdit): void {
  kept(screen).value = null;
  selectionOf(screen).acted(edit);
}
