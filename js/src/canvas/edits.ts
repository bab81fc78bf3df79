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

const thingIn = ({ screen }: View, mask: Mask): Mask => selectionOf(screen).thing.value ?? mask;

/** Edits that leave a hole take the rim of the thing along. */
const leaving =
  (edit: (region: { mask: Mask }) => ObjectEdit): Action["act"] =>
  (view, mask) =>
    selectionOf(view.screen).acted(edit({ mask: thingIn(view, mask) }));

/** The edge of a colour is a little soft, as that of the thing is. */
const recolor: Action["act"] = ({ screen }, mask) =>
  selectionOf(screen).acted({ op: "recolor", region: { mask: { ...mask, feather: Math.max(1, mask.feather) } }, color: screen.own.value.color ? styleOf(screen).color : COLOR });

export const EDITS: Action[] = [
  { name: "remove", label: "Remove: fill from the surroundings (Del)", icon: "remove", act: leaving((region) => ({ op: "remove", region })) },
  { name: "recolor", label: "Recolour, with its shading", icon: "recolor", act: recolor },
  { name: "retexture", label: "Retexture: the texture is of a second selection, a file or another observation", icon: "retexture", act: ({ screen }, mask) => begin(screen, "retexture", mask) },
  { name: "resize", label: "Resize; or drag a corner of the selection", icon: "resize", act: leaving((region) => ({ op: "resize", region, factor: FACTOR })) },
  { name: "mirror", label: "Mirror left and right", icon: "mirror", act: leaving((region) => ({ op: "mirror", region, direction: "horizontal" })) },
  { name: "swap", label: "Swap with a second thing", icon: "swap", act: (view, mask) => begin(view.screen, "swap", thingIn(view, mask)) },
  { name: "copy", label: "Copy (Ctrl+C); Ctrl+V puts it here or in another picture", icon: "copy", act: ({ screen }) => void copyDrawings(screen) },
];
