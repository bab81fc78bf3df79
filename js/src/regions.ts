// Regions: where an effect or an edit acts. A rectangle, a polygon, a mask, or (null) the whole image. Pure.
import { around, distanceToOutline, holds, within, type Rect } from "./geometry";
import { boxOf, covers } from "./masks";
import type { Mask, Point, Rectangle, Region } from "./protocol";

export const isRectangle = (region: Region): region is Rectangle => Array.isArray(region) && region.length === 4 && typeof region[0] === "number";

/** The points of a region that is a polygon. */
export const polygonOf = (region: Region): Point[] | null => (Array.isArray(region) && !isRectangle(region) ? region : null);

/** The mask of a region that is one. */
export const maskOf = (region: Region): Mask | null => (region && "mask" in region ? region.mask : null);

export const rectangle = ([x, y, width, height]: Rectangle): Rect => ({ x, y, width, height });

/** The smallest rectangle around a region; null for the whole image. */
export function regionBox(region: Region): Rect | null {
  if (!region) return null;
  if ("mask" in region) return boxOf(region.mask);
  return isRectangle(region) ? rectangle(region) : around(region);
}

/** The same on whole pixels, as the kernel rounds it. */
export function wholeBox(region: Region): Rect | null {
  const box = regionBox(region);
  if (!box) return null;
  const [x, y] = [Math.round(box.x), Math.round(box.y)];
  return { x, y, width: Math.round(box.x + box.width) - x, height: Math.round(box.y + box.height) - y };
}

/** Whether a point is in a region, or no farther than `by` from it. */
export function touches(region: Region, p: Point, by: number): boolean {
  const mask = maskOf(region);
  if (mask) return onMask(mask, p, by);
  const points = polygonOf(region);
  if (points) return within(points, p) || distanceToOutline(points, p) <= by;
  const box = regionBox(region);
  return box !== null && holds(box, p, by);
}

/** Whether a point, or one of those around it, is on a mask: a thin one can be hit. */
const onMask = (mask: Mask, [x, y]: Point, by: number): boolean => [[0, 0], [by, 0], [-by, 0], [0, by], [0, -by]].some(([dx = 0, dy = 0]) => covers(mask, [x + dx, y + dy]));
