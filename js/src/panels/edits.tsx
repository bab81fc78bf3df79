// Exact values of an edit of a thing, in its row of the layers: place, size, colour, soft edge, and what fills its hole. And how far the filling is.
import { live } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { omit } from "../records";
import { holesOf, isUnpainted, placeOf, type HoleEdit } from "../objects";
import type { Insert, ObjectEdit, Region } from "../protocol";
import { maskOf } from "../regions";
import { answersOf, askInpainters, fillHoles } from "../state/kernel";
import { composing } from "../keys";
import { useView } from "../view";
import { useFlush } from "./flush";
import { NumberField } from "./number";
import { Button } from "./parts";

/** Widest soft edge, px. */
const WIDEST = 200;

export const EditValues = live(function EditValues({ edit, index }: { edit: ObjectEdit; index: number }) {
  const { screen } = useView();
  const put = (next: ObjectEdit, say: string): void => screen.change(index, next, { say });
  const at = edit.op === "move" ? edit.to : edit.op === "insert" ? edit.place : null;
  const size = edit.op === "insert" ? placeOf(edit) : null;
  const place = (name: "x" | "y" | "w" | "h", value: number, which: number) => (
    <NumberField
      test={`place-${name}`}
      label={name}
      value={value}
      {...(which > 1 && { low: 1 })}
      onChange={(next) => {
        if (edit.op === "move") put({ ...edit, to: edit.to.map((v, i) => (i === which ? next : v)) as [number, number] }, "Moved");
        if (edit.op === "insert" && size) put({ ...edit, place: [size.x, size.y, size.width, size.height].map((v, i) => (i === which ? next : v)) as Insert["place"] }, which > 1 ? "Resized" : "Moved");
      }}
    />
  );
  const mask = "region" in edit ? maskOf(edit.region) : null;
  const soft = edit.op === "insert" ? (edit.feather ?? 0) : mask?.feather;
  const soften = (feather: number): void => {
    if (edit.op === "insert") put({ ...edit, feather }, "Edge changed");
    else if (mask) put({ ...edit, region: { mask: { ...mask, feather } } as Region }, "Edge changed");
  };
  return (
    <div class="isi-place">
      {at && place("x", at[0], 0)}
      {at && place("y", at[1], 1)}
      {size && place("w", size.width, 2)}
      {size && place("h", size.height, 3)}
      {edit.op === "resize" && <NumberField test="edit-factor" label="×" title="Factor of width and height" value={edit.factor} low={0.01} high={100} step={0.05} onChange={(factor) => put({ ...edit, factor }, "Resized")} />}
      {edit.op === "recolor" && <WordField test="edit-color" classes="isi-hex" label="Colour" title="Colour: a name or #rrggbb" value={edit.color} needed put={(color) => put({ ...edit, color }, "Recoloured")} />}
      {edit.op === "mirror" && (
        <select class="isi-select" data-testid="edit-direction" aria-label="Direction" value={edit.direction} onChange={(event) => put({ ...edit, direction: event.currentTarget.value as "horizontal" }, "Mirrored")}>
          <option value="horizontal">left, right</option>
          <option value="vertical">top, bottom</option>
        </select>
      )}
      {soft !== undefined && <NumberField test="edit-feather" label="soft" title={edit.op === "insert" ? "Width of the soft edge inside its outline, px of the image" : "Width of the soft edge around the mask, px of the image"} value={soft} low={0} high={WIDEST} onChange={soften} />}
      {holesOf(edit).length > 0 && <Filling edit={edit as HoleEdit} put={(next) => put(next, "In-painter changed")} />}
    </div>
  );
});

interface WordProps {
  test: string;
  classes: string;
  label: string;
  title?: string;
  placeholder?: string;
  value: string;
  /** never empty */
  needed?: boolean;
  put: (value: string) => void;
}

/** A short text that is taken on Enter, too; Escape puts it back. */
function WordField({ test, classes, label, title, placeholder, value, needed, put }: WordProps) {
  const field = useRef<HTMLInputElement>(null);
  const take = (): void => {
    const input = field.current;
    if (!input || input.value === value) return;
    input.value = input.value.trim() || (needed ? value : "");
    if (input.value !== value) put(input.value);
  };
  useFlush(take);
  return (
    <input
      ref={field}
      type="text"
      class={classes}
      data-testid={test}
      aria-label={label}
      title={title}
      placeholder={placeholder}
      dir="auto"
      value={value}
      onChange={take}
      onKeyDown={(event) => {
        if (composing(event)) return;
        if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) take();
        else if (event.key === "Escape" && event.currentTarget.value !== value) {
          event.currentTarget.value = value;
          event.stopPropagation();
        }
      }}
    />
  );
}

/** Which in-painter fills the hole, and with which text where it takes one. */
const Filling = live(function Filling({ edit, put }: { edit: HoleEdit; put: (next: HoleEdit) => void }) {
  const { store } = useView();
  const known = answersOf(store).inpainters.value;
  useEffect(() => {
    if (known.length === 0) askInpainters(store);
  }, []);
  const name = edit.inpainter ?? known[0]?.name ?? "";
  const names = [...new Set([...known.map((inpainter) => inpainter.name), name])].filter(Boolean);
  const anew = (change: Partial<HoleEdit>): void => put({ ...omit(edit, "pixels", "beneath"), ...change } as HoleEdit);
  return (
    <>
      <select class="isi-select" data-testid="edit-inpainter" aria-label="What fills the hole" title="What fills the hole" value={name} onChange={(event) => anew({ inpainter: event.currentTarget.value })}>
        {names.map((value) => (
          <option key={value} value={value}>
            {known.find((inpainter) => inpainter.name === value)?.title ?? value}
          </option>
        ))}
      </select>
      {known.find((inpainter) => inpainter.name === name)?.prompt && (
        <WordField test="edit-prompt" classes="isi-prompt" label="Content of the hole, in words" placeholder="Content, in words" value={edit.prompt ?? ""} put={(prompt) => anew({ prompt })} />
      )}
    </>
  );
});

/** In the row of an edit whose hole is not filled yet: how far that is, or what fills it. */
export const FillingProgress = live(function FillingProgress({ edit, index }: { edit: ObjectEdit; index: number }) {
  const { store } = useView();
  if (!isUnpainted(edit) || edit.hidden) return null;
  const { measures, done, total, state } = store.status.value;
  if (measures[0] === "edit") {
    return (
      <span class="isi-filling" data-testid={`layer-${index}-filling`}>
        <progress aria-label="Filling the hole" {...(total > 0 ? { value: done, max: total } : {})} />
        <Button test={`layer-${index}-stop`} label="Cancel filling (Esc)" icon="close" kind="bare" why={state === "cancelling" && "it stops at the next step"} onClick={() => store.cancel()} />
      </span>
    );
  }
  if (!store.insync.value || store.unrendered.value > 0) return null;
  return <Button test={`layer-${index}-fill`} label="Its hole is not filled yet: fill it now" text="Fill" why={store.running.value && "the model is running"} onClick={() => fillHoles(store)} />;
});
