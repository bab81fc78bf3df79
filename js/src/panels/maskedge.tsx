// The edge of the selected mask: how far it is moved and how soft it is, by sliders with their exact numbers.
import { live } from "../live";
import { selectionOf } from "../state/selection";
import { useView } from "../view";
import { NumberField } from "./number";

/** How far the edge of the selection is moved, and how soft it is. */
export const MaskEdge = live(function MaskEdge() {
  const { screen } = useView();
  const selection = selectionOf(screen);
  const { grow = 0, feather = 0 } = selection.state.value ?? {};
  const reach = selection.reach.value;
  return (
    <div class="isi-maskedge" role="group" aria-label="Edge of the selection" data-testid="edge">
      <Slider test="grow" label="Grow" title="Move the edge outwards, or inwards if less than 0, px of the image" value={grow} low={-reach} high={reach} least={-1000} most={1000} put={(value, moving) => selection.reshape({ grow: value }, moving)} />
      <Slider test="feather" label="Feather" title="Width of the soft edge outside the selection, px of the image" value={feather} low={0} high={reach} most={1000} put={(value, moving) => selection.reshape({ feather: value }, moving)} />
    </div>
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
export function Slider({ test, label, title, value, low, high, least = low, most = high, put }: SliderProps) {
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
