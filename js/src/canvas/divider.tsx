// The divider between the picture before and after.
import { live } from "../live";
import { shareIn } from "../pointer";
import { useView } from "../view";

/** The line between before (left) and after, to be dragged. */
export const Divider = live(function Divider() {
  const { screen } = useView();
  const drag = (event: PointerEvent): void => {
    const around = (event.currentTarget as HTMLElement).parentElement;
    if (event.buttons && around) screen.divider.value = Math.min(1, Math.max(0, shareIn(around, event)[0]));
  };
  const percent = Math.round(100 * screen.divider.value);
  return (
    <div
      class="isi-divider"
      role="slider"
      tabIndex={0}
      aria-label="Without what is drawn, left of here"
      aria-valuenow={percent}
      aria-valuemin={0}
      aria-valuemax={100}
      data-testid="divider"
      style={{ left: `${100 * screen.divider.value}%` }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        event.preventDefault();
      }}
      onPointerMove={drag}
      onKeyDown={(event) => {
        const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
        if (!step) return;
        screen.divider.value = Math.min(1, Math.max(0, screen.divider.value + step));
        event.preventDefault();
        event.stopPropagation();
      }}
    />
  );
});
