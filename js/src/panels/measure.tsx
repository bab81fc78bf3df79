// What all measures of a trial have in common: a place for their progress (progress.tsx), a row with name, bar and number, and the drawing of a measure without a panel of its own.
// Every number has its name, unit and interval, and its definition on hover or focus. The panels: answer.tsx, uncertainty.tsx, attention.tsx.
import type { ComponentChildren } from "preact";
import { Bar, type Interval } from "../charts/bars";
import { live } from "../live";
import type { MeasureView } from "../protocol";
import { useView } from "../view";
import { Section, Tip, decimals } from "./parts";

/** Where a result will be: how far it is. */
export const Wait = live(function Wait({ measure }: { measure: string }) {
  const editor = useView().screen.editor.value;
  return editor && <editor.Wait measure={measure} />;
});

interface RowProps {
  test: string;
  name: string;
  /** definition and caveat */
  tip?: ComponentChildren | undefined;
  value: number;
  /** the value as it is shown; absent: two decimals */
  text?: string;
  max?: number;
  interval?: Interval | null;
  /** the mean over a data set, and what it is of */
  usual?: { value: number; note: ComponentChildren } | undefined;
  segment?: string;
  children?: ComponentChildren;
}

/** Name, bar, number; what follows the number (unit, interval, tokens) are the children. */
export function Row({ test, name, tip, value, text = decimals(value), max = 1, interval = null, usual, segment, children }: RowProps) {
  return (
    <div class="isi-barrow" data-testid={test} data-segment={segment}>
      {tip ? (
        <Tip test={`${test}-tip`} term={name}>
          {tip}
        </Tip>
      ) : (
        <span>{name}</span>
      )}
      <span class="isi-barbox">
        <Bar
          value={value / max}
          interval={interval && [interval[0] / max, interval[1] / max]}
          usual={usual && usual.value / max}
          label={`${name}: ${text}${usual === undefined ? "" : `, on average ${decimals(usual.value)}`}`}
        />
        {usual && (
          <Tip test={`${test}-tick`} term="" classes="isi-tick" label={`Average ${decimals(usual.value)}`} style={{ left: `${100 * Math.min(1, usual.value / max)}%` }}>
            <strong>{`Average ${decimals(usual.value)}`}</strong>
            <span class="isi-more">{usual.note}</span>
          </Tip>
        )}
      </span>
      <span class="isi-figure">
        <strong>{text}</strong> <span class="isi-muted">{children}</span>
      </span>
    </div>
  );
}

/** A measure without a panel of its own: its title, and a row for each of its numbers and texts. */
export function Generic({ measure: { name, title, help, columns } }: { measure: MeasureView }) {
  return (
    <Section
      title={
        help ? (
          <Tip test={`measure-${name}-tip`} term={title}>
            {help}
          </Tip>
        ) : (
          title
        )
      }
      test={`measure-${name}`}
      aside={<Wait measure={name} />}
      teach={false}
    >
      <div class="isi-wide">
        {columns.map(({ name: column, label, unit, value, text, interval, scale, definition }) =>
          scale && value !== null ? (
            <Row key={column} test={`measure-${name}-${column}`} name={label} tip={definition || undefined} value={value} text={text} max={scale} interval={interval}>
              {unit} {interval && `[${interval.map((x) => decimals(x)).join(", ")}]`}
            </Row>
          ) : (
            <div key={column} class="isi-barrow" data-testid={`measure-${name}-${column}`}>
              {definition ? (
                <Tip test={`measure-${name}-${column}-tip`} term={label}>
                  {definition}
                </Tip>
              ) : (
                <span>{label}</span>
              )}
              <span class="isi-figure" dir="auto" title={text}>
                <strong>{text}</strong> <span class="isi-muted">{[unit, interval && `[${interval.map((x) => decimals(x)).join(", ")}]`].filter(Boolean).join(" ")}</span>
              </span>
            </div>
          ),
        )}
      </div>
    </Section>
  );
}
