// Where pop-overs and tips stand: in the browser's top layer, so that no cell, output area or full screen cuts them off;
// beside what they belong to, on the side that has room, within the window and, from side to side, within the probe.

/** Pixels between a pop-over and what it belongs to, and between it and the edges of the window. */
const GAP = 4;
const MARGIN = 8;

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface Place {
  left: number;
  top: number;
  /** what there is of the side that was chosen: what is higher scrolls */
  room: number;
}

/** Below the anchor if there is room, or more than above; its start at the anchor's start, or its end at the anchor's end.
 *  `cover`: where neither side has enough room, over the anchor. */
export function placed(anchor: Box, size: { width: number; height: number }, within: Box, above = false, cover = false): Place {
  const whole = within.bottom - within.top;
  const [over, under] = [anchor.top - GAP - within.top, within.bottom - anchor.bottom - GAP];
  const [first, second] = above ? [over, under] : [under, over];
  const up = (size.height <= first || first >= second) === above;
  const room = cover && size.height > Math.max(over, under) ? whole : Math.max(0, Math.min(up ? over : under, whole));
  const high = Math.min(size.height, room);
  const top = up ? anchor.top - GAP - high : anchor.bottom + GAP;
  const left = anchor.left + size.width <= within.right ? anchor.left : anchor.right - size.width;
  const held = (x: number, low: number, most: number): number => Math.max(low, Math.min(x, most));
  return { left: held(left, within.left, within.right - size.width), top: held(top, within.top, within.bottom - high), room };
}

/** Shows an element over everything, beside its anchor. To be called again when either has moved. */
export function float(element: HTMLElement, anchor: Element, root: HTMLElement, above = false, cover = false): void {
  const view = root.ownerDocument.defaultView;
  if (!view || !element.isConnected) return;
  // Older browsers have no top layer: there a fixed place over the rest has to do.
  if (typeof element.showPopover === "function" && !element.matches(":popover-open")) element.showPopover();
  const frame = root.getBoundingClientRect();
  const within = { left: Math.max(frame.left, 0) + MARGIN, right: Math.min(frame.right, view.innerWidth) - MARGIN, top: MARGIN, bottom: view.innerHeight - MARGIN };
  // A page with a zoom of its own: its pixels are not those of the window.
  const zoom = element.getBoundingClientRect().width / element.offsetWidth || 1;
  element.style.setProperty("--isi-room", `${Math.max(0, within.right - within.left) / zoom}px`);
  // What scrolls in it keeps its place while the whole height is measured.
  const table = element.querySelector(".isi-scroll");
  const scrolled = table?.scrollTop ?? 0;
  element.style.maxHeight = "";
  const { left, top, room } = placed(anchor.getBoundingClientRect(), element.getBoundingClientRect(), within, above, cover);
  element.style.maxHeight = `${room / zoom}px`;
  if (table) table.scrollTop = scrolled;
  element.style.left = `${left / zoom}px`;
  element.style.top = `${top / zoom}px`;
}
