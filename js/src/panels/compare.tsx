// The pinned trials side by side: one column each, what differs from the first one marked. Part of the editor.
// Marked as isi.compare marks it, and settings: another text, an entropy whose interval does not meet the first's, a share 0.05 away.
import { Bar, Stack } from "../charts/bars";
import { isDrawing } from "../document";
import { live, useSignal } from "../live";
import type { ComponentChild } from "preact";
import type { EntropyView, Operation, Trial, TrialView } from "../protocol";
import { INPUTS } from "../protocol";
import { NAMES } from "../state/screen";
import { useView } from "../view";
import { Mark } from "./answer";
import { Button, Popover, decimals, plural } from "./parts";
import { Thumbnail } from "./thumbnail";

const SHARE = 0.05;

interface Cell {
  view: ComponentChild;
  /** it is not what the first trial has */
  differs: boolean;
}
interface RowOf {
  name: string;
  cells: Cell[];
}

/** What differs is marked, in a way that is seen and heard. */
const Marked = ({ differs, children }: { differs: boolean; children: ComponentChild }) =>
  differs ? (
    <mark>
      {children}
      <span class="isi-spoken"> (differs)</span>
    </mark>
  ) : (
    <>{children}</>
  );

const plain = (text: string, differs: boolean): Cell => ({
  differs,
  view: <Marked differs={differs}>{text.trim() === "" ? <span class="isi-muted">empty</span> : <span dir="auto">{text}</span>}</Marked>,
});

/** Said first and without their names: where, how large, from where to where. */
const PLACE = ["x", "y", "width", "height", "start", "end"];

/** A drawing in words: what it is and its numbers. */
export function words(op: Operation): string {
  if (op.op === "foreign") return op.name;
  const { op: kind, ...rest } = { ...op } as Record<string, unknown> & { op: string };
  const line = "start" in rest;
  const pair = (a: string, b: string, by: string): string | null => (a in rest && b in rest ? `${said(rest[a])}${by}${said(rest[b])}` : null);
  const place = line ? [pair("start", "end", " → ")] : [pair("x", "y", ", "), pair("width", "height", " × ")];
  // A filled shape's line is not seen.
  const hidden = (name: string): boolean => (line ? name === "start" || name === "end" : PLACE.includes(name)) || name === "fill" && rest.fill === true || name === "line_width" && rest.fill === true;
  const facts = Object.entries(rest).filter(([name]) => !hidden(name));
  return [NAMES[kind] ?? kind, ...[...place, ...facts.map(([name, value]) => (name === "color" ? said(value) : `${name.replace("_", " ")} ${said(value)}`))].filter(Boolean)].join("  ");
}

function said(value: unknown): string {
  if (typeof value === "number") return String(Math.round(value * 100) / 100);
  if (value === null) return "all";
  if (!Array.isArray(value)) return typeof value === "string" ? value : JSON.stringify(value);
  if (value.some(Array.isArray)) return plural(value.length, "corner");
  return value.map(said).join(", ");
}

function drawings(views: TrialView[]): Cell[] {
  const lists = views.map((view) => view.operations.filter((op) => isDrawing(op) || op.op === "foreign").map(words));
  const first = lists[0] ?? [];
  return lists.map((list) => ({
    differs: list.join("\n") !== first.join("\n"),
    view: (
      <ul>
        {list.length === 0 && <li class="isi-muted">none</li>}
        {list.map((line, i) => (
          <li key={i}>
            <Marked differs={!first.includes(line)}>{line}</Marked>
          </li>
        ))}
      </ul>
    ),
  }));
}

function entropyOf(views: TrialView[], name: string): Cell[] {
  const found = views.map((view) => view.uncertainty?.entropies.find((entropy) => entropy.name === name));
  const apart = (a: EntropyView, b: EntropyView | undefined): boolean =>
    b !== undefined && a.low !== null && a.high !== null && b.low !== null && b.high !== null && (a.low > b.high || a.high < b.low);
  return found.map((entropy, i) => {
    if (!entropy) return { differs: false, view: null };
    const { value, low, high, label, scale } = entropy;
    const differs = apart(entropy, found[0]);
    const interval: [number, number] | null = low === null || high === null ? null : [low, high];
    return {
      differs,
      view: (
        <>
          <Marked differs={differs}>{decimals(value)}</Marked> {doubted(views[i]) && "(!) "}
          {interval && <span class="isi-muted">{`[${interval.map((x) => decimals(x)).join(", ")}]`}</span>}
          <Bar value={value / scale} interval={interval && [interval[0] / scale, interval[1] / scale]} label={`${label} ${decimals(value)}`} />
        </>
      ),
    };
  });
}

