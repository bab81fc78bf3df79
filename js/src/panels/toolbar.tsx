// The tools beside the picture, and above it the properties of the selection or of what will be drawn next.
import { duplicate } from "../clipboard";
import { live } from "../live";
import type { Drawing } from "../protocol";
import { effect, maskOf, type DragTool } from "../shapes";
import { cut } from "../state/kernel";
import { NAMES, TOOL_KEYS, type Tool } from "../state/screen";
import { lookOf, restyle, styleOf } from "../state/styling";
import { selectionOf, type Mode } from "../state/selection";
import { randomSeed } from "../state/store";
import { useView } from "../view";
import { MaskOptions } from "./maskoptions";
import { NumberField } from "./number";
import { Button, decimals } from "./parts";

export const COLORS: [string, string][] = [
  ["#000000", "black"],
  ["#ffffff", "white"],
  ["#808080", "grey"],
  ["#e41a1c", "red"],
  ["#ffd400", "yellow"],
  ["#1a9850", "green"],
  ["#2166ac", "blue"],
];

export const Tools = live(function Tools() {
  const { screen, store } = useView();
  const ready = store.image.value !== null;
  return (
    <div class="isi-tools" role="toolbar" aria-label="Tools" aria-orientation="vertical">
      {Object.entries(TOOL_KEYS).map(([key, tool]) => (
        <Button
          key={tool}
          test={`tool-${tool}`}
          label={`${NAMES[tool] ?? "Select"} (${key.toUpperCase()}). ${HINTS[tool]}`}
          icon={tool}
          kind="bare"
          pressed={screen.tool.value === tool}
          why={!ready && tool !== "select" && "there is no image yet"}
          onClick={() => screen.setTool(tool)}
        />
      ))}
    </div>
  );
});

const HINTS: Record<Tool, string> = {
  select: "Click a shape to change it, or choose a tool and draw.",
  segment: "Drag a box round an object to find its outline.",
  wand: "Click a flat area. Shift adds, Alt takes away.",
  box: "Drag over the image. Shift keeps it square.",
  ellipse: "Drag over the image. Shift makes a circle.",
  polygon: "Click corner by corner; the first one again, or Enter, closes it.",
  freehand: "Drag around what is to be covered.",
  line: "Drag from start to end.",
  arrow: "Drag from tail to head; a double click labels it.",
  text: "Click where the text begins.",
  noise: "Drag over a region, or take the whole image.",
  blur: "Drag over a region, or take the whole image.",
  pixelate: "Drag over a region, or take the whole image.",
  erase: "Drag over what is to be removed.",
  patch: "Drag over a piece of the image; then move the copy.",
  picker: "Click a pixel: its colour is taken.",
};

/** Of the tool that selects an object, once something is selected. */
const MODE_HINTS: Record<Mode, string> = {
  box: "Drag again for another object. Shift adds, Alt takes away.",
  object: "Paint over what is missing. Width: [ and ].",
  background: "Paint over what is too much. Width: [ and ].",
};

const FILLS = [
  ["mean", "mean colour", "Fill with the mean colour of the image"],
  ["inpaint", "in-paint", "Fill smoothly from the surroundings"],
  ["color", "colour", "Fill with a colour"],
] as const;

