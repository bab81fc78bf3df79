// The list of keys, on "?".
import { TOOL_KEYS } from "../state/screen";
import { Popover } from "./parts";

const KEYS: [string, string][] = [
  ...Object.entries(TOOL_KEYS).map(([key, tool]): [string, string] => [key.toUpperCase(), tool]),
  ["Delete", "delete what is selected"],
  ["Arrows", "move by 1 pixel, with Shift 10"],
  ["Tab", "to the layers, to select by key"],
  ["Shift", "while drawing: square, circle, 45°"],
  ["Ctrl+Z", "undo"],
  ["Shift+Ctrl+Z", "redo"],
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
      <p class="isi-muted">On a Mac, Cmd instead of Ctrl. An image is taken by drop, paste or Open.</p>
    </Popover>
  );
}
