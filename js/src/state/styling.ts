// The style of what is drawn: of the selection, or of the next drawing. Part of the editor.
import { isDrawing, same } from "../document";
import type { Drawing, Operation } from "../protocol";
import { LABEL_SIZE, type Style } from "../shapes";
import type { Screen } from "./screen";

/** Shorter sides between which strokes and letters have their usual sizes; beyond, they grow and shrink with the picture. */
const [SMALL, LARGE] = [240, 600];

/** The style of the next drawing. */
export function styleOf({ store, own }: Screen): Style {
  // Strokes and letters that are seen on a large photograph too, and leave something of a small picture.
  const image = store.image.value;
  const side = image ? Math.min(image.width, image.height) : LARGE;
  const factor = side > LARGE ? side / LARGE : Math.min(1, side / SMALL);
  const px = (n: number, low = 1): number => Math.max(low, Math.round(n * factor));
  return { color: "#000000", fill: true, width: px(3), size: px(16, 6), sigma: 0.2, radius: px(8), block: px(16, 2), erase: "mean", ...own.value };
}

/** The style of the selection, and of what is drawn next where it has none. */
export const lookOf = (screen: Screen): Style => ({ ...styleOf(screen), ...(screen.selection.value && ownStyle(screen.selection.value)) });

/** Sets the style of the selection if there is one, else of what is drawn next. `live` shows it only. */
export function restyle(screen: Screen, style: Partial<Style>, live = false): void {
  const chosen = screen.chosen.value;
  if (chosen.length > 0) {
    const restyled = (d: Drawing): Drawing => styled(d, style.erase === "color" ? { color: styleOf(screen).color, ...style } : style);
    if (live) screen.preview(restyled);
    else if (chosen.some((i) => changes(screen.store.document.value.operations[i], restyled))) screen.alter(restyled, { say: "Style changed" });
    else screen.live.value = null;
  }
  if (!live || chosen.length === 0) screen.own.value = { ...screen.own.value, ...style };
}

const changes = (op: Operation | undefined, how: (d: Drawing) => Drawing): boolean => op !== undefined && isDrawing(op) && !same(op, how(op));

/** The style that a drawing has. The width of a box is its own; that of its line has another name. */
function ownStyle(d: Drawing): Partial<Style> {
  switch (d.op) {
    case "box":
    case "ellipse":
    case "polygon":
      return { color: d.color, fill: d.fill, width: d.line_width };
    case "line":
      return { color: d.color, width: d.width };
    case "arrow":
      return { color: d.color, width: d.width, ...(d.label && { size: d.size ?? LABEL_SIZE }) };
    case "text":
      return { color: d.color, size: d.size };
    case "noise":
      return { sigma: d.sigma };
    case "blur":
      return { radius: d.radius };
    case "pixelate":
      return { block: d.size };
    case "erase":
      return d.fill === "mean" || d.fill === "inpaint" ? { erase: d.fill } : { erase: "color", color: d.fill };
    case "recolor":
      return { color: d.color };
    default:
      return {};
  }
}

function styled(d: Drawing, style: Partial<Style>): Drawing {
  const look = { ...ownStyle(d), ...style };
  const next = { ...d } as Record<string, unknown>;
  const put = (name: string, value: unknown): void => {
    if (value !== undefined && name in d) next[name] = value;
  };
  put("color", look.color);
  put("sigma", look.sigma);
  put("radius", look.radius);
  if (d.op === "line" || d.op === "arrow") put("width", look.width);
  if (d.op === "text" || (d.op === "arrow" && d.label)) next.size = look.size;
  if (d.op === "pixelate") put("size", look.block);
  if (d.op === "erase") put("fill", look.erase === "color" ? look.color : look.erase);
  if (d.op === "box" || d.op === "ellipse" || d.op === "polygon") {
    put("fill", look.fill);
    put("line_width", look.width);
  }
  return next as unknown as Drawing;
}