export const Properties = live(function Properties() {
  const { screen, store } = useView();
  const selection = screen.selection.value;
  const several = screen.chosen.value.length;
  const tool = screen.tool.value;
  const kind: string = selection?.op ?? (tool === "freehand" ? "polygon" : tool);
  const look = lookOf(screen);
  const { past, future } = store.document.value;
  const masks = selectionOf(screen);
  const selecting = tool === "segment" || tool === "wand";
  const mask = selection && "region" in selection ? maskOf(selection.region) : null;
  const area = kind === "box" || kind === "ellipse" || kind === "polygon";
  const stroke = kind === "line" || kind === "arrow";
  const isEffect = effect(kind as DragTool, null, look, 0) !== null;
  const coloured = area || stroke || kind === "text" || kind === "picker" || kind === "recolor" || several > 1 || (kind === "erase" && look.erase === "color");
  return (
    <div class="isi-properties" data-testid="properties">
      <div class="isi-fields">
        {several > 1 && <span>{several} chosen</span>}
        {coloured && <Color color={look.color} />}
        {area && (
          <label class="isi-check" title="Filled shapes cover what is below; outlines only point at it">
            <input type="checkbox" data-testid="fill" checked={look.fill} onChange={(event) => restyle(screen, { fill: event.currentTarget.checked })} />
            filled
          </label>
        )}
        {((area && !look.fill) || stroke) && (
          <NumberField test="line-width" label="Width" title="Width of the line, px of the image" value={look.width} low={1} high={200} onChange={(width) => restyle(screen, { width })} />
        )}
        {(kind === "text" || (selection?.op === "arrow" && selection.label)) && <NumberField test="text-size" label={kind === "text" ? "Size" : "Label"} title="Text size, px of the image" value={look.size} low={4} high={1000} onChange={(size) => restyle(screen, { size })} />}
        {kind === "noise" && <Sigma sigma={look.sigma} />}
        {kind === "blur" && (
          <NumberField test="radius" label="Radius" title="Standard deviation of the Gaussian blur, px of the image" value={look.radius} low={0.5} high={500} step={0.5} onChange={(radius) => restyle(screen, { radius })} />
        )}
        {kind === "pixelate" && <NumberField test="block" label="Block" title="Side of a block, px of the image" value={look.block} low={2} high={1000} onChange={(block) => restyle(screen, { block })} />}
        {kind === "erase" && (
          <select class="isi-select" data-testid="erase-fill" aria-label="Fill with" value={look.erase} onChange={(event) => restyle(screen, { erase: event.currentTarget.value })}>
            {FILLS.map(([value, text, title]) => (
              <option key={value} value={value} title={title}>
                {text}
              </option>
            ))}
          </select>
        )}
        {selection?.op === "patch" && store.observations.value.length > 1 && (
          <NumberField
            test="patch-of"
            label="of observation"
            title="The observation whose image the patch is cut from"
            value={selection.image === null ? store.index.value : ""}
            low={0}
            high={store.observations.value.length - 1}
            onChange={(observation) => screen.selected.value !== null && cut(store, screen.selected.value, observation)}
          />
        )}
        {isEffect && !selection && (
          <label class="isi-check" title="Draw the region freehand instead of as a rectangle">
            <input type="checkbox" data-testid="lasso" checked={screen.lasso.value} onChange={(event) => (screen.lasso.value = event.currentTarget.checked)} />
            freehand
          </label>
        )}
        {isEffect && !selection && kind !== "erase" && <Whole kind={kind as DragTool} />}
        {selecting && <MaskOptions />}
        {mask && (
          <Button
            test="use-mask"
            label="Select this mask again, to refine it or do something else to it"
            icon="segment"
            kind="bare"
            onClick={() => {
              selectionOf(screen).take(mask);
              screen.setTool("segment");
            }}
          />
        )}
        {!selection && several === 0 && <span class="isi-hint" data-testid="hint">{tool === "segment" && masks.state.value ? MODE_HINTS[masks.mode.value] : HINTS[tool]}</span>}
      </div>
      <div class="isi-group">
        <Button test="undo" label="Undo (Ctrl+Z)" icon="undo" kind="bare" why={past.length + masks.past.value.length === 0 && "nothing has been changed"} onClick={() => masks.undo()} />
        <Button test="redo" label="Redo (Shift+Ctrl+Z)" icon="redo" kind="bare" why={future.length + masks.future.value.length === 0 && "nothing was undone"} onClick={() => masks.redo()} />
        <Button
          test="duplicate"
          label="Duplicate (Ctrl+D)"
          icon="copy"
          kind="bare"
          why={several === 0 && "nothing is selected"}
          onClick={() => duplicate(screen)}
        />
        <Button test="delete" label="Delete (Del)" icon="trash" kind="bare" why={several === 0 && "nothing is selected"} onClick={() => screen.removeChosen()} />
      </div>
    </div>
  );
});

/** An effect on the whole image, in one click. */
const Whole = live(function Whole({ kind }: { kind: DragTool }) {
  const { screen, store } = useView();
  return (
    <Button
      test={`${kind}-whole`}
      label={`${NAMES[kind] ?? ""} over the whole image`}
      text="whole image"
      why={store.picture.value === null && store.base.value === null && "there is no image yet"}
      onClick={() => {
        const made = effect(kind, null, styleOf(screen), randomSeed());
        screen.tool.value = "select";
        if (made) screen.add(made);
      }}
    />
  );
});

function Color({ color }: { color: string }) {
  const { screen } = useView();
  return (
    <div class="isi-colors" role="group" aria-label="Colour">
      {COLORS.map(([value, name]) => (
        <button
          key={value}
          type="button"
          class="isi-swatch"
          style={{ background: value }}
          title={name}
          aria-label={name}
          aria-pressed={color === value}
          data-testid={`color-${name}`}
          onClick={() => restyle(screen, { color: value })}
        />
      ))}
      <label class="isi-swatch isi-anycolor" title="Any colour" style={{ "--isi-any": color }} data-any={!COLORS.some(([value]) => value === color)}>
        <input
          type="color"
          aria-label="Any colour"
          data-testid="color-any"
          value={/^#[0-9a-f]{6}$/i.test(color) ? color : "#000000"}
          onInput={(event) => restyle(screen, { color: event.currentTarget.value }, true)}
          onChange={(event) => restyle(screen, { color: event.currentTarget.value })}
        />
      </label>
    </div>
  );
}

const Sigma = live(function Sigma({ sigma }: { sigma: number }) {
  const { screen } = useView();
  const noise = screen.selection.value;
  return (
    <>
      <label class="isi-range" title="Standard deviation of the Gaussian noise; intensities run from 0 to 1">
        <span>σ</span>
        <input
          type="range"
          min="0"
          max="1"
          step="0.01"
          data-testid="sigma"
          aria-label="Noise strength sigma"
          value={sigma}
          onInput={(event) => restyle(screen, { sigma: Number(event.currentTarget.value) }, true)}
          onChange={(event) => restyle(screen, { sigma: Number(event.currentTarget.value) })}
        />
        <span>{decimals(sigma)}</span>
      </label>
      {noise?.op === "noise" && (
        <Button
          test="noise-reseed"
          label={`New noise (now seed ${noise.seed})`}
          icon="dice"
          kind="bare"
          onClick={() => screen.alter((d) => ({ ...d, seed: randomSeed() }) as Drawing, { say: "Noise drawn anew" })}
        />
      )}
    </>
  );
});
