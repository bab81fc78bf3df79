// A share by layer (across, as in the chart of layers) and head (down), the darker the larger: from none to all, in every trial the same.
// Hand-made SVG that fills its box.
import { shareIn } from "../pointer";
import { ARROWS, STEPS } from "./matrix";

export interface Place {
  layer: number;
  head: number;
}

/** Where the largest share is. */
export function largest(shares: number[][]): Place {
  let best: Place = { layer: 0, head: 0 };
  shares.forEach((heads, layer) => heads.forEach((share, head) => {
    if (share > (shares[best.layer]?.[best.head] ?? 0)) best = { layer, head };
  }));
  return best;
}

interface Props {
  shares: number[][];
  label: string;
  /** the highlighted cell, and the callback for the pointer or an arrow key; null: none */
  over: Place | null;
  onPoint: (place: Place | null) => void;
}

/** One path for each of a few shades: thousands of heads stay a dozen elements. */
export function Heads({ shares, label, over, onPoint }: Props) {
  const rows = Math.max(...shares.map((heads) => heads.length));
  const paths = Array.from({ length: STEPS + 1 }, () => "");
  shares.forEach((heads, layer) => heads.forEach((share, head) => {
    const step = Math.round(STEPS * Math.min(1, Math.max(0, share)));
    paths[step] = `${paths[step] ?? ""}M${layer + 0.1} ${head + 0.04}h.8v.92h-.8z`;
  }));
  return (
    <svg
      class="isi-heads"
      data-segment="image"
      role="img"
      aria-label={label}
      viewBox={`0 0 ${shares.length} ${rows}`}
      preserveAspectRatio="none"
      onPointerMove={(event) => {
        const [across, down] = shareIn(event.currentTarget, event);
        const [layer, head] = [Math.floor(across * shares.length), Math.floor(down * rows)];
        onPoint(shares[layer]?.[head] === undefined ? null : { layer, head });
      }}
      onPointerLeave={() => onPoint(null)}
      tabindex={0}
      onFocus={() => onPoint(over ?? largest(shares))}
      onBlur={() => onPoint(null)}
      onKeyDown={(event) => {
        const step = ARROWS[event.key];
        if (!step || !over) return;
        const next = { layer: over.layer + step[1], head: over.head + step[0] };
        if (shares[next.layer]?.[next.head] !== undefined) onPoint(next);
        event.preventDefault();
        event.stopPropagation();
      }}
    >
      {paths.map((d, step) => d && <path key={step} class="isi-value" fill-opacity={0.06 + (0.94 * step) / STEPS} d={d} />)}
      {over && <path class="isi-here" d={`M${over.layer + 0.1} ${over.head + 0.04}h.8v.92h-.8z`} />}
    </svg>
  );
}
