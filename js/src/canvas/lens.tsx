// The lens: the words of each layer at the image token under the pointer, or at the one that arrow keys have reached. Part of the editor.
import { boxAt, boxBeside } from "../inside";
import { useEffect } from "preact/hooks";
import { live } from "../live";
import { decimals } from "../panels/parts";
import { gatesOf } from "../state/inside";
import { useView } from "../view";

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export const LensLayer = live(function LensLayer() {
  const { screen, store } = useView();
  const gates = gatesOf(screen);
  const found = gates.lens.value;
  const { shown, current } = store;
  // It stays on for the next trial, and after a reload: what is on the picture is what the words are of.
  const left = found ? found.lens !== "asked" && found.trial !== shown.value : store.lensOn.value;
  const trial = store.trial.value;
  const readable = !store.modelInfo.value.unavailable.interventions && trial && !store.otherModel(trial);
  const next = left && current.value && readable ? shown.value : null;
  useEffect(() => {
    if (next !== null) void gates.look(next);
  }, [next]);
  useEffect(() => {
    if (!store.lensOn.value) void gates.look(null);
  }, [store.lensOn.value]);
  if (!found || found.trial !== store.shown.value) return null;
  if (found.lens === "asked") return <div class="isi-legend" data-testid="lens-words">Reading the layers</div>;
  const { boxes, vocabulary, words, probabilities, unplaced } = found.lens;
  const why = unplaced || (!store.current.value && "The input has changed since: run again to look through the lens.");
  if (why) return <div class="isi-legend" data-testid="lens-words">{why}</div>;
  const { scale, x, y } = screen.transform.value;
  const cursor = screen.cursor.value;
  const pointed = cursor ? boxAt(boxes, cursor) : -1;
  const index = pointed >= 0 ? pointed : gates.patch.value;
  const box = boxes[index];
  const lines = (words[index] ?? []).map((layer, l) => layer.map((word, k) => `${JSON.stringify(vocabulary[word]?.trim() || "·").slice(1, -1)} ${decimals(probabilities[index]?.[l]?.[k] ?? 0)}`));
  const told = `Patch ${index + 1} of ${boxes.length}. ${lines.map((line, layer) => `Layer ${layer}: ${line[0] ?? ""}`).join(". ")}`;
  return (
    <>
      {box && (
        <div
          class="isi-patch"
          tabIndex={0}
          role="img"
          aria-roledescription="patch of the picture"
          aria-label={told}
          data-testid="lens-patch"
          data-index={index}
          style={{ left: `${x + box[0] * scale}px`, top: `${y + box[1] * scale}px`, width: `${(box[2] - box[0]) * scale}px`, height: `${(box[3] - box[1]) * scale}px` }}
          onKeyDown={(event) => {
            const step = ARROWS[event.key];
            if (event.key === "Escape") void gates.look(null);
            else if (step) {
              screen.cursor.value = null;
              gates.patch.value = boxBeside(boxes, index, step);
              store.spoken.value = "";
            } else return;
            event.preventDefault();
            event.stopPropagation();
          }}
        />
      )}
      <table class="isi-legend isi-lenswords" data-testid="lens-words" aria-live="polite">
        <caption class="isi-spoken">Words of each layer at this patch, with their probabilities</caption>
        <tbody>
          {lines.map((line, layer) => (
            <tr key={layer}>
              <th scope="row" class="isi-muted">{`L${layer}`}</th>
              {line.map((word, k) => (
                <td key={k}>{word}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
});
