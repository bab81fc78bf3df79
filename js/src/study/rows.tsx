// The rows of the study, a page at a time: the kernel filters, sorts and sends one page; the browser never has more. A press on a row opens it in a probe.
import { Icon } from "../panels/icons";
import { live } from "../live";
import { decimals, plural } from "../numbers";
import { Button, Choice, named } from "./parts";
import { VERDICTS, type Page, type Row, type Verdict } from "./read";
import { useStudy } from "./view";

const NAMES: Record<Verdict, string> = { all: "All", right: "Right", wrong: "Wrong", unjudged: "Not judged", failed: "Failed" };
const MARKS: Record<Verdict, string> = { all: "", right: "right", wrong: "wrong", unjudged: "unknown", failed: "warning" };
const SAVED = "there is no kernel";

export const Rows = live(function Rows() {
  const store = useStudy();
  const page = store.page.value;
  const several = store.title.value.models > 1;
  const seeds = store.title.value.seeds > 1;
  return (
    <section class="isi-rows" aria-label="Rows" data-testid="rows" data-waiting={store.waiting.value} aria-busy={store.waiting.value}>
      <Filters page={page} />
      {page.rows.length === 0 ? (
        <p class="isi-teach" data-testid="no-rows">
          {store.progress.value.done === 0 ? "Each finished row is listed here. A press on one opens it in a probe." : "No row is like that."}
        </p>
      ) : (
        <div class="isi-scroll" role="region" aria-label="Table of rows" tabIndex={0}>
          <table class="isi-list" data-testid="list" onKeyDown={(event) => walk(event, page, (start) => store.show({ start }))}>
            <caption class="isi-spoken">Rows; press Enter on a number to open that row in a probe</caption>
            <thead>
              <tr>
                <Sorted name="row" text="Row" end />
                {several && <Sorted name="model" text="Model" />}
                <Sorted name="condition" text="Condition" />
                <Sorted name="observation" text="Observation" />
                {seeds && <Sorted name="seed" text="Seed" end />}
                <Sorted name="answer" text="Answer" />
                <Sorted name="truth" text="True answer" />
                {page.columns.map((column) => (
                  <Sorted key={column.name} name={column.name} text={named(column)} tip={column.definition} end />
                ))}
              </tr>
            </thead>
            <tbody>
              {page.rows.map((row) => (
                <Line key={row.row} row={row} several={several} seeds={seeds} page={page} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
});

const Filters = live(function Filters({ page }: { page: Page }) {
  const store = useStudy();
  const query = store.query.value;
  const gone = store.gone.value && SAVED;
  const groups = store.table.value.groups;
  const conditions = [...new Set(groups.map(({ condition }) => condition))];
  const models = [...new Set(groups.map(({ model }) => model))];
  const { start, size, total } = page;
  const to = (next: number) => store.show({ start: next });
  const last = Math.max(0, Math.floor((total - 1) / size) * size);
  const pages: [test: string, label: string, text: string, next: number, off: boolean][] = [
    ["first", "First page", "«", 0, start === 0],
    ["previous", "Page before", "‹", Math.max(0, start - size), start === 0],
    ["next", "Next page", "›", start + size, start + size >= total],
    ["last", "Last page", "»", last, start + size >= total],
  ];
  const one = (name: string) => ({ value: name, text: name });
  return (
    <div class="isi-row isi-filters">
      <div class="isi-toggles" role="group" aria-label="Which rows">
        {VERDICTS.filter((verdict) => verdict === "all" || verdict === query.verdict || page.counts[verdict] > 0).map((verdict) => (
          <Button
            key={verdict}
            test={`show-${verdict}`}
            label={verdict === "all" ? "Show all rows" : `Show the rows that are ${NAMES[verdict].toLowerCase()}`}
            text={`${NAMES[verdict]} ${page.counts[verdict].toLocaleString("en")}`}
            pressed={query.verdict === verdict}
            why={gone}
            onClick={() => store.show({ verdict })}
          />
        ))}
      </div>
      {conditions.length > 1 && <Choice test="filter-condition" label="Condition" value={query.condition} options={[{ value: "", text: "all" }, ...conditions.map(one)]} why={gone} onChoose={(condition) => store.show({ condition })} />}
      {models.length > 1 && <Choice test="filter-model" label="Model" value={query.model} options={[{ value: "", text: "all" }, ...models.map(one)]} why={gone} onChoose={(model) => store.show({ model })} />}
      <div class="isi-pages" role="group" aria-label="Pages">
        <span data-testid="range">{total === 0 ? "none" : `${(start + 1).toLocaleString("en")}–${Math.min(start + size, total).toLocaleString("en")} of ${plural(total, "row")}`}</span>
        {total > size && pages.map(([test, label, text, next, off]) => <Button key={test} test={`page-${test}`} label={label} text={text} why={gone || (off && "there is none")} onClick={() => to(next)} />)}
      </div>
    </div>
  );
});

const Sorted = live(function Sorted({ name, text, tip, end = false }: { name: string; text: string; tip?: string; end?: boolean }) {
  const store = useStudy();
  const { sort, descending } = store.query.value;
  const here = sort === name;
  return (
    <th scope="col" class={end ? "isi-end" : undefined} aria-sort={here ? (descending ? "descending" : "ascending") : undefined} title={tip}>
      <button type="button" class="isi-sort" data-testid={`sort-${name}`} aria-disabled={store.gone.value || undefined} onClick={() => !store.gone.value && store.show({ sort: name, descending: here && !descending })}>
        {text}
        <span aria-hidden="true">{here ? (descending ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
});

const Line = live(function Line({ row, several, seeds, page }: { row: Row; several: boolean; seeds: boolean; page: Page }) {
  const store = useStudy();
  const opened = store.opened.value.row === row.row;
  const { verdict } = row;
  const open = (): void => {
    if (!store.gone.value) store.open(row.row);
  };
  return (
    <tr
      data-testid={`row-${row.row}`}
      data-verdict={verdict}
      class={opened ? "isi-chosen" : undefined}
      onClick={(event) => {
        // Words that are marked to be copied open nothing.
        if (!(event.target as Element).closest("button") && !getSelection()?.toString()) open();
      }}
    >
      <th scope="row" class="isi-end">
        <button type="button" class="isi-name" data-row={row.row} aria-pressed={opened} aria-disabled={store.gone.value || undefined} title={store.gone.value ? SAVED : `Open row ${row.row} in a probe: study.probe(${row.row})`} onClick={open}>
          {row.row}
        </button>
      </th>
      {several && <td data-label="Model">{row.model}</td>}
      <td data-label="Condition">
        <bdi>{row.condition}</bdi>
      </td>
      <td data-label="Observation" class="isi-question" title={row.question}>
        <bdi>{row.question || row.observation}</bdi> <span class="isi-muted">{row.observation}</span>
      </td>
      {seeds && (
        <td data-label="Seed" class="isi-end">
          {row.seed}
        </td>
      )}
      <td data-label="Answer" title={row.reason || undefined}>
        <span class={`isi-verdict isi-${verdict}`}>
          <Icon name={MARKS[verdict]} />
          <span class="isi-spoken">{NAMES[verdict]}: </span>
          <bdi>{verdict === "failed" ? row.reason : row.answer}</bdi>
        </span>
      </td>
      <td data-label="True answer">
        <bdi>{row.truth}</bdi>
      </td>
      {page.columns.map((column, i) => {
        const value = row.values[i];
        const doubt = column.meanings ? row.doubt : "";
        return (
          <td key={column.name} class="isi-end" data-label={column.label} title={doubt}>
            {typeof value === "number" && decimals(value)}
            {doubt && " (!)"}
          </td>
        );
      })}
    </tr>
  );
});

/** Arrows go from row to row, Page Up and Page Down from page to page. */
function walk(event: KeyboardEvent, page: Page, to: (start: number) => void): void {
  const { start } = page;
  const table = event.currentTarget as HTMLElement;
  const rows = [...table.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.indexOf((event.target as HTMLElement).closest("tr")?.querySelector("[data-row]") ?? table);
  if (at < 0) return;
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (next !== undefined) rows[next]?.focus();
  else if (event.key === "PageDown" && start + page.size < page.total) to(start + page.size);
  else if (event.key === "PageUp" && start > 0) to(Math.max(0, start - page.size));
  else return;
  event.preventDefault();
  event.stopPropagation();
}
