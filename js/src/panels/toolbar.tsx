// The tools beside the picture, and above it the properties of the selection or of what will be drawn next.
import { live } from "../live";
import type { Drawing } from "../protocol";
import { type Tool } from "../state/screen";
import { randomSeed } from "../state/store";
import { useView } from "../view";
import { Button, NumberField, decimals } from "./parts";

const TOOLS: { tool: Tool; label: string; key: string }[] = [
  { tool: "select", label: "Select", key: "V" },
  { tool: "box", label: "Box", key: "B" },
  { tool: "ellipse", label: "Ellipse", key: "O" },
  { tool: "line", label: "Line", key: "L" },
  { tool: "arrow", label: "Arrow", key: "A" },
  { tool: "text", label: "Text", key: "T" },
  { tool: "noise", label: "Noise", key: "N" },
];

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
  const ready = (store.picture.value ?? store.base.value) !== null;
  return (
    <div class="isi-tools" role="toolbar" aria-label="Tools" aria-orientation="vertical">
      {TOOLS.map(({ tool, label, key }) => (
        <Button
          key={tool}
          test={`tool-${tool}`}
          label={`${label} (${key})`}
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
  box: "Drag over the image. Shift keeps it square.",
  ellipse: "Drag over the image. Shift makes a circle.",
  line: "Drag from start to end.",
  arrow: "Drag from tail to head.",
  text: "Click where the text begins.",
  noise: "Drag over a region, or take the whole image.",
};

export const Properties = live(function Properties() {
  const { screen, store } = useView();
  const selection = screen.selection.value;
  const tool = screen.tool.value;
  const kind: string = selection?.op ?? tool;
  const { past, future } = store.document.value;
  return (
    <div class="isi-properties" data-testid="properties">
      <div class="isi-fields">
        {kind !== "select" && kind !== "noise" && <Color />}
        {(kind === "box" || kind === "ellipse") && <Fill />}
        {kind !== "select" && kind !== "noise" && kind !== "text" && <Width filled={isFilled(selection, screen.style.value.fill, kind)} />}
        {kind === "text" && <TextSize />}
        {kind === "noise" && <Sigma />}
        {!selection && <span class="isi-muted isi-cut">{HINTS[tool]}</span>}
      </div>
      <div class="isi-group">
        <Button test="undo" label="Undo (Ctrl+Z)" icon="undo" kind="bare" why={past.length === 0 && "nothing has been changed"} onClick={() => store.undo()} />
        <Button test="redo" label="Redo (Shift+Ctrl+Z)" icon="redo" kind="bare" why={future.length === 0 && "nothing was undone"} onClick={() => store.redo()} />
        <Button
          test="delete"
          label="Delete (Del)"
          icon="trash"
          kind="bare"
          why={!selection && "nothing is selected"}
          onClick={() => screen.selected.value !== null && screen.remove(screen.selected.value)}
        />
      </div>
    </div>
  );
});

function isFilled(selection: Drawing | null, style: boolean, kind: string): boolean {
  if (kind !== "box" && kind !== "ellipse") return false;
  return selection?.op === "box" || selection?.op === "ellipse" ? selection.fill : style;
}

const Color = live(function Color() {
  const { screen } = useView();
  const selection = screen.selection.value;
  const color = selection && "color" in selection ? selection.color : screen.style.value.color;
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
          onClick={() => screen.restyle({ color: value })}
        />
      ))}
      <label class="isi-swatch isi-anycolor" title="Any colour" style={{ "--isi-any": color }} data-any={!COLORS.some(([value]) => value === color)}>
        <input
          type="color"
          aria-label="Any colour"
          data-testid="color-any"
          value={/^#[0-9a-f]{6}$/i.test(color) ? color : "#000000"}
          onInput={(event) => screen.restyle({ color: event.currentTarget.value }, true)}
          onChange={(event) => screen.restyle({ color: event.currentTarget.value })}
        />
      </label>
    </div>
  );
});

const Fill = live(function Fill() {
  const { screen } = useView();
  const selection = screen.selection.value;
  const fill = selection?.op === "box" || selection?.op === "ellipse" ? selection.fill : screen.style.value.fill;
  return (
    <label class="isi-check" title="Filled shapes cover what is below; outlines only point at it">
      <input type="checkbox" data-testid="fill" checked={fill} onChange={(event) => screen.restyle({ fill: event.currentTarget.checked })} />
      filled
    </label>
  );
});

const Width = live(function Width({ filled }: { filled: boolean }) {
  const { screen } = useView();
  const selection = screen.selection.value;
  if (filled) return null;
  let width = screen.style.value.width;
  if (selection?.op === "box" || selection?.op === "ellipse") width = selection.line_width;
  else if (selection?.op === "line" || selection?.op === "arrow") width = selection.width;
  return <NumberField test="line-width" label="Width" title="Width of the line, px of the image" value={width} low={1} high={200} onChange={(value) => screen.restyle({ width: value })} />;
});

const TextSize = live(function TextSize() {
  const { screen } = useView();
  const selection = screen.selection.value;
  const size = selection?.op === "text" ? selection.size : screen.style.value.size;
  return <NumberField test="text-size" label="Size" title="Text size, px of the image" value={size} low={4} high={1000} onChange={(value) => screen.restyle({ size: value })} />;
});

const Sigma = live(function Sigma() {
  const { screen, store } = useView();
  const selection = screen.selection.value;
  const noise = selection?.op === "noise" ? selection : null;
  const sigma = noise?.sigma ?? screen.style.value.sigma;
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
          onInput={(event) => screen.restyle({ sigma: Number(event.currentTarget.value) }, true)}
          onChange={(event) => screen.restyle({ sigma: Number(event.currentTarget.value) })}
        />
        <span>{decimals(sigma)}</span>
      </label>
      {noise ? (
        <Button
          test="noise-reseed"
          label={`Draw the noise anew (seed ${noise.seed})`}
          icon="dice"
          kind="bare"
          onClick={() => screen.selected.value !== null && screen.change(screen.selected.value, { ...noise, seed: randomSeed() }, { say: "Noise drawn anew" })}
        />
      ) : (
        <Button
          test="noise-whole"
          label="Add noise to the whole image"
          text="whole image"
          why={store.picture.value === null && store.base.value === null && "there is no image yet"}
          onClick={() => {
            const { sigma: strength } = screen.style.value;
            screen.tool.value = "select";
            screen.add({ op: "noise", sigma: strength, seed: randomSeed(), region: null });
          }}
        />
      )}
    </>
  );
});
