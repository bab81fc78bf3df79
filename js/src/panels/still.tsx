// The input as it is, in place of the editor until that has come, and for good where there is no kernel to send it.
import { live } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { GO_ON } from "../state/store";
import { useView } from "../view";

export const Still = live(function Still() {
  const { store } = useView();
  const canvas = useRef<HTMLCanvasElement>(null);
  const picture = store.picture.value;
  useEffect(() => {
    if (picture) canvas.current?.getContext("2d")?.drawImage(picture.source, 0, 0, picture.width, picture.height);
  }, [picture]);
  return (
    <div class="isi-left isi-still" data-testid="still">
      {picture && <canvas ref={canvas} width={picture.width} height={picture.height} role="img" aria-label={`Image for the question “${store.question.value}”`} />}
      <p dir="auto">{store.context.value}</p>
      <p dir="auto">{store.question.value}</p>
      <p class="isi-teach">{GO_ON}</p>
    </div>
  );
});
