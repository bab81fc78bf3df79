// The panel "Inside": a number for each layer and head of the shown trial. What changes them is the editor's (gates.tsx); without a kernel
// the recorded numbers are shown, and why nothing can be changed.
import { Legend, Matrix, signed, type Cell, type Scale } from "../charts/matrix";
import { live, useSignal } from "../live";
import { INPUTS, type TraceView, type Trial } from "../protocol";
import { useView } from "../view";
import { Button, decimals } from "./parts";

/** What the matrix can show. */
export interface Shown {
  name: string;
  title: string;
  values: (number | null)[][];
  scale: Scale;
  /** what a number is, in one sentence */
  help: string;
  /** how far it can be trusted */
  note?: string;
  /** a number in words */
  say: (value: number, cell: Cell) => string;
  /** names of the lines and columns; absent: layers and heads */
  rows?: string[];
  columns?: string[];
  /** the longest text of a cell: room is kept for it */
  longest?: string;
}

/** The trace between two trials that was made last. */
export const traceOf = (trace: TraceView): Shown => ({
  name: "trace",
  title: trace.title,
  values: trace.values,
  rows: trace.rows,
  columns: trace.columns,
  scale: { hue: "signed", top: 1, ends: ["−1", "+1"] },
  help: trace.help,
  say: (_, [row, column]) => trace.sentences[row]?.[column] ?? "",
  longest: trace.sentences.flat().reduce((a, b) => (b.length > a.length ? b : a), ""),
});

/** Decimals in which the largest of some numbers has two digits. */
export const digitsOf = (top: number): number => (top >= 0.1 || !(top > 0) ? 2 : top >= 0.01 ? 3 : 4);

/** The recorded matrices of a trial. */
export function recorded(trial: Trial | null): Shown[] {
  const found = trial?.inside.contribution;
  const attention = trial?.view.attention;
  const top = Math.max(...(found?.values.flat() ?? []).map((value) => Math.abs(value ?? 0)));
  const digits = digitsOf(top);
  const how = !found?.estimate ? "" : found.measured > 0 ? ", partly measured" : ", estimated";
  const [title, unit] = [`contribution${how}`, `${found?.unit}${how}`];
  return [
    ...(found
      ? [{ name: "contribution", title, values: found.values, scale: { hue: "signed", top, digits, ends: [signed(-top, digits), `${signed(top, digits)} ${unit}`] }, help: found.help, note: found.estimate, say: (value: number) => `contribution ${signed(value, digits)} ${unit}` } satisfies Shown]
      : []),
    ...INPUTS.flatMap((name): Shown[] => {
      const values = name === "image" ? attention?.by_head : attention?.by_head_of[name];
      return values?.length ? [{ name, title: name, values, scale: { hue: name, top: 1, ends: ["0", "1"] }, help: `Share of the ${name} in the attention of each head, mean over answer tokens. Attention does not prove influence.`, say: (value) => `attention on ${name} ${decimals(value)}` }] : [];
    }),
  ];
}

interface MapProps {
  shown: Shown;
  trial: Trial | null;
  /** beside the number of a cell, in words and in the cell */
  more?: (cell: Cell) => string;
  mark?: (cell: Cell) => string;
  chosen?: (cell: Cell) => boolean;
  onAct?: (cell: Cell, event: PointerEvent | KeyboardEvent) => void;
}

/** The matrix, its legend, and the cell that is pointed at in words. */
export const Map = live(function Map({ shown, trial, more, ...edit }: MapProps) {
  const over = useSignal<Cell | null>(null);
  const say = ([row, column]: Cell): string => {
    const value = shown.values[row]?.[column];
    return [shown.columns ? "" : `L${row}H${column}`, value == null && !shown.columns ? "" : shown.say(value ?? 0, [row, column]), more?.([row, column])].filter(Boolean).join(", ");
  };
  return (
    <div class="isi-map">
      <Matrix
        test={shown.columns ? "trace-matrix" : "inside-matrix"}
        label={`${shown.title}, by layer${trial ? `, trial ${trial.id}` : ""}`}
        values={shown.values}
        rows={shown.rows ?? shown.values.map((_, layer) => `L${layer}`)}
        columns={shown.columns ?? (shown.values[0] ?? []).map((_, head) => `H${head}`)}
        scale={shown.scale}
        say={say}
        onPoint={(cell) => (over.value = cell)}
        {...edit}
      />
      <p class="isi-row">
        {/* All of one height: what stands below must not move when a cell is pointed at, nor when the focus leaves it for a button. */}
        <span class="isi-grow isi-oneplace" data-testid="inside-cell">
          <span class={over.value ? "isi-muted isi-unseen" : "isi-muted"} aria-hidden={over.value !== null}>{shown.help}</span>
          <span class="isi-unseen" aria-hidden="true">{shown.longest}</span>
          {over.value && <span>{say(over.value)}</span>}
        </span>
        <Legend scale={shown.scale} />
      </p>
      {shown.note && <p data-testid="inside-estimate">{shown.note}</p>}
    </div>
  );
});

/** The button that shows a matrix; pressed where it is the one that is shown. */
export const Show = live(function Show({ name, title, shown, why }: { name: string; title: string; shown: Shown | undefined; why?: string | false }) {
  const { screen } = useView();
  return <Button test={`inside-${name}`} label={`Show ${title} by layer and head`} text={title} pressed={shown?.name === name} why={why} onClick={() => (screen.map.value = name)} />;
});

const Recorded = live(function Recorded() {
  const { screen, store } = useView();
  const trial = store.trial.value;
  const trace = store.trace.value;
  const all = [...recorded(trial), ...(trace ? [traceOf(trace)] : [])];
  const shown = all.find(({ name }) => name === screen.map.value) ?? all[0];
  return (
    <>
      {shown ? (
        <>
          <div class="isi-toggles">{all.map(({ name, title }) => <Show key={name} name={name} title={title} shown={shown} />)}</div>
          <Map shown={shown} trial={trial} />
        </>
      ) : (
        <p class="isi-teach">No head was measured in this trial.</p>
      )}
      <p class="isi-muted" data-testid="inside-off">To change heads, run the cell: it needs the kernel.</p>
    </>
  );
});

/** Over the whole width, below input and results. */
export const Inside = live(function Inside() {
  const { screen, store } = useView();
  const open = screen.inside.value;
  const editor = screen.editor.value;
  return (
    <section class="isi-inside" data-testid="inside" aria-label="Inside the model">
      <header class="isi-row">
        <Button test="inside-toggle" label="Layers and heads of the model (H)" icon={open ? "down" : "next"} text="Inside" kind="bare" expanded={open} onClick={() => (screen.inside.value = !open)} />
        {editor ? <editor.InsideHead /> : <span class="isi-muted">{store.trial.value?.view.intervention_lines.join(" · ")}</span>}
      </header>
      {open && (editor ? <editor.Inside /> : <Recorded />)}
    </section>
  );
});
