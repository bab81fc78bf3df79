// Two drawings of one measure: differences of each condition to the baseline, and curves over the values of a grid. Hand-made SVG.
import { live, useSignal } from "../live";
import { decimals, plural } from "../numbers";
import { Button, Choice, named, pvalue, signed } from "./parts";
import type { Column, Curve, Difference, Plot } from "./read";
import { useStudy } from "./view";

export const Plots = live(function Plots() {
  const store = useStudy();
  const { plots, baseline, note } = store.plots.value;
  const measure = useSignal("");
  const kind = useSignal<"differences" | "curves" | "">("");
  const plot = plots.find(({ column }) => column.name === measure.value) ?? plots[0];
  if (!plot) return null;
  const kinds = [plots.some(({ differences }) => differences.length > 0) && ("differences" as const), plots.some(({ curves }) => curves.length > 0) && ("curves" as const)].filter((name) => name !== false);
  const shown = kinds.find((name) => name === kind.value) ?? kinds[0];
  if (!shown) return null;
  return (
    <section class="isi-plot" data-testid="plot" aria-label="Plot">
      <div class="isi-row">
        <div class="isi-toggles" role="group" aria-label="Kind of plot">
          {kinds.map((name) => (
            <Button
              key={name}
              test={`plot-${name}`}
              label={name === "differences" ? `Differences of each condition to ${baseline}, over the same observations` : "Means over the values of a grid"}
              text={name === "differences" ? `Differences to ${baseline}` : "Curves"}
              pressed={name === shown}
              onClick={() => (kind.value = name)}
            />
          ))}
        </div>
        <Choice test="plot-measure" label="Measure" value={plot.column.name} options={plots.map(({ column }) => ({ value: column.name, text: named(column) }))} onChoose={(name) => (measure.value = name)} />
      </div>
      {shown === "differences" ? <Differences plot={plot} /> : <Curves plot={plot} />}
      {note && <p class="isi-muted">{note}</p>}
    </section>
  );
});

/** Every condition on one scale, zero in its middle. */
function Differences({ plot: { column, differences } }: { plot: Plot }) {
  if (differences.length === 0) return <p class="isi-teach">No condition has this measure beside the baseline.</p>;
  const top = Math.max(0.01, ...differences.flatMap(({ value, low, high }) => [value, low ?? 0, high ?? 0].map(Math.abs)));
  const at = (x: number): string => `${Number((50 + (48 * x) / top).toFixed(2))}%`;
  const models = new Set(differences.map(({ model }) => model));
  return (
    <ul class="isi-differences" data-testid="differences" data-segment={column.segment || undefined}>
      {differences.map((difference) => (
        <li key={`${difference.model} ${difference.condition}`}>
          <span class="isi-cut" title={difference.condition}>
            {models.size > 1 && <span class="isi-muted">{difference.model} </span>}
            <bdi>{difference.condition}</bdi>
          </span>
          <svg class="isi-difference" role="img" aria-label={words(difference, column)}>
            <rect class="isi-track" width="100%" height="100%" rx="2" />
            <line class="isi-zero" x1="50%" x2="50%" y1="0" y2="100%" />
            {difference.low !== null && difference.high !== null && <line class="isi-span" x1={at(difference.low)} x2={at(difference.high)} y1="50%" y2="50%" />}
            <circle class="isi-mean" cx={at(difference.value)} cy="50%" r="4" />
          </svg>
          <span class="isi-number">
            <strong>{signed(difference.value)}</strong>
            {difference.low !== null && difference.high !== null && <span class="isi-muted">{`[${signed(difference.low)}, ${signed(difference.high)}]`}</span>}
            {difference.p !== null && <span class="isi-muted">{pvalue(difference.p)}</span>}
          </span>
        </li>
      ))}
      <li class="isi-scale isi-muted" aria-hidden="true">
        <span />
        <span class="isi-ends">
          <span>{signed(-top)}</span>
          <span>0</span>
          <span>{signed(top)}</span>
        </span>
        <span />
      </li>
    </ul>
  );
}

