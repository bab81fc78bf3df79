// Screen and layout: a page may show the probe larger or smaller than it is laid out (a slide's `transform: scale`, CSS `zoom`, several of them one
// in another). `getBoundingClientRect` and pointer events count pixels as shown; styles, scroll positions and the stage count them as laid out.
import type { Point } from "./protocol";

/** Pixels as shown per pixel as laid out, across and down, of an element without border and padding; 1 where it has no size. */
export function shownScale(element: Element, box = element.getBoundingClientRect()): Point {
  // Used sizes with their fractions, which offsetWidth rounds.
  const { width, height } = getComputedStyle(element);
  const ratio = (shown: number, laidOut: number): number => (shown > 0 && laidOut > 0 ? shown / laidOut : 1);
  return [ratio(box.width, Number.parseFloat(width)), ratio(box.height, Number.parseFloat(height))];
}

/** Where a pointer is in such an element, in pixels as laid out, from its top left corner. */
export function pointIn(element: Element | null, { clientX, clientY }: { clientX: number; clientY: number }): Point {
  if (!element) return [clientX, clientY];
  const box = element.getBoundingClientRect();
  const [across, down] = shownScale(element, box);
  return [(clientX - box.left) / across, (clientY - box.top) / down];
}
