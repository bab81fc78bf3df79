// What is drawn, one row each, the topmost first: to choose, hide, lock, reorder and delete. The row of the selection has its numbers.
import { isDrawing } from "../document";
import { live, useSignal } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { boxOf, outlinePath } from "../masks";
import type { Drawing, Operation, Region } from "../protocol";
import { isObjectEdit, regionsOf } from "../objects";
import { wholeBox } from "../regions";
import { extent, maskOf, polygonOf, withAngle } from "../shapes";
import { NAMES } from "../state/screen";
import { useView } from "../view";
import { EditValues, FillingProgress } from "./edits";
import { Icon } from "./icons";
import { NumberField } from "./number";
import { Button, decimals } from "./parts";

const whole = (x: number): string => String(Math.round(x));

/** Text in its own direction, whatever stands beside it. */
const isolated = (text: string): string => `\u2068${text}\u2069`;

function detail(op: Operation): string {
  if (!isDrawing(op)) return op.op === "foreign" ? `${op.name}: this page cannot draw it` : "";
  const r = extent(op);
  const place = r && "region" in op && maskOf(op.region) ? `mask ${whole(r.width)} × ${whole(r.height)} px` : r ? `${whole(r.x)}, ${whole(r.y)} · ${whole(r.width)} × ${whole(r.height)}` : "whole image";
  switch (op.op) {
    case "text":
      return `“${isolated(op.text)}” · ${op.size} px`;
    case "line":
    case "arrow":
      return `${op.start.map(whole).join(", ")} → ${op.end.map(whole).join(", ")}${op.op === "arrow" && op.label ? ` · “${isolated(op.label)}”` : ""}`;
    case "noise":
      return `σ ${decimals(op.sigma)} · ${place}`;
    case "blur":
      return `${op.radius} px · ${place}`;
    case "pixelate":
      return `${op.size} px · ${place}`;
    case "erase":
      return `${op.fill} · ${place}`;
    case "polygon":
      return `${op.points.length} points · ${place}`;
    case "move":
      return `to ${op.to.map(whole).join(", ")} · ${place}`;
    case "resize":
      return `× ${op.factor} · ${place}`;
    case "swap":
      return regionsOf(op)
        .map(wholeBox)
        .map((box) => (box ? `${whole(box.width)} × ${whole(box.height)}` : ""))
        .join(" ↔ ")
        .concat(" px");
    default:
      return place;
  }
}

