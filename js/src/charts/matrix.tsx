// A matrix of numbers as coloured cells: layers down, heads (or groups of tokens) across, the first of both in the corner.
// A grid in the sense of ARIA: arrow keys move, and every cell has a name. Colours differ in lightness, too, and the numbers stand in the
// cells where there is room.
import { live, useSignal } from "../live";
import { decimals } from "../numbers";

export type Cell = readonly [row: number, column: number];

export interface Scale {
  /** a segment of the prompt, or "signed": one colour for each sign */
  hue: string;
  /** the number of the full colour */
  top: number;
  /** decimals of a number; absent: 2 */
  digits?: number;
  /** what the ends of the legend say */
  ends: [string, string];
}

/** Shades of a colour. */
export const STEPS = 12;
/** Wider matrices have no room for numbers, and for some names only. */
const ROOM = 9;

export const signed = (value: number, digits = 2): string => {
  const size = decimals(Math.abs(value), digits);
  return Number(size) === 0 ? size : `${value < 0 ? "−" : "+"}${size}`;
};

interface Props {
  test: string;
  label: string;
  values: readonly (readonly (number | null)[])[];
  rows: readonly string[];
  columns: readonly string[];
  scale: Scale;
  /** a cell in full */
  say: (cell: Cell) => string;
  /** a few letters instead of the number */
  mark?: (cell: Cell) => string;
  chosen?: (cell: Cell) => boolean;
  onPoint: (cell: Cell | null) => void;
  /** the pointer is pressed on or moved over a cell, or a key is pressed in it: an arrow after it has led there */
  onAct?: ((cell: Cell, event: PointerEvent | KeyboardEvent) => void) | undefined;
}

/** Where the arrow keys lead: rows, columns. */
export const ARROWS: Record<string, Cell> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** A header, or the place of one that has no room. */
const heading = (role: "rowheader" | "columnheader", name: string | undefined, there: boolean) => (
  <span key={name} role={there ? role : undefined}>
    {there && name}
  </span>
);

export const Matrix = live(function Matrix({ test, label, values, rows, columns, scale, say, mark, chosen, onPoint, onAct }: Props) {
  const here = useSignal<Cell>([0, 0]);
  const wide = columns.length > ROOM;
  const named = (i: number, n: number): boolean => n <= 16 || i % 4 === 0;
  const at = (event: Event): Cell | null => {
    const found = (event.target as HTMLElement).dataset.at;
    return found === undefined ? null : (found.split(",").map(Number) as unknown as Cell);
  };
  const pointed = (event: PointerEvent): void => {
    const cell = at(event);
    onPoint(cell);
    if (cell) onAct?.(cell, event);
  };
  return (
    <div
      class={wide ? "isi-matrix isi-tight" : "isi-matrix"}
      role="grid"
      aria-label={label}
      aria-multiselectable={!!onAct}
      data-testid={test}
      style={{ "--columns": columns.length }}
      onPointerDown={pointed}
      onPointerMove={pointed}
      onPointerLeave={() => onPoint(null)}
      onFocusIn={(event) => {
        const cell = at(event);
        onPoint(cell);
        if (cell) here.value = cell;
      }}
      onFocusOut={() => onPoint(null)}
      onKeyDown={(event) => {
        const step = ARROWS[event.key];
        if (step) {
          const next = here.value.map((x, i) => x + (step[i] ?? 0));
          event.currentTarget.querySelector<HTMLElement>(`[data-at="${next.join()}"]`)?.focus();
          event.preventDefault();
          event.stopPropagation();
        }
        onAct?.(here.value, event);
      }}
    >
      <div role="row">
        <span />
        {columns.map((name, column) => heading("columnheader", name, named(column, columns.length)))}
      </div>
      {values.map((line, row) => (
        <div role="row" key={row}>
          {heading("rowheader", rows[row], named(row, rows.length))}
          {line.map((value, column) => {
            const cell: Cell = [row, column];
            const step = value === null ? 0 : Math.round(STEPS * Math.min(1, Math.abs(value) / (scale.top || 1)));
            const hue = scale.hue === "signed" ? ((value ?? 0) < 0 ? "minus" : "plus") : scale.hue;
            return (
              <span
                key={column}
                role="gridcell"
                class="isi-cell"
                data-at={cell.join()}
                data-step={step}
                data-hue={hue}
                tabIndex={cell.join() === here.value.join() ? 0 : -1}
                aria-selected={chosen?.(cell)}
                aria-label={say(cell)}
                style={{ "--t": `${Math.round((100 * step) / STEPS)}%` }}
              >
                {mark?.(cell) || (wide ? "" : value === null ? "–" : scale.hue === "signed" ? signed(value, scale.digits) : decimals(value))}
              </span>
            );
          })}
        </div>
      ))}
    </div>
  );
});

/** What the colours stand for. */
export function Legend({ scale: { hue, ends } }: { scale: Scale }) {
  return (
    <span class="isi-scale isi-muted" data-testid="inside-legend" data-hue={hue}>
      {ends[0]} <i class="isi-ramp isi-hues" /> {ends[1]}
    </span>
  );
}
