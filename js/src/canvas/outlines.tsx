// What lies over the picture as SVG: outlines that catch the pointer, handles of the selection, and what a gesture shows beside the drawings.
import { centre, toScreen } from "../geometry";
import { live } from "../live";
import type { Drawing, Point } from "../protocol";
import { outlinePath } from "../masks";
import { isObjectEdit, piecesOf, type Piece } from "../objects";
import { angleOf, extent, handles, maskOf, polygonOf, type HandleName, type Measure } from "../shapes";
import { useView } from "../view";
import { TURN_REACH } from "./gesture";

/** Pixels of the screen within which a handle is hit. */
export const REACH = 9;

const CURSORS: Partial<Record<HandleName, string>> = { nw: "nwse", se: "nwse", ne: "nesw", sw: "nesw", n: "ns", s: "ns", e: "ew", w: "ew" };

/** Pixels of the image whose outline is one step: what is smaller than a pixel of the screen is not drawn. */
export const coarse = (scale: number): number => Math.max(1, Math.floor(1 / scale));

/** The handles of the selected drawing. */
export function Handles({ selection, measure }: { selection: Drawing; measure: Measure }) {
  const { screen } = useView();
  const t = screen.transform.value;
  return (
    <g class="isi-handles">
      {handles(selection, measure, (TURN_REACH * REACH) / t.scale).map(({ name, at: point }) => {
        const [x, y] = toScreen(t, point);
        const cursor = name === "turn" ? "grab" : CURSORS[name] && !angleOf(selection) ? `${CURSORS[name]}-resize` : "move";
        const round = name === "start" || name === "end" || name === "turn" || name[0] === "p";
        return (
          <g key={name} data-testid={`handle-${name}`} style={{ cursor }}>
            <rect class="isi-grip" x={x - REACH} y={y - REACH} width={2 * REACH} height={2 * REACH} />
            <rect class="isi-handle" x={x - 4} y={y - 4} width={8} height={8} rx={round ? 4 : 1} />
          </g>
        );
      })}
    </g>
  );
}

/** What a gesture shows beside the drawings: the marquee, lines that something snapped to, the corners of a polygon so far. */
export const Marks = live(function Marks() {
  const { screen } = useView();
  const t = screen.transform.value;
  const [marquee, guides, path] = [screen.marquee.value, screen.guides.value, screen.path.value];
  const { width, height } = screen.viewport.value;
  const points = path?.map((p) => toScreen(t, p));
  const cursor = screen.cursor.value;
  const next = points && cursor ? [...points, toScreen(t, cursor)] : points;
  return (
    <g class="isi-marks">
      {marquee && <rect data-testid="marquee" x={marquee.x * t.scale + t.x} y={marquee.y * t.scale + t.y} width={marquee.width * t.scale} height={marquee.height * t.scale} />}
      {guides?.x != null && <line data-testid="guide-x" x1={guides.x * t.scale + t.x} x2={guides.x * t.scale + t.x} y1={0} y2={height} />}
      {guides?.y != null && <line data-testid="guide-y" x1={0} x2={width} y1={guides.y * t.scale + t.y} y2={guides.y * t.scale + t.y} />}
      {next && <polyline data-testid="path" points={next.map((p) => p.join()).join(" ")} />}
      {points?.map(([x, y], i) => <circle key={i} cx={x} cy={y} r={i === 0 ? 5 : 3} />)}
    </g>
  );
});

/** A piece of the picture in its new place. */
function Outlined({ piece: { region, from, to, flip }, screen, scale }: { piece: Piece; screen: (p: Point) => Point; scale: number }) {
  const [x, y] = screen([to.x, to.y]);
  const [width, height] = [to.width * scale, to.height * scale];
  const [across, down] = [(flip === "horizontal" ? -width : width) / (from.width || 1), (flip === "vertical" ? -height : height) / (from.height || 1)];
  const place = ([u, v]: Point): Point => [(across < 0 ? x + width : x) + (u - from.x) * across, (down < 0 ? y + height : y) + (v - from.y) * down];
  const [left, top] = place([0, 0]);
  const mask = maskOf(region);
  if (mask) return <path class="isi-outline isi-filled isi-edge" d={outlinePath(mask, coarse(scale))} transform={`matrix(${across} 0 0 ${down} ${left} ${top})`} />;
  const points = polygonOf(region);
  if (points) return <polygon class="isi-outline isi-filled" points={points.map((p) => place(p).join()).join(" ")} />;
  return <rect class="isi-outline isi-filled" {...{ x, y, width, height }} />;
}

/** Outlines that show what is selected or under the pointer and catch the pointer; the picture below shows the drawing itself. */
export function outline(d: Drawing, screen: (p: Point) => Point, scale: number, measure: Measure) {
  if (d.op === "line" || d.op === "arrow") {
    const [[x1, y1], [x2, y2]] = [screen(d.start), screen(d.end)];
    return (
      <>
        <line class="isi-catch" {...{ x1, y1, x2, y2 }} stroke-width={Math.max(12, d.width * scale + 8)} />
        <line class="isi-outline" {...{ x1, y1, x2, y2 }} />
      </>
    );
  }
  if (isObjectEdit(d)) return piecesOf(d).map((piece, i) => <Outlined key={i} piece={piece} screen={screen} scale={scale} />);
  const mask = "region" in d ? maskOf(d.region) : null;
  if (mask) return <path class="isi-outline isi-filled isi-edge" d={outlinePath(mask, coarse(scale))} transform={`translate(${screen([0, 0]).join()}) scale(${scale})`} />;
  const points = d.op === "polygon" ? d.points : "region" in d ? polygonOf(d.region) : null;
  const hollow = (d.op === "box" || d.op === "ellipse" || d.op === "polygon") && !d.fill;
  const name = hollow ? "isi-outline" : "isi-outline isi-filled";
  if (points) return <polygon class={name} points={points.map((p) => screen(p).join()).join(" ")} />;
  const r = extent(d, measure);
  if (!r) return null;
  const [x, y] = screen([r.x, r.y]);
  const [width, height] = [r.width * scale, r.height * scale];
  const angle = angleOf(d);
  const transform = angle ? `rotate(${angle} ${screen(centre(r)).join(" ")})` : undefined;
  if (d.op === "ellipse") return <ellipse class={name} {...{ cx: x + width / 2, cy: y + height / 2, rx: width / 2, ry: height / 2, transform }} />;
  return <rect class={name} {...{ x, y, width, height, transform }} />;
}
