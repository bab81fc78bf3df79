// Below the picture: how large it is shown, what of it, and the pixel under the pointer.
import { live, useSignal, useSignalEffect } from "../live";
import { inside } from "../geometry";
import type { Point } from "../protocol";
import { askColor } from "../state/kernel";
import type { Showing } from "../state/screen";
import { fitted, zoom } from "../state/zooming";
import { useView } from "../view";
import { Button } from "./parts";

const VIEWS: [Showing, string, string][] = [
  ["after", "after", "The picture as the model sees it"],
  ["before", "before", "The picture without what is drawn (hold \\)"],
  ["swipe", "swipe", "Before and after, with a divider to drag"],
  ["difference", "difference", "What the drawings have changed; black: no change"],
];

/** Milliseconds of rest before the colour below the pointer is requested from the kernel. */
const REST = 120;

export const ViewBar = live(function ViewBar() {
  const { screen, store } = useView();
  const image = store.image.value;
  const why = !image && "there is no image yet";
  return (
    <div class="isi-viewbar" data-testid="viewbar">
      <div class="isi-group" role="group" aria-label="Zoom">
        <Button test="zoom-out" label="Smaller (-)" icon="minus" kind="bare" why={why} onClick={() => zoom(screen, 0.8)} />
        <Button test="zoom-actual" label="100 %: one pixel of the image is one of the screen (1)" text={`${Math.round(100 * screen.transform.value.scale)} %`} kind="bare" why={why} onClick={() => zoom(screen, 1 / screen.transform.value.scale)} />
        <Button test="zoom-in" label="Larger (+)" icon="plus" kind="bare" why={why} onClick={() => zoom(screen, 1.25)} />
        <Button
          test="zoom-fit"
          label="The whole image (0)"
          text="fit"
          kind="bare"
          why={why || (!screen.zoomed.value && "it is all in view")}
          onClick={() => fitted(screen)}
        />
      </div>
      <div class="isi-toggles" role="group" aria-label="What is shown">
        {VIEWS.map(([name, text, label]) => (
          <Button key={name} test={`show-${name}`} label={label} text={text} kind="bare" why={why} pressed={screen.showing.value === name} onClick={() => (screen.showing.value = name)} />
        ))}
      </div>
    </div>
  );
});

/** Place and colour of the pixel under the pointer, in pixels of the original image: the colour is the kernel's, not the screen's. */
export const Pixel = live(function Pixel() {
  const { screen, store } = useView();
  const color = useSignal<{ at: string; color: string } | null>(null);
  const timer = useSignal<ReturnType<typeof setTimeout> | undefined>(undefined);
  const image = store.image.value;
  const cursor = screen.cursor.value;
  const pixel = cursor && image && cursor[0] >= 0 && cursor[1] >= 0 && cursor[0] < image.width && cursor[1] < image.height ? (inside(cursor, image).map(Math.floor) as Point) : null;
  useSignalEffect(() => {
    const point = screen.cursor.value;
    const picture = store.picture.value?.key ?? "";
    clearTimeout(timer.peek());
    if (!point || screen.live.value) return;
    timer.value = setTimeout(() => {
      const size = store.image.value;
      if (!size || point[0] < 0 || point[1] < 0 || point[0] >= size.width || point[1] >= size.height) return;
      const [x, y] = point.map(Math.floor) as Point;
      askColor(store, x, y, (found) => (color.value = { at: `${x},${y} ${picture}`, color: found }));
    }, REST);
  });
  const known = pixel && color.value?.at === `${pixel.join()} ${store.picture.value?.key ?? ""}` ? color.value.color : null;
  const { scale, x, y } = screen.transform.value;
  const { width, height } = screen.viewport.value;
  const near = cursor !== null && cursor[0] * scale + x > width / 2 && cursor[1] * scale + y < height / 2;
  return (
    <span class="isi-pixel isi-muted" data-testid="pixel" data-corner={near ? "left" : "right"}>
      {pixel && `${pixel[0]}, ${pixel[1]}`}
      {known && <span class="isi-dot" style={{ background: known }} />}
      {known}
    </span>
  );
});
