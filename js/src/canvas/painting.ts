// What the canvas shows: the picture, the page's own drawing of it while the kernel's is on its way, before and after, and a part in full resolution.
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { ReadonlySignal } from "@preact/signals-core";
import { useSignalEffect } from "../live";
import { shownScale } from "../pointer";
import type { Measure } from "../shapes";
import type { Detail, Picture } from "../state/picture";
import { useView } from "../view";
import { compose } from "./compose";

/** From this scale on the pixels of the image are drawn as squares, and from the next one with a grid. */
export const SQUARES = 2;
const GRID = 12;

/** Pixels of the device for one as laid out. What shows the page larger than that many times (a slide) is not followed further. */
const SHARPEST = 4;
export const densityOf = (element: Element | null): number => Math.min(SHARPEST, (window.devicePixelRatio || 1) * (element ? shownScale(element)[0] : 1));

export function usePainting(canvas: { current: HTMLCanvasElement | null }, measure: Measure, part: ReadonlySignal<Detail | null>): void {
  const { screen, store } = useView();
  const own = useMemo(() => document.createElement("canvas"), []);
  const due = useRef(0);
  useEffect(() => () => cancelAnimationFrame(due.current), []);
  useSignalEffect(() => {
    const [picture, base, operations] = [store.picture.value, store.base.value, screen.operations.value];
    const ours = screen.live.value !== null || store.unrendered.value > 0;
    const t = screen.transform.value;
    const detail = part.value;
    // Drawn again, too, when the font has come.
    const [showing, divider] = [screen.showing.value, screen.divider.value, screen.exact.value];
    cancelAnimationFrame(due.current);
    due.current = requestAnimationFrame(() => {
      const element = canvas.current;
      if (!element) return;
      const density = densityOf(element);
      const [width, height] = [Math.round(element.clientWidth * density), Math.round(element.clientHeight * density)];
      if (element.width !== width || element.height !== height) {
        element.width = width;
        element.height = height;
      }
      const context = element.getContext("2d");
      const below = base ?? picture;
      if (context && below) {
        let shown = picture ?? below;
        if (ours && showing !== "before") {
          compose(own, below, operations, measure);
          shown = { ...below, source: own };
        }
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, width, height);
        const scale = t.scale * density;
        context.imageSmoothingEnabled = scale < SQUARES;
        context.imageSmoothingQuality = "high";
        const paint = ({ source, image }: Picture): void => context.drawImage(source, t.x * density, t.y * density, image.width * scale, image.height * scale);
        paint(showing === "before" ? below : shown);
        if (detail && showing === "after" && !ours && detail.key === picture?.key) {
          const [x, y, w, h] = detail.region;
          context.drawImage(detail.source, t.x * density + x * scale, t.y * density + y * scale, w * scale, h * scale);
        }
        if (showing === "swipe") {
          context.save();
          context.beginPath();
          context.rect(0, 0, width * divider, height);
          context.clip();
          paint(below);
          context.restore();
        }
        if (showing === "difference") {
          context.globalCompositeOperation = "difference";
          paint(below);
          context.globalCompositeOperation = "source-over";
        }
        if (t.scale >= GRID) grid(context, t.x * density, t.y * density, scale, width, height);
      }
      screen.paints.value = screen.paints.peek() + 1;
    });
  });
}

/** Lines between the pixels of the image. */
function grid(context: CanvasRenderingContext2D, x: number, y: number, scale: number, width: number, height: number): void {
  context.strokeStyle = "rgb(128 128 128 / 45%)";
  context.lineWidth = 1;
  context.beginPath();
  for (let at = x % scale; at < width; at += scale) {
    context.moveTo(Math.round(at) + 0.5, 0);
    context.lineTo(Math.round(at) + 0.5, height);
  }
  for (let at = y % scale; at < height; at += scale) {
    context.moveTo(0, Math.round(at) + 0.5);
    context.lineTo(width, Math.round(at) + 0.5);
  }
  context.stroke();
}
