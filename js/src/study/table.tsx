// One line per condition: each measure as a number and a bar, all bars of a measure on one scale. A press on a condition shows its rows.
import { Bar, type Interval } from "../charts/bars";
import { live } from "../live";
import { decimals, plural } from "../numbers";
import { named, signed } from "./parts";
import type { Cell, Column, Group, Table } from "./read";
import { useStudy } from "./view";

export const Summary = live(function Summary() {
  const store = useStudy();
  const table = store.table.value;
  const { columns, groups } = table;
  if (groups.length === 0) return <p class="isi-teach">Here each condition gets a line with its accuracy, uncertainty and attention, once it has rows.</p>;
  const models = new Set(groups.map(({ model }) => model));
  const baselines = groups.some(({ majority, yes }) => majority !== null || yes !== null);
  return (
    <div class="isi-scroll" role="region" aria-label="Table of conditions" tabIndex={0}>
      <table class="isi-summary" data-testid="summary">
        <caption class="isi-spoken">Means of each condition</caption>
        <thead>
          <tr>
            <th scope="col">Condition</th>
            {columns.map((column) => (
              <th key={column.name} scope="col" title={column.definition}>
                {named(column)}
              </th>
            ))}
            <th scope="col" class="isi-end">
              Rows
            </th>
          </tr>
        </thead>
        <tbody>{groups.map((group, i) => [models.size > 1 && group.model !== groups[i - 1]?.model && <Model key={`model ${group.model}`} name={group.model} span={columns.length + 2} />, <Line key={`${group.model} ${group.condition}`} group={group} columns={columns} />])}</tbody>
      </table>
      <p class="isi-muted" data-testid="summary-note">
        {[note(table), baselines && "Line in the bars of accuracy: the most frequent true answer, always given."].filter(Boolean).join(" ")}
      </p>
    </div>
  );
});

const note = ({ intervals }: Table): string => intervals || "Means of the rows so far; intervals come when the study is over.";

const Model = ({ name, span }: { name: string; span: number }) => (
  <tr>
    <th scope="rowgroup" class="isi-model" colSpan={span}>
      {name}
    </th>
  </tr>
);

const Line = live(function Line({ group, columns }: { group: Group; columns: Column[] }) {
  const store = useStudy();
  const { model, condition, rows, failed, unjudged, doubtful, cells } = group;
  const { condition: shown, model: of } = store.query.value;
  const pressed = shown === condition && of === model;
  const counts = [failed > 0 && `${failed.toLocaleString("en")} failed`, unjudged > 0 && `${unjudged.toLocaleString("en")} not judged`, doubtful > 0 && `${doubtful.toLocaleString("en")} doubtful`].filter(Boolean);
  return (
    <tr data-testid={`condition-${condition}`} class={pressed ? "isi-chosen" : undefined}>
      <th scope="row">
        <button
          type="button"
          class="isi-name"
          aria-pressed={pressed}
          title={pressed ? "Show the rows of all conditions" : `Show the rows of ${condition}`}
          onClick={() => store.show(pressed ? { model: "", condition: "" } : { model, condition })}
        >
          <bdi>{condition}</bdi>
        </button>
      </th>
      {columns.map((column, i) => (
        <Number key={column.name} column={column} cell={cells[i] ?? null} group={group} />
      ))}
      <td class="isi-end" data-label="Rows">
        {rows.toLocaleString("en")}
        {counts.map((count) => (
          <span key={count} class="isi-lack">
            {count}
          </span>
        ))}
      </td>
    </tr>
  );
});

function Number({ column, cell, group }: { column: Column; cell: Cell | null; group: Group }) {
  if (!cell) return <td class="isi-none" data-label={column.label} />;
  const { value, low, high, count } = cell;
  const interval: Interval | null = low === null || high === null ? null : [low, high];
  const baselines = column.name !== "correct" ? [] : [group.majority !== null && `the most frequent true answer alone ${decimals(group.majority)}`, group.yes !== null && `of the questions of yes or no, yes is true in ${decimals(group.yes)}`, group.bias !== null && `the model says it ${signed(group.bias)} more often`].filter(Boolean);
  const doubted = column.meanings && group.doubtful > 0;
  const words = [interval && `95% interval ${interval.map((x) => decimals(x)).join(" to ")}`, count !== null && plural(count, "row"), ...baselines].filter(Boolean).join("; ");
  return (
    <td data-label={column.label} data-segment={column.segment || undefined} title={words}>
      <span class="isi-number">
        <strong>{decimals(value)}</strong>
        {doubted && " (!)"}
        {interval && <span class="isi-muted">{`[${interval.map((x) => decimals(x)).join(", ")}]`}</span>}
      </span>
      <Bar
        value={value / column.scale}
        interval={interval && [interval[0] / column.scale, interval[1] / column.scale]}
        usual={column.name === "correct" ? group.majority : null}
        label={`${column.label} ${decimals(value)}${words && `; ${words}`}`}
      />
    </td>
  );
}
