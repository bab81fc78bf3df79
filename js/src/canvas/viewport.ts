// Position of the picture on the stage: fitted into its frame, zoomed by wheel; the visible part is requested in full resolution when the view rests.
import type { ReadonlySignal } from "@preact/signals-core";
import { useEffect, useRef } from "preact/hooks";
import { fit, held, inside } from "../geometry";
import { useSignal, useSignalEffect } from "../live";
import { pointIn } from "../pointer";
import type { Point, Rectangle } from "../protocol";
import { askDetail } from "../state/kernel";
import { decode, type Detail } from "../state/picture";
import { ignore } from "../state/requests";
import { zoom } from "../state/zooming";
import { observeSize, useView } from "../view";
import { densityOf, SQUARES } from "./painting";

/** Pixels that the stage is high: the picture fits inside, whatever its shape, so that nothing below it ever moves. */
const LOWEST = 220;
const HIGHEST = 720;
/** Pixels above and below a notebook in JupyterLab's window. */
const HOST = 128;
/** Pixels between the probe and the edges of a full screen. */
const GAP = 16;
/** Milliseconds of rest before the visible part of the picture is requested in full resolution. */
const REST = 150;

/** How high the stage may be so that all from the first line to the run buttons is on one screen. */
function roomOf(stage: HTMLElement, root: HTMLElement): number {
  const top = (element: HTMLElement | null): number => (!element || element === root ? 0 : element.offsetTop + top(element.offsetParent as HTMLElement | null));
  const runs = root.querySelector<HTMLElement>(".isi-runs");
  const others = runs ? top(runs) + runs.offsetHeight - stage.offsetHeight : 0;
  // A frame that grows with its content does not show the size of the screen.
  const { innerHeight, screen } = window;
  const high = Math.min(innerHeight, (screen as Screen | undefined)?.availHeight || Infinity);
  return high - others - (root.ownerDocument.fullscreenElement ? 2 * GAP : HOST);
}

/** Keeps the whole image in view, whatever the width of the cell, unless the user has zoomed in. */
export function useFit(frame: { current: HTMLDivElement | null }): void {
  const { screen, store, root } = useView();
  const image = store.image.value;
  const [width, height] = [image?.width ?? 0, image?.height ?? 0];
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    screen.zoomed.value = false;
    const resize = (): void => {
      const available = element.clientWidth || element.getBoundingClientRect().width;
      const tall = Math.round(Math.max(LOWEST, Math.min(roomOf(element, root), available, HIGHEST)));
      element.style.height = `${tall}px`;
      const viewport = { width: available, height: tall };
      screen.viewport.value = viewport;
      screen.transform.value = screen.zoomed.value ? held(screen.transform.value, viewport, { width, height }) : fit(viewport, { width, height });
    };
    resize();
    const stop = observeSize(element, resize);
    window.addEventListener("resize", resize);
    return () => {
      stop();
      window.removeEventListener("resize", resize);
    };
  }, [width, height]);
}

/** Ctrl or Cmd and the wheel zoom; the wheel alone stays the notebook's. A pinch on a touch pad arrives as the former. Two fingers do not scroll. */
export function useZoom(frame: { current: HTMLDivElement | null }): void {
  const { screen, store } = useView();
  useEffect(() => {
    const element = frame.current;
    const wheel = (event: WheelEvent): void => {
      const image = store.image.value;
      if (!image || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      const at = pointIn(element?.querySelector(".isi-overlay") ?? element, event);
      const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : 1);
      zoom(screen, 2 ** (-pixels / 200), at);
    };
    const touch = (event: TouchEvent): void => {
      if (event.touches.length > 1) event.preventDefault();
    };
    element?.addEventListener("wheel", wheel, { passive: false });
    element?.addEventListener("touchmove", touch, { passive: false });
    return () => {
      element?.removeEventListener("wheel", wheel);
      element?.removeEventListener("touchmove", touch);
    };
  }, []);
}

/** Once the view rests: the part of the picture that is seen, if the preview has fewer pixels than are shown, or where single pixels are looked at. */
export function useDetail(frame: { current: Element | null }): ReadonlySignal<Detail | null> {
  const { screen, store } = useView();
  const found = useSignal<Detail | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const asked = useRef(new AbortController());
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      asked.current.abort();
    },
    [],
  );
  const ask = async (region: Rectangle, pixels: number): Promise<void> => {
    asked.current.abort();
    const { signal } = (asked.current = new AbortController());
    const part = await askDetail(store, region, pixels, signal).catch(ignore);
    const source = part && (await decode(part.data));
    if (part && source && !signal.aborted) found.value = { source, region: part.region, key: part.key };
  };
  useSignalEffect(() => {
    const picture = store.picture.value;
    const { scale, x, y } = screen.transform.value;
    const { width, height } = screen.viewport.value;
    const resting = screen.live.value === null && store.unrendered.value === 0 && store.insync.value;
    clearTimeout(timer.current);
    const density = densityOf(frame.current);
    const coarse = picture && picture.width < Math.min(1, scale * density) * picture.image.width;
    if (!picture || !resting || !screen.zoomed.value || !(coarse || scale * density >= SQUARES)) return;
    timer.current = setTimeout(() => {
      const [left, top] = inside([-x / scale, -y / scale], picture.image).map(Math.floor) as Point;
      const [right, bottom] = inside([(width - x) / scale, (height - y) / scale], picture.image).map(Math.ceil) as Point;
      if (right > left && bottom > top) void ask([left, top, right - left, bottom - top], Math.ceil((right - left) * scale * density));
    }, REST);
  });
  return found;
}
