// Hand-made SVG charts: a bar with its interval, stacked columns. They scale with their box; the numbers stand beside them as text.
import { shareIn } from "../pointer";
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

/** A share of the whole width, with an interval as a thin line with ends; an arrow where either goes on beyond the end. */
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
      {Math.max(value, interval?.[1] ?? 0) > 1 && (
        <svg class="isi-beyond" x="100%" width="6" height="100%" viewBox="0 0 6 10" preserveAspectRatio="none" overflow="visible">
          <path d="M1 0l5 5l-5 5z" />
        </svg>
      )}
      {typeof usual === "number" && <line class="isi-usual" x1={percent(usual)} x2={percent(usual)} y1="-30%" y2="130%" />}
    </svg>
  );
}

interface StackProps {
  columns: Shares[];
  label: string;
  /** the highlighted column, and the callback for the pointer or an arrow key; absent: none */
  over?: number | null;
  onPoint?: (column: number | null) => void;
}

/** One column per layer, its parts stacked from the bottom. */
export function Stack({ columns, label, over = null, onPoint }: StackProps) {
  const asked = onPoint && {
    tabindex: 0,
    onPointerMove: (event: PointerEvent) => {
      const [across] = shareIn(event.currentTarget as Element, event);
      onPoint(Math.min(columns.length - 1, Math.max(0, Math.floor(across * columns.length))));
    },
    onPointerLeave: () => onPoint(null),
    onFocus: () => onPoint(over ?? 0),
    onBlur: () => onPoint(null),
    onKeyDown: (event: KeyboardEvent) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || over === null) return;
      if (columns[over + step]) onPoint(over + step);
      event.preventDefault();
      event.stopPropagation();
    },
  };
  return (
    <svg class={onPoint ? "isi-stack isi-asked" : "isi-stack"} role="img" aria-label={label} viewBox={`0 0 ${columns.length} 1`} preserveAspectRatio="none" {...asked}>
      {columns.map((column, i) => {
        let top = 1;
        return Object.entries(column).map(([segment, height = 0]) => (
          <rect key={segment} class="isi-value" data-segment={segment} x={i + 0.1} width={0.8} y={(top -= height)} height={height} />
        ));
      })}
      {over !== null && <path class="isi-here" d={`M${over + 0.1} 0h.8v1h-.8z`} />}
    </svg>
  );
}