export const Layers = live(function Layers() {
  const { screen } = useView();
  const dragged = useSignal<number | null>(null);
  const rows = screen.operations.value.map((op, index) => ({ op, index })).filter(({ op }) => isDrawing(op) || op.op === "foreign");
  const toggle = (index: number, key: "hidden" | "locked", say: string): void =>
    screen.alter(
      (d) => {
        const { [key]: before, ...rest } = d;
        return (before ? rest : { ...rest, [key]: true });
      },
      { indexes: [index], say },
    );
  const list = useRef<HTMLDivElement>(null);
  // What is chosen on the picture is seen in the list; the notebook stays where it is.
  useEffect(() => {
    const [room, row] = [list.current, list.current?.querySelector(".isi-chosen")].map((element) => element?.getBoundingClientRect());
    if (!room || !row || !list.current) return;
    // Of the pixels as shown, those as laid out.
    const shown = room.height / (list.current.offsetHeight || room.height || 1) || 1;
    list.current.scrollTop += (Math.min(0, row.top - room.top) + Math.max(0, Math.min(row.bottom - room.bottom, row.top - room.top))) / shown;
  }, [screen.chosen.value]);
  return (
    <div class="isi-layers" data-testid="layers" ref={list}>
      {rows.length === 0 ? (
        <p class="isi-teach">Nothing is drawn yet. Cover the object in question with a box and see whether the model notices.</p>
      ) : (
        <ul aria-label="What is drawn, from top to bottom">
          {rows.reverse().map(({ op, index }) => {
            const name = NAMES[op.op] ?? op.op;
            const chosen = screen.chosen.value.includes(index);
            const only = screen.selected.value === index;
            const drawing = isDrawing(op) ? op : null;
            const numbers = only && drawing && (isObjectEdit(drawing) || isPlaced(drawing));
            return (
              <li
                key={index}
                class={[chosen && "isi-chosen", drawing?.hidden && "isi-off", dragged.value === index && "isi-dragged", numbers && isObjectEdit(drawing) && "isi-edited"].filter(Boolean).join(" ") || undefined}
                data-testid={`layer-${index}`}
                draggable
                onDragStart={(event) => {
                  dragged.value = index;
                  event.dataTransfer?.setData("text/plain", name);
                }}
                onDragEnd={() => (dragged.value = null)}
                onDragOver={(event) => {
                  if (dragged.value !== null) event.preventDefault();
                }}
                onDrop={(event) => {
                  if (dragged.value === null) return;
                  event.preventDefault();
                  event.stopPropagation();
                  screen.reorder(dragged.value, index);
                  dragged.value = null;
                }}
              >
                <button
                  type="button"
                  class="isi-layer"
                  aria-pressed={chosen}
                  title={drawing ? "Click to choose, with Shift several; [ and ] move it down and up; drag to reorder" : undefined}
                  onClick={(event) => {
                    screen.setTool("select");
                    if (!drawing) screen.select();
                    else if (!event.shiftKey) screen.select(index);
                    else screen.select(...(chosen ? screen.chosen.value.filter((i) => i !== index) : [...screen.chosen.value, index]));
                  }}
                >
                  <Icon name={op.op} />
                  <span class="isi-kind">{name}</span>
                  {regionsOf(op).map((region, i) => <Silhouette key={i} region={region} />)}
                  {"color" in op && <span class="isi-dot" style={{ background: op.color }} />}
                  {!numbers && <span class="isi-muted isi-cut">{detail(op)}</span>}
                </button>
                {numbers && (isObjectEdit(drawing) ? <EditValues edit={drawing} index={index} /> : <Place drawing={drawing} index={index} />)}
                {drawing && isObjectEdit(drawing) && <FillingProgress edit={drawing} index={index} />}
                {drawing && (
                  <>
                    <Button
                      test={`layer-${index}-eye`}
                      label={drawing.hidden ? `Show ${name.toLowerCase()}` : `Hide ${name.toLowerCase()}`}
                      icon={drawing.hidden ? "hidden" : "eye"}
                      kind="bare"
                      pressed={drawing.hidden === true}
                      onClick={() => toggle(index, "hidden", drawing.hidden ? "Shown" : "Hidden")}
                    />
                    <Button
                      test={`layer-${index}-lock`}
                      label={drawing.locked ? `Unlock ${name.toLowerCase()}` : `Lock ${name.toLowerCase()}`}
                      icon={drawing.locked ? "lock" : "unlock"}
                      kind="bare"
                      pressed={drawing.locked === true}
                      onClick={() => toggle(index, "locked", drawing.locked ? "Unlocked" : "Locked")}
                    />
                  </>
                )}
                <Button test={`layer-${index}-delete`} label={`Delete ${name.toLowerCase()}`} icon="close" kind="bare" onClick={() => screen.remove(index)} />
              </li>
            );
          })}
        </ul>
      )}
    </div>
  );
});

/** Cells along the longer side of a mask's little picture. */
const TINY = 32;

/** The shape of a mask, tiny. */
function Silhouette({ region }: { region: Region }) {
  const mask = maskOf(region);
  if (!mask) return null;
  const { x, y, width, height } = boxOf(mask);
  return (
    <svg class="isi-silhouette" data-testid="silhouette" viewBox={`${x} ${y} ${Math.max(1, width)} ${Math.max(1, height)}`} aria-hidden="true">
      <path d={outlinePath(mask, Math.max(1, Math.floor(Math.max(width, height) / TINY)))} />
    </svg>
  );
}

/** Whether its place is a few numbers: not that of a mask, an outline of corners or a line. */
const isPlaced = (drawing: Drawing): boolean =>
  extent(drawing) !== null && !["line", "arrow", "polygon"].includes(drawing.op) && !("region" in drawing && (maskOf(drawing.region) ?? polygonOf(drawing.region)));

/** Exact values, in pixels of the original image. */
function Place({ drawing, index }: { drawing: Drawing; index: number }) {
  const { screen } = useView();
  const r = extent(drawing);
  if (!r) return null;
  const put = (change: Partial<typeof r>): void => {
    const next = { ...r, ...change };
    const placed = "region" in drawing ? { ...drawing, region: [next.x, next.y, next.width, next.height] } : "width" in drawing ? { ...drawing, ...next } : { ...drawing, x: next.x, y: next.y };
    screen.change(index, placed as Drawing, { say: "Moved" });
  };
  const field = (label: string, name: "x" | "y" | "width" | "height", low?: number) => (
    <NumberField test={`place-${label}`} label={label} value={Math.round(r[name] * 100) / 100} {...(low === undefined ? {} : { low })} onChange={(next) => put({ [name]: next })} />
  );
  const sized = drawing.op !== "text";
  const turns = drawing.op === "box" || drawing.op === "ellipse" || drawing.op === "text";
  return (
    <div class="isi-place">
      {field("x", "x")}
      {field("y", "y")}
      {sized && field("w", "width", 1)}
      {sized && field("h", "height", 1)}
      {turns && (
        <NumberField test="place-angle" label="°" title="Degrees, clockwise" value={drawing.angle ?? 0} low={-360} high={360} onChange={(degrees) => screen.change(index, withAngle(drawing, degrees), { say: "Turned" })} />
      )}
    </div>
  );
}
