// Hand-made SVG charts: one bar, one interval, stacked columns. They scale with their box; the numbers stand beside them as text.

interface BarProps {
  value: number;
  max?: number;
  /** a segment's name, or nothing for the neutral bar */
  segment?: string;
  label: string;
}

const percent = (value: number, max: number): string => `${max > 0 ? Math.min(100, Math.max(0, (100 * value) / max)) : 0}%`;

export function Bar({ value, max = 1, segment, label }: BarProps) {
  return (
    <svg class="isi-bar" role="img" aria-label={label} data-segment={segment}>
      <rect class="isi-track" width="100%" height="100%" rx="2" />
      <rect class="isi-value" width={percent(value, max)} height="100%" rx="2" />
    </svg>
  );
}

interface IntervalProps {
  value: number;
  low: number | null;
  high: number | null;
  max: number;
  label: string;
}

/** A value on its scale with its interval as a thin band around it. */
export function Interval({ value, low, high, max, label }: IntervalProps) {
  const x = (v: number): number => (max > 0 ? Math.min(100, Math.max(0, (100 * v) / max)) : 0);
  return (
    <svg class="isi-bar isi-interval" role="img" aria-label={label}>
      <rect class="isi-track" width="100%" height="100%" rx="2" />
      <rect class="isi-value" width={`${x(value)}%`} height="100%" rx="2" />
      {low !== null && high !== null && (
        <g class="isi-whisker">
          <line x1={`${x(low)}%`} x2={`${x(high)}%`} y1="50%" y2="50%" />
          <line x1={`${x(low)}%`} x2={`${x(low)}%`} y1="20%" y2="80%" />
          <line x1={`${x(high)}%`} x2={`${x(high)}%`} y1="20%" y2="80%" />
        </g>
      )}
    </svg>
  );
}

interface StackProps {
  columns: Partial<Record<string, number>>[];
  segments: readonly string[];
  label: string;
}

/** One column per layer, its parts stacked in the order of the segments from the bottom. */
export function Stack({ columns, segments, label }: StackProps) {
  const gap = columns.length > 24 ? 0.15 : 0.2;
  return (
    <svg class="isi-stack" role="img" aria-label={label} viewBox={`0 0 ${columns.length} 1`} preserveAspectRatio="none">
      {columns.map((column, i) => {
        let top = 1;
        return segments.map((segment) => {
          const height = column[segment] ?? 0;
          top -= height;
          return <rect key={`${i}${segment}`} class="isi-value" data-segment={segment} x={i + gap / 2} width={1 - gap} y={top} height={height} />;
        });
      })}
    </svg>
  );
}
