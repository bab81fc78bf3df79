// What can be done to the mask that is selected: a list, in the order of the bar beside it (maskbar.tsx). Each adds operations of the document.
import type { Drawing, Mask } from "../protocol";
import { effect, type DragTool } from "../shapes";
import { selectionOf } from "../state/selection";
import { styleOf } from "../state/styling";
import { randomSeed } from "../state/store";
import type { View } from "../view";
import { EDITS } from "./edits";

export interface Action {
  name: string;
  label: string;
  icon: string;
  /** why it cannot be done now; absent or false: it can */
  why?: (view: View, mask: Mask) => string | false;
  act: (view: View, mask: Mask) => void;
}

const affecting = (tool: DragTool, label: string): Action => ({
  name: tool,
  label,
  icon: tool,
  act: ({ screen }, mask) => selectionOf(screen).acted(effect(tool, { mask }, styleOf(screen), randomSeed()) as Drawing),
});

export const ACTIONS: Action[] = [
  ...EDITS,
  {
    name: "cover",
    label: "Cover with the colour of the tools",
    icon: "cover",
    act: ({ screen }, mask) => selectionOf(screen).acted({ op: "erase", fill: styleOf(screen).color, region: { mask } }),
  },
  affecting("erase", "Erase, with the fill of its tool"),
  affecting("noise", "Add noise"),
  affecting("blur", "Blur"),
  affecting("pixelate", "Pixelate"),
];
