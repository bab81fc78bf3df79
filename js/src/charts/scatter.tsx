// Points in a plane, each with a name: what is cheap to see (attention) against what was measured (the effect). Hand-made SVG with room for its axes.
export interface Dot {
  x: number;
  y: number;
  name: string;
  chosen?: boolean;
}

interface Props {
  dots: Dot[];
  label: string;
  x: { name: string; top: number };
  y: { name: string; digits: number; low: number; top: number };
  onPress: (index: number) => void;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [320, 170, 44, 30];

/** x from 0 to its end; y from its lowest to its highest number, 0 among them. */
export function Scatter({ dots, label, x, y, onPress }: Props) {
  const across = (value: number): number => LEFT + ((WIDTH - LEFT - 16) * value) / (x.top || 1);
  const down = (value: number): number => 8 + ((HEIGHT - BOTTOM - 14) * (y.top - value)) / (y.top - y.low || 1);
  // Numbers on the axis that would touch one another are left out.
  const ticks = [0, ...[y.top, y.low].filter((value) => Math.abs(down(value) - down(0)) > 12)];
  const tick = (value: number, digits = 2): string => `${value < 0 ? "−" : ""}${value === 0 ? "0" : Math.abs(value).toFixed(digits)}`;
  return (
    <svg class="isi-scatter" role="img" aria-label={label} viewBox={`0 0 ${WIDTH} ${HEIGHT}`}>
      <path class="isi-axis" d={`M${LEFT} 8V${HEIGHT - BOTTOM}H${WIDTH - 8}M${LEFT} ${down(0)}H${WIDTH - 8}`} />
      {ticks.map((value) => (
        <text key={value} x={LEFT - 5} y={down(value) + 4} text-anchor="end">
          {tick(value, y.digits)}
        </text>
      ))}
      {[0, x.top].map((value) => (
        <text key={value} x={across(value)} y={HEIGHT - BOTTOM + 14} text-anchor="middle">
          {tick(value)}
        </text>
      ))}
      <text x={(WIDTH + LEFT) / 2} y={HEIGHT - 4} text-anchor="middle">
        {x.name}
      </text>
      <text transform={`translate(10 ${(HEIGHT - BOTTOM) / 2}) rotate(-90)`} text-anchor="middle">
        {y.name}
      </text>
      {dots.map((dot, i) => (
        <circle key={dot.name} class={dot.chosen ? "isi-dotted isi-picked" : "isi-dotted"} cx={across(dot.x)} cy={down(dot.y)} r={dots.length > 200 ? 2 : 4} onClick={() => onPress(i)}>
          <title>{dot.name}</title>
        </circle>
      ))}
    </svg>
  );
}
