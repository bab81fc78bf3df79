// A share by layer (across, as in the chart of layers) and head (down), the darker the larger. Hand-made SVG that fills its box.
const STEPS = 12;

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
  /** which cell the pointer is over; null: none */
  onPoint: (place: Place | null) => void;
}

/** One path for each of a few shades: thousands of heads stay a dozen elements. */
export function Heads({ shares, label, onPoint }: Props) {
  const rows = Math.max(...shares.map((heads) => heads.length));
  const most = Math.max(...shares.flat()) || 1;
  const paths = Array.from({ length: STEPS + 1 }, () => "");
  shares.forEach((heads, layer) => heads.forEach((share, head) => {
    const step = Math.round((STEPS * Math.max(0, share)) / most);
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
        const box = event.currentTarget.getBoundingClientRect();
        const layer = Math.floor(((event.clientX - box.left) / box.width) * shares.length);
        const head = Math.floor(((event.clientY - box.top) / box.height) * rows);
        onPoint(shares[layer]?.[head] === undefined ? null : { layer, head });
      }}
      onPointerLeave={() => onPoint(null)}
    >
      {paths.map((d, step) => d && <path key={step} class="isi-value" fill-opacity={0.06 + (0.94 * step) / STEPS} d={d} />)}
    </svg>
  );
}
