// What can be done to a selected thing of the picture, as actions of the bar beside the selection.
import { selectionOf } from "../state/selection";
import { begin } from "../state/second";
import { styleOf } from "../state/styling";
import { copyDrawings } from "../clipboard";
import type { Mask, ObjectEdit } from "../protocol";
import type { View } from "../view";
import type { Action } from "./actions";

/** Of a thing that is recoloured before any colour was chosen. */
const COLOR = "#e41a1c";
/** Of a thing that is resized by the button: the number and the corners follow. */
const FACTOR = 1.5;

const doing =
  (edit: (mask: Mask, view: View) => ObjectEdit): Action["act"] =>
  (view, mask) =>
    selectionOf(view.screen).acted(edit(mask, view));

export const EDITS: Action[] = [
  { name: "remove", label: "Remove: fill from the surroundings (Del)", icon: "remove", act: doing((mask) => ({ op: "remove", region: { mask } })) },
  { name: "recolor", label: "Recolour, with its shading", icon: "recolor", act: doing((mask, { screen }) => ({ op: "recolor", region: { mask }, color: screen.own.value.color ? styleOf(screen).color : COLOR })) },
  { name: "retexture", label: "Retexture: the texture is of a second selection, a file or another observation", icon: "retexture", act: ({ screen }, mask) => begin(screen, "retexture", mask) },
  { name: "resize", label: "Resize; or drag a corner of the selection", icon: "resize", act: doing((mask) => ({ op: "resize", region: { mask }, factor: FACTOR })) },
  { name: "mirror", label: "Mirror left and right", icon: "mirror", act: doing((mask) => ({ op: "mirror", region: { mask }, direction: "horizontal" })) },
  { name: "swap", label: "Swap with a second thing", icon: "swap", act: ({ screen }, mask) => begin(screen, "swap", mask) },
  { name: "copy", label: "Copy (Ctrl+C); Ctrl+V puts it here or in another picture", icon: "copy", act: ({ screen }) => void copyDrawings(screen) },
];
