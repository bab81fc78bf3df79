// Options of the tools that select an object or a flat area: what a press does, how wide the brush and how tolerant the wand is.
import { live } from "../live";
import { selectionOf, type Mode } from "../state/selection";
import { useView } from "../view";
import { insert, PictureButton } from "./insert";
import { Slider } from "./maskedge";
import { NumberField } from "./number";
import { Button } from "./parts";

const MODES: [Mode, string, string][] = [
  ["box", "box", "Drag a box round an object (S)"],
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
      <Slider test="tolerance" label="Tolerance" title="Largest distance from the colour of the clicked pixel, in CIELAB: 2 is just visible, 100 is black to white" value={tolerance.value} low={0} high={50} most={300} put={(value) => (tolerance.value = value)} />
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
      {!selected && <PictureButton name="insert" label="Insert a picture: a file, or that of another observation" take={insert} />}
    </>
  );
});
