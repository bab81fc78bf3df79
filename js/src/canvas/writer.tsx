// Text edited in place: a new text, a text on the picture, or the label of an arrow.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { same } from "../document";
import { omit } from "../records";
import { toScreen } from "../geometry";
import { editField } from "../keyboard";
import { composing } from "../keys";
import { live, useSignal } from "../live";
import type { Operation } from "../protocol";
import { styleOf } from "../state/styling";
import { angleOf, LABEL_SIZE, LINE_HEIGHT, reworded, type Measure } from "../shapes";
import { useView } from "../view";
import { FONT } from "./font";

/** Pixels of the screen that the field for a text takes at least. */
const FIELD = 80;

export const Writer = live(function Writer({ measure }: { measure: Measure }) {
  const { screen } = useView();
  const field = useRef<HTMLTextAreaElement>(null);
  const writing = screen.writing.value;
  const index = writing?.index ?? null;
  const edited = (): Operation | undefined => (index === null ? undefined : screen.store.document.value.operations[index]);
  // The text at the start of the edit: Python may replace it meanwhile.
  const begun = useMemo(edited, []);
  const text = useSignal(writing?.text ?? "");
  useEffect(() => {
    field.current?.focus({ preventScroll: true });
    field.current?.select();
  }, []);
  if (!writing) return null;
  const { scale } = screen.transform.value;
  const label = begun?.op === "arrow";
  const look = styleOf(screen);
  const color = begun && "color" in begun ? begun.color : look.color;
  const size = begun?.op === "text" ? begun.size : label && begun.label ? (begun.size ?? LABEL_SIZE) : look.size;
  const finish = (): void => {
    if (!screen.writing.value) return;
    screen.writing.value = null;
    const written = text.value.trim();
    if (index !== null) {
      if (!begun || !same(begun, edited())) return;
      if (begun.op === "text" && written === "") screen.remove(index);
      else if (begun.op === "text") screen.change(index, reworded(begun, written, measure), { say: "Text changed" });
      else if (begun.op === "arrow") {
        const bare = omit(begun, "label", "size");
        screen.change(index, written ? { ...bare, label: written.replace(/\s*\n\s*/g, " "), size } : bare, { say: "Label changed" });
      }
    } else if (written !== "") {
      screen.tool.value = "select";
      screen.add({ op: "text", x: writing.at[0], y: writing.at[1], text: written, size, color });
    }
  };
  const font = Math.max(8, size * scale);
  const lines = text.value.split("\n");
  const wanted = Math.max(FIELD, ...lines.map((line) => measure(line, font) + font));
  const [x, y] = toScreen(screen.transform.value, writing.at);
  const angle = begun?.op === "text" ? angleOf(begun) : 0;
  // Never out of sight; what is longer scrolls within the field.
  const room = screen.viewport.value.width;
  const left = angle ? x : Math.max(0, Math.min(x, room - FIELD));
  return (
    <textarea
      ref={field}
      class="isi-write"
      data-testid="text-input"
      aria-label={label ? "Label of the arrow" : "Text on the image"}
      placeholder={label ? "Label" : "Text"}
      rows={1}
      wrap="off"
      dir="auto"
      value={text.value}
      style={{
        left: `${left}px`,
        top: `${y}px`,
        width: `${angle ? wanted : Math.min(wanted, room - left)}px`,
        height: `${lines.length * LINE_HEIGHT * font}px`,
        fontSize: `${font}px`,
        transform: angle ? `rotate(${angle}deg)` : "none",
        color,
        fontFamily: FONT,
      }}
      onInput={(event) => (text.value = event.currentTarget.value)}
      onBlur={finish}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (composing(event)) return;
        if (event.key === "Escape") screen.writing.value = null;
        else if (editField(event)) {
          event.preventDefault();
          return;
        } else if (event.key === "Enter") finish();
        else return;
        event.preventDefault();
        (field.current?.closest(".isi-probe") as HTMLElement | null)?.focus({ preventScroll: true });
      }}
    />
  );
});
