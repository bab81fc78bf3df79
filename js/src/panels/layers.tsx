// What is drawn, one row each, the topmost first; the row of the selection shows its place as numbers to type.
import { isDrawing } from "../document";
import { extent } from "../geometry";
import { live } from "../live";
import type { Drawing, Operation } from "../protocol";
import { NAMES } from "../state/screen";
import { useView } from "../view";
import { Icon } from "./icons";
import { Button, NumberField, decimals } from "./parts";

const whole = (x: number): string => String(Math.round(x));

function detail(op: Operation): string {
  if (!isDrawing(op)) return op.op === "foreign" ? `${op.name}: this page cannot draw it` : "";
  if (op.op === "text") return `“${op.text}”  ${op.size} px`;
  if (op.op === "line" || op.op === "arrow") return `${op.start.map(whole).join(", ")} → ${op.end.map(whole).join(", ")}`;
  const r = extent(op);
  const place = r ? `${whole(r.x)}, ${whole(r.y)}  ${whole(r.width)} × ${whole(r.height)}` : "whole image";
  return op.op === "noise" ? `σ ${decimals(op.sigma)}  ${place}` : place;
}

export const Layers = live(function Layers() {
  const { screen } = useView();
  const rows = screen.operations.value.map((op, index) => ({ op, index })).filter(({ op }) => isDrawing(op) || op.op === "foreign");
  return (
    <div class="isi-layers" data-testid="layers">
      {rows.length === 0 ? (
        <p class="isi-teach">Nothing is drawn yet. Cover the object in question with a box and see whether the model notices.</p>
      ) : (
        <ul aria-label="What is drawn, from top to bottom">
          {rows.reverse().map(({ op, index }) => {
            const name = NAMES[op.op] ?? op.op;
            const chosen = screen.selected.value === index;
            return (
              <li key={index} class={chosen ? "isi-chosen" : undefined} data-testid={`layer-${index}`}>
                <button
                  type="button"
                  class="isi-layer"
                  aria-pressed={chosen}
                  onClick={() => {
                    screen.setTool("select");
                    screen.selected.value = isDrawing(op) ? index : null;
                  }}
                >
                  <Icon name={op.op} />
                  <span class="isi-kind">{name}</span>
                  {"color" in op && <span class="isi-dot" style={{ background: op.color }} />}
                  {!(chosen && "x" in op) && <span class="isi-muted isi-cut">{detail(op)}</span>}
                </button>
                {chosen && isDrawing(op) && <Place drawing={op} index={index} />}
                <Button test={`layer-${index}-delete`} label={`Delete ${name.toLowerCase()}`} icon="close" kind="bare" onClick={() => screen.remove(index)} />
              </li>
            );
          })}
        </ul>
      )}
    </div>
  );
});

/** Exact values, in pixels of the original image. */
function Place({ drawing, index }: { drawing: Drawing; index: number }) {
  const { screen } = useView();
  if (!("x" in drawing)) return null;
  const field = (label: string, name: "x" | "y" | "width" | "height", value: number, low?: number) => (
    <NumberField
      test={`place-${label}`}
      label={label}
      value={Math.round(value * 100) / 100}
      {...(low === undefined ? {} : { low })}
      onChange={(next) => screen.change(index, { ...drawing, [name]: next }, { say: "Moved" })}
    />
  );
  return (
    <div class="isi-place">
      {field("x", "x", drawing.x)}
      {field("y", "y", drawing.y)}
      {"width" in drawing && field("w", "width", drawing.width, 1)}
      {"width" in drawing && field("h", "height", drawing.height, 1)}
    </div>
  );
}