const words = ({ condition, value, low, high, p, pairs }: Difference, { label }: Column): string =>
  [`${condition}: ${label} ${signed(value)}`, low !== null && high !== null && `95% interval ${signed(low)} to ${signed(high)}`, p !== null && pvalue(p), plural(pairs, "pair")].filter(Boolean).join(", ");

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [420, 196, 40, 14, 10, 40];
/** Dashes distinguish curves without colours. */
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

function Curves({ plot: { column, curves } }: { plot: Plot }) {
  if (curves.length === 0) return <p class="isi-teach">This measure has no values over a grid.</p>;
  const parameters = [...new Set(curves.map(({ parameter }) => parameter))];
  return (
    <div class="isi-curves" data-testid="curves" data-segment={column.segment || undefined}>
      {parameters.map((parameter) => (
        <Chart key={parameter} column={column} parameter={parameter} curves={curves.filter((curve) => curve.parameter === parameter)} />
      ))}
    </div>
  );
}

function Chart({ column, parameter, curves }: { column: Column; parameter: string; curves: Curve[] }) {
  const points = curves.flatMap((curve) => curve.points);
  const levels = [...new Set(points.map(({ level }) => level))].sort((a, b) => a - b);
  const [first = 0, last = 1] = [levels[0], levels.at(-1)];
  const top = Math.max(column.scale, ...points.map(({ value, high }) => high ?? value));
  const bottom = Math.min(0, ...points.map(({ value, low }) => low ?? value));
  const x = (level: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * (level - first)) / (last - first || 1);
  const y = (value: number): number => TOP + ((HEIGHT - TOP - BOTTOM) * (top - value)) / (top - bottom || 1);
  const models = new Set(curves.map(({ model }) => model));
  const name = ({ model, group }: Curve): string => (models.size > 1 ? `${group}, ${model}` : group);
  const spoken = curves.map((curve) => `${name(curve)}: ${curve.points.map(({ level, value }) => `${decimals(value)} at ${level}`).join(", ")}`).join("; ");
  return (
    <figure>
      <svg class="isi-chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${column.label} over ${parameter}: ${spoken}`}>
        <path class="isi-axis" d={`M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}`} />
        {[bottom, (bottom + top) / 2, top].map((value) => (
          <text key={value} x={LEFT - 5} y={y(value) + 4} text-anchor="end">
            {decimals(value)}
          </text>
        ))}
        {levels.map((level) => (
          <text key={level} x={x(level)} y={HEIGHT - BOTTOM + 20} text-anchor="middle">
            {Number(level.toPrecision(3))}
          </text>
        ))}
        <text x={(WIDTH + LEFT) / 2} y={HEIGHT - 4} text-anchor="middle">
          {parameter}
        </text>
        {curves.map((curve, i) => {
          const sure = curve.points.filter((point): point is typeof point & { low: number; high: number } => point.low !== null && point.high !== null);
          return (
            <g key={name(curve)}>
              {sure.length > 1 && <path class="isi-band" d={`M${sure.map(({ level, high }) => `${x(level)} ${y(high)}`).join("L")}L${[...sure].reverse().map(({ level, low }) => `${x(level)} ${y(low)}`).join("L")}Z`} />}
              <path class="isi-line" stroke-dasharray={DASHES[i % DASHES.length] || undefined} d={`M${curve.points.map(({ level, value }) => `${x(level)} ${y(value)}`).join("L")}`} />
              {curve.points.map((point) => (
                <circle key={point.level} class="isi-mean" cx={x(point.level)} cy={y(point.value)} r="3">
                  <title>{`${name(curve)} ${parameter} ${point.level}: ${decimals(point.value)}`}</title>
                </circle>
              ))}
            </g>
          );
        })}
      </svg>
      <figcaption>
        {curves.map((curve, i) => (
          <span key={name(curve)}>
            <svg class="isi-key" viewBox="0 0 24 8" width="24" height="8" aria-hidden="true">
              <path class="isi-line" stroke-dasharray={DASHES[i % DASHES.length] || undefined} d="M0 4H24" />
            </svg>
            <bdi>{name(curve)}</bdi>
          </span>
        ))}
      </figcaption>
    </figure>
  );
}
