// Options of the tools that select an object or a flat area: what a press does, how wide the brush and how tolerant the wand is, and the edge of the selection.
import { live } from "../live";
import { selectionOf, type Mode } from "../state/selection";
import { useView } from "../view";
import { NumberField } from "./number";
import { Button } from "./parts";

const MODES: [Mode, string, string][] = [
  ["box", "box", "Drag a box around an object (S). Shift adds it to the selection, Alt takes it away"],
  ["object", "brush", "This is the object: paint over what is missing (D)"],
  ["background", "unbrush", "This is not: paint over what is too much (R)"],
];

export const MaskOptions = live(function MaskOptions() {
  const { screen } = useView();
  const selection = selectionOf(screen);
  const selected = selection.state.value;
  const mode = selection.mode.value;
  const none = selected === null && "nothing is selected";
  if (screen.tool.value === "wand") {
    const { tolerance } = selection;
    return (
      <>
        <Slider test="tolerance" label="Tolerance" title="Largest difference of a colour channel from the pixel that is clicked, 0 to 255" value={tolerance.value} low={0} high={128} most={255} put={(value) => (tolerance.value = value)} />
        {selected && <Edge />}
      </>
    );
  }
  return (
    <>
      <div class="isi-group" role="group" aria-label="How to select">
        {MODES.map(([name, icon, label]) => (
          <Button key={name} test={`mode-${name}`} label={label} icon={icon} kind="bare" pressed={mode === name} why={name !== "box" && none} onClick={() => (selection.mode.value = name)} />
        ))}
      </div>
      {selected && mode !== "box" && (
        <NumberField test="brush" label="Brush" title="Width of the brush, px of the image; [ and ] make it smaller and larger" value={selection.brush.value} low={1} high={1000} onChange={(pixels) => selection.setBrush(pixels)} />
      )}
      {selected && <Edge />}
    </>
  );
});

/** How far the edge of the selection is moved, and how soft it is. */
const Edge = live(function Edge() {
  const { screen } = useView();
  const selection = selectionOf(screen);
  const { grow = 0, feather = 0 } = selection.state.value ?? {};
  const reach = selection.reach.value;
  return (
    <>
      <Slider test="grow" label="Grow" title="Move the edge outwards, or inwards if less than 0, px of the image" value={grow} low={-reach} high={reach} least={-1000} most={1000} put={(value, moving) => selection.reshape({ grow: value }, moving)} />
      <Slider test="feather" label="Feather" title="Width of the soft edge outside the selection, px of the image" value={feather} low={0} high={reach} most={1000} put={(value, moving) => selection.reshape({ feather: value }, moving)} />
    </>
  );
});

interface SliderProps {
  test: string;
  label: string;
  title: string;
  value: number;
  /** ends of the slider, and of the exact number where those are farther */
  low: number;
  high: number;
  least?: number;
  most?: number;
  put: (value: number, moving: boolean) => void;
}

/** A slider with its exact number. */
function Slider({ test, label, title, value, low, high, least = low, most = high, put }: SliderProps) {
  return (
    <div class="isi-range isi-short" title={title}>
      <NumberField test={test} label={label} value={value} low={least} high={most} onChange={(next) => put(next, false)} />
      <input
        type="range"
        min={low}
        max={high}
        step="1"
        data-testid={`${test}-slider`}
        aria-label={`${label}, slider`}
        value={value}
        onInput={(event) => put(Number(event.currentTarget.value), true)}
        onChange={(event) => put(Number(event.currentTarget.value), false)}
      />
    </div>
  );
}