/** A number or text of a measure without a panel of its own. */
function columnOf(views: TrialView[], measure: string, column: string): Cell[] {
  const found = views.map((view) => view.measures.find(({ name }) => name === measure)?.columns.find(({ name }) => name === column));
  const [first] = found;
  return found.map((here) => {
    if (!here) return { differs: false, view: null };
    const { text, label, value, interval, scale } = here;
    const apart = interval && first?.interval ? interval[0] > first.interval[1] || interval[1] < first.interval[0] : text !== first?.text;
    const differs = first !== undefined && apart;
    return {
      differs,
      view: (
        <>
          <Marked differs={differs}>{text}</Marked> {interval && <span class="isi-muted">{`[${interval.map((x) => decimals(x)).join(", ")}]`}</span>}
          {scale !== null && value !== null && <Bar value={value / scale} interval={interval && [interval[0] / scale, interval[1] / scale]} label={`${label} ${text}`} />}
        </>
      ),
    };
  });
}

const doubted = (view: TrialView | undefined): boolean => (view?.uncertainty?.judge.doubts.length ?? 0) > 0;

/** Who compared the meanings, and why not to rely on it. */
function judgesOf(views: TrialView[]): Cell[] {
  const first = views[0]?.uncertainty?.judge.label;
  return views.map(({ uncertainty }) => {
    if (!uncertainty) return { differs: false, view: null };
    const { label, doubts } = uncertainty.judge;
    const differs = first !== undefined && label !== first;
    return {
      differs,
      view: (
        <>
          <Marked differs={differs}>{label}</Marked>
          {doubts.map((doubt) => (
            <div key={doubt}>(!) {doubt}</div>
          ))}
        </>
      ),
    };
  });
}

function chances(views: TrialView[]): Cell[] {
  const first = views[0]?.answer?.yes_no;
  return views.map(({ answer }) => {
    const found = answer?.yes_no;
    if (!found) return { differs: false, view: null };
    const differs = first != null && Math.max(Math.abs(found.yes - first.yes), Math.abs(found.no - first.no)) >= SHARE;
    return { differs, view: <Marked differs={differs}>{`${decimals(found.yes)}, ${decimals(found.no)}`}</Marked> };
  });
}

function sharesOf(views: TrialView[]): Cell[] {
  const reference = views[0]?.attention?.relative;
  return views.map(({ attention }) => {
    if (!attention) return { differs: false, view: null };
    const away = (segment: string): boolean => reference !== undefined && Math.abs((attention.relative[segment] ?? 0) - (reference[segment] ?? 0)) >= SHARE;
    return {
      differs: INPUTS.some(away),
      view: (
        <ul>
          {INPUTS.map((segment) => (
            <li key={segment} class="isi-shareline" data-segment={segment}>
              <Marked differs={away(segment)}>{`${segment} ${decimals(attention.relative[segment] ?? 0)}`}</Marked>
              <Bar value={attention.relative[segment] ?? 0} label={segment} />
            </li>
          ))}
          {attention.by_layer.length > 1 && (
            <li>
              <Stack columns={attention.by_layer} label="by layer" />
            </li>
          )}
        </ul>
      ),
    };
  });
}

