// Zoom of one view. Part of the editor.
import { fit, zoomed } from "../geometry";
import type { Point } from "../protocol";
import type { Screen } from "./screen";

/** Larger or smaller by a factor, about a point of the stage; its middle if none is given. Returns whether there is a picture. */
export function zoom(screen: Screen, factor: number, at?: Point): boolean {
  const image = screen.store.image.value;
  if (!image) return false;
  const { width, height } = screen.viewport.value;
  screen.transform.value = zoomed(screen.transform.value, factor, at ?? [width / 2, height / 2], screen.viewport.value, image);
  screen.zoomed.value = true;
  return true;
}

/** Shows the whole image again. */
export function fitted(screen: Screen): void {
  const image = screen.store.image.value;
  if (image) screen.transform.value = fit(screen.viewport.value, image);
  screen.zoomed.value = false;
}
