// The attention of the answer token that is looked at, over the picture that it belongs to.
import { live, useSignal, useSignalEffect } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { useView } from "../view";

export const HeatLayer = live(function HeatLayer() {
  const { screen, store } = useView();
  const url = useSignal<string | null>(null);
  const asked = useRef<string | null>(null);
  const clear = (): void => {
    if (url.peek()) URL.revokeObjectURL(url.peek() as string);
    url.value = null;
  };
  useSignalEffect(() => {
    const token = screen.token.value;
    const trial = store.trial.value;
    // Never over another picture than the model saw.
    const fits = token !== null && trial !== null && store.current.value && !store.modelInfo.value.unavailable.attention;
    asked.current = fits ? store.askMap(trial.id, token) : null;
    if (!fits) clear();
  });
  useSignalEffect(() => {
    const heat = store.heat.value;
    if (!heat || heat.id !== asked.current) return;
    clear();
    url.value = URL.createObjectURL(new Blob([heat.layer], { type: "image/png" }));
  });
  useEffect(() => clear, []);
  const image = store.image.value;
  if (!url.value || !image) return null;
  const t = screen.transform.value;
  const style = { left: `${t.x}px`, top: `${t.y}px`, width: `${image.width * t.scale}px`, height: `${image.height * t.scale}px`, opacity: screen.opacity.value };
  return <img class="isi-heat" src={url.value} alt="" data-testid="heat" style={style} />;
});
