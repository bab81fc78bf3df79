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

type Linear = [number, number, number, number];

/** How an element and everything around it is turned and scaled by CSS: a vector (x, y) as laid out is shown as (a x + c y, b x + d y). `zoom` is not in it. */
function turned(element: Element): Linear {
  let [a, b, c, d]: Linear = [1, 0, 0, 1];
  const within = ([p, q, r, s]: Linear): Linear => [p * a + r * b, q * a + s * b, p * c + r * d, q * c + s * d];
  for (let one: Element | null = element; one; one = one.assignedSlot ?? one.parentElement ?? (one.getRootNode() as Partial<ShadowRoot>).host ?? null) {
    const { transform, rotate, scale } = getComputedStyle(one);
    const [p = 1, q = 0, r = 0, s = 1] = /^matrix\(([^)]*)\)$/.exec(transform)?.[1]?.split(",").map(Number) ?? [];
    [a, b, c, d] = within([p, q, r, s]);
    const [across = 1, down = across] = /^[\d. ]+$/.test(scale) ? scale.trim().split(/ +/).map(Number) : [];
    [a, b, c, d] = within([across, 0, 0, down]);
    const angle = (Number(/^(-?[\d.]+)deg$/.exec(rotate)?.[1] ?? 0) * Math.PI) / 180;
    [a, b, c, d] = within([Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle)]);
  }
  return [a, b, c, d];
}

const upright = ([a, b, c, d]: Linear): boolean => Math.abs(b) + Math.abs(c) < 1e-6 && a > 0 && d > 0;

/** Where a pointer is in such an element, in pixels as laid out, from its top left corner; also where the page is turned or mirrored. */
export function pointIn(element: Element | null, { clientX, clientY }: { clientX: number; clientY: number }): Point {
  if (!element) return [clientX, clientY];
  const box = element.getBoundingClientRect();
  const [a, b, c, d] = turned(element);
  if (upright([a, b, c, d])) {
    const [across, down] = shownScale(element, box);
    return [(clientX - box.left) / across, (clientY - box.top) / down];
  }
  // The middle of the upright box round it is its own middle.
  const style = getComputedStyle(element);
  const [wide, high] = [Number.parseFloat(style.width), Number.parseFloat(style.height)];
  const zoom = box.width / (Math.abs(a) * wide + Math.abs(c) * high) || 1;
  const [x, y] = [(clientX - (box.left + box.right) / 2) / zoom, (clientY - (box.top + box.bottom) / 2) / zoom];
  const whole = a * d - b * c || 1;
  return [wide / 2 + (d * x - c * y) / whole, high / 2 + (a * y - b * x) / whole];
}

/** The same as shares of its width and height, 0 to 1 within it. */
export function shareIn(element: Element, event: { clientX: number; clientY: number }): Point {
  const box = element.getBoundingClientRect();
  if (upright(turned(element))) return [(event.clientX - box.left) / (box.width || 1), (event.clientY - box.top) / (box.height || 1)];
  const [x, y] = pointIn(element, event);
  const { width, height } = getComputedStyle(element);
  return [x / (Number.parseFloat(width) || 1), y / (Number.parseFloat(height) || 1)];
}
