// The attention of the answer token that is looked at, over the picture that it belongs to, and what its colours stand for.
import { live, useSignal, useSignalEffect } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { decimals } from "../panels/parts";
import { askHeat } from "../state/kernel";
import { useView } from "../view";

export const HeatLayer = live(function HeatLayer() {
  const { screen, store } = useView();
  const shown = useSignal<{ url: string; peak: number } | null>(null);
  const asked = useRef(new AbortController());
  const clear = (): void => {
    if (shown.peek()) URL.revokeObjectURL(shown.peek()?.url ?? "");
    shown.value = null;
  };
  useSignalEffect(() => {
    const token = screen.token.value;
    const trial = store.trial.value;
    // Never over another picture than the model saw.
    const fits = token !== null && trial !== null && store.current.value && !store.modelInfo.value.unavailable.attention;
    asked.current.abort();
    asked.current = new AbortController();
    if (!fits) {
      clear();
      return;
    }
    void askHeat(store, trial.id, token, asked.current.signal).then((heat) => {
      if (!heat) return;
      clear();
      shown.value = { url: URL.createObjectURL(new Blob([heat.layer], { type: "image/png" })), peak: heat.peak };
    });
  });
  useEffect(
    () => () => {
      asked.current.abort();
      clear();
    },
    [],
  );
  const image = store.image.value;
  const t = screen.transform.value;
  return (
    <>
      {shown.value && image && (
        <img
          class="isi-heat"
          src={shown.value.url}
          alt=""
          data-testid="heat"
          style={{ left: `${t.x}px`, top: `${t.y}px`, width: `${image.width * t.scale}px`, height: `${image.height * t.scale}px`, opacity: screen.opacity.value }}
        />
      )}
      {screen.token.value !== null && <Legend peak={shown.value?.peak} />}
    </>
  );
});

/** What the colours stand for, and how strongly they are laid over the picture; or why they are not. */
const Legend = live(function Legend({ peak }: { peak: number | undefined }) {
  const { screen, store } = useView();
  const { unavailable } = store.modelInfo.value;
  const why = unavailable.attention ?? unavailable.image_map ?? (store.current.value ? null : "The input has changed since: run again to see the attention over it.");
  const token = store.trial.value?.view.answer?.tokens[screen.token.value ?? -1]?.text.trim() ?? "";
  return (
    <div class="isi-legend" data-testid="heat-legend">
      {why ?? (
        <>
          <span title="Mean over layers and heads. 1: as if all attention of the token were spread evenly over the picture. The strongest colour is the largest value of this token.">
            {`density of attention, “${token}”`}
          </span>
          <span class="isi-scale">
            0 <i class="isi-ramp" /> {peak === undefined ? "–" : decimals(peak, 1)}
          </span>
          <input type="range" min="0" max="1" step="0.05" data-testid="opacity" title="Opacity" aria-label="Opacity of the attention over the picture" value={screen.opacity.value} onInput={(event) => (screen.opacity.value = Number(event.currentTarget.value))} />
        </>
      )}
    </div>
  );
});