/** The rows that at least one of the trials has something for. */
export function rowsOf(trials: Trial[], notes: Partial<Record<string, string>>): RowOf[] {
  const views = trials.map((trial) => trial.view);
  const rows: RowOf[] = [];
  const text = (name: string, of: (view: TrialView, i: number) => string | null): void => {
    const values = views.map(of);
    if (values.some((value) => value !== null)) rows.push({ name, cells: values.map((value) => (value === null ? { differs: false, view: null } : plain(value, value !== values.find((other) => other !== null)))) });
  };
  if (trials.some(({ id }) => notes[id])) rows.push({ name: "note", cells: trials.map(({ id }) => ({ differs: false, view: <span dir="auto">{notes[id]}</span> })) });
  text("model", (view) => view.model);
  if (views.some((view) => view.interventions)) text("changed inside", (view) => view.intervention_lines.join("; "));
  text("image", (view) => view.image_preset);
  rows.push({ name: "drawn on it", cells: drawings(views) });
  text("context", (view) => view.context);
  text("question", (view) => view.question);
  text("answer", (view) => view.answer?.text ?? null);
  if (views.some((view) => view.answer && view.answer.correct !== null)) {
    const first = views.find((view) => view.answer)?.answer?.correct;
    rows.push({ name: "", cells: views.map(({ answer }) => ({ differs: answer !== null && answer.correct !== first, view: answer && <Mark answer={answer} full /> })) });
  }
  if (views.some((view) => view.answer?.yes_no)) rows.push({ name: "p(yes), p(no)", cells: chances(views) });
  const entropies = new Map(views.flatMap((view) => view.uncertainty?.entropies ?? []).map(({ name, label, unit }) => [name, unit ? `${label}, ${unit}` : label]));
  for (const [name, label] of entropies) rows.push({ name: label, cells: entropyOf(views, name) });
  if (views.some((view) => view.uncertainty)) rows.push({ name: "meanings compared by", cells: judgesOf(views) });
  text("clusters", (view) => (view.uncertainty ? String(view.uncertainty.clusters.length) : null));
  if (views.some((view) => view.attention)) rows.push({ name: "attention on the inputs", cells: sharesOf(views) });
  const columns = new Map(
    views.flatMap((view) => view.measures).flatMap(({ name, columns }) => columns.map((column) => [`${name} ${column.name}`, { measure: name, column: column.name, label: column.unit ? `${column.label}, ${column.unit}` : column.label }])),
  );
  for (const { measure, column, label } of columns.values()) rows.push({ name: label, cells: columnOf(views, measure, column) });
  const settings = [...new Set(views.flatMap((view) => Object.keys(view.settings)))];
  for (const name of settings) {
    const values = views.map((view) => view.settings[name] ?? "none");
    if (new Set(values.map((value) => JSON.stringify(value))).size > 1) text(name.replaceAll("_", " "), (_, i) => said(values[i]));
  }
  return rows;
}

export const Compare = live(function Compare() {
  const { screen, store } = useView();
  const only = useSignal(false);
  const trials = store.trials.value.filter((trial) => store.pinned.value.includes(trial.id));
  const rows = rowsOf(trials, store.notes.value).filter((row) => !only.value || row.cells.some((cell) => cell.differs));
  return (
    <Popover test="compare-panel" label="Trials side by side" classes="isi-compare" cover>
      <div class="isi-comparehead">
        <h3>Trials side by side</h3>
        <label class="isi-check">
          <input type="checkbox" data-testid="compare-only" checked={only.value} onChange={(event) => (only.value = event.currentTarget.checked)} />
          only what differs
        </label>
        <Button test="compare-close" label="Close (Esc)" icon="close" kind="bare" onClick={() => (screen.popover.value = null)} />
      </div>
      <div class="isi-scroll" tabIndex={0} role="region" aria-label="Table of the pinned trials">
        <table>
          <thead>
            <tr>
              <td />
              {trials.map((trial) => (
                <th key={trial.id} scope="col" data-testid={`compare-${trial.id}`}>
                  <span class="isi-row">
                    Trial {trial.id}
                    <Button test={`compare-${trial.id}-unpin`} label={`Remove trial ${trial.id} from the comparison`} icon="close" kind="bare" onClick={() => store.pin(trial.id)} />
                  </span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <tr>
              <td />
              {trials.map((trial) => (
                <td key={trial.id}>
                  <Thumbnail data={trial.thumbnail} size={96} alt={`Picture of trial ${trial.id}`} />
                </td>
              ))}
            </tr>
            {rows.map(({ name, cells }, i) => (
              <tr key={`${name}${i}`}>
                <th scope="row" class="isi-muted">
                  {name || <span class="isi-spoken">judged</span>}
                </th>
                {cells.map((cell, column) => (
                  <td key={trials[column]?.id} data-differs={cell.differs}>
                    {cell.view}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="isi-muted">Marked are differences from trial {trials[0]?.id}: texts and settings; numbers whose intervals do not overlap; probabilities and shares of attention that differ by {SHARE} or more.</p>
    </Popover>
  );
});
