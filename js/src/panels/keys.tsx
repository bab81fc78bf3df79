// The list of keys, on "?".
import { NAMES, TOOL_KEYS } from "../state/screen";
import { Popover } from "./parts";

const KEYS: [string, string][] = [
  ...Object.entries(TOOL_KEYS).map(([key, tool]): [string, string] => [key.toUpperCase(), (NAMES[tool] ?? "Select").toLowerCase()]),
  ["D  R", "brushes of a selection: this is the object, this is not; [\u00a0] for their width"],
  ["Delete", "delete the selected drawings; remove the selected thing"],
  ["Arrows", "move by 1 pixel, with Shift 10"],
  ["Tab", "to the layers, to select by key"],
  ["[  ]", "below, above the next drawing"],
  ["Shift", "while drawing: square, circle, 45°; with a click: select one more; with a box or the wand: add"],
  ["Alt", "while moving: do not snap; with a box or the wand: take away"],
  ["Ctrl+A", "select everything"],
  ["Ctrl+C X V D", "copy, cut, paste, duplicate drawings or a thing"],
  ["Ctrl+Z", "undo"],
  ["Shift+Ctrl+Z", "redo"],
  ["+  -", "larger, smaller; Ctrl+wheel or a pinch, too"],
  ["0  1", "the whole image, 100 %"],
  ["Space", "hold and drag: move the view"],
  ["\\", "hold: without what is drawn"],
  ["H", "inside the model: layers and heads"],
  ["0 1 2 M", "on a head: gate 0, 1 or 2, the mean of the others; Shift+arrows select several"],
  ["Enter", "draw in the middle; close the polygon"],
  ["Ctrl+Enter", "run everything"],
  ["Esc", "close, cancel the run, or deselect"],
  ["?", "this list"],
];

export function Keys() {
  return (
    <Popover test="keys" label="Keys" classes="isi-keys">
      <h4>Keys</h4>
      <dl>
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="isi-muted">On a Mac, Cmd instead of Ctrl. To use an image of your own: drop it, paste it, or Open.</p>
    </Popover>
  );
}
