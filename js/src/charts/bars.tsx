// Hand-made SVG charts: a bar with its interval, stacked columns. They scale with their box; the numbers stand beside them as text.
import type { Shares } from "../protocol";

export type Interval = [low: number, high: number];

const percent = (share: number): string => `${100 * Math.min(1, Math.max(0, share))}%`;

interface BarProps {
  value: number;
  interval?: Interval | null | undefined;
  /** what is usual: a tick that stands out over the bar */
  usual?: number | null | undefined;
  label: string;
}

/** A share of the whole width, with an interval as a thin line with ends. */
export function Bar({ value, interval, usual, label }: BarProps) {
  const [low, high] = (interval ?? [0, 0]).map(percent);
  return (
    <svg class={interval ? "isi-bar isi-interval" : "isi-bar"} role="img" aria-label={label}>
      <rect class="isi-track" width="100%" height="100%" rx="2" />
      <rect class="isi-value" width={percent(value)} height="100%" rx="2" />
      {interval && (
        <g class="isi-whisker">
          <line x1={low} x2={high} y1="50%" y2="50%" />
          <line x1={low} x2={low} y1="15%" y2="85%" />
          <line x1={high} x2={high} y1="15%" y2="85%" />
        </g>
      )}
      {typeof usual === "number" && <line class="isi-usual" x1={percent(usual)} x2={percent(usual)} y1="-30%" y2="130%" />}
    </svg>
  );
}

/** One column per layer, its parts stacked from the bottom. */
export function Stack({ columns, label }: { columns: Shares[]; label: string }) {
  return (
    <svg class="isi-stack" role="img" aria-label={label} viewBox={`0 0 ${columns.length} 1`} preserveAspectRatio="none">
      {columns.map((column, i) => {
        let top = 1;
        return Object.entries(column).map(([segment, height = 0]) => (
          <rect key={segment} class="isi-value" data-segment={segment} x={i + 0.1} width={0.8} y={(top -= height)} height={height} />
        ));
      })}
    </svg>
  );
}
