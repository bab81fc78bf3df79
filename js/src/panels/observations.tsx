// Which observation: a list with pictures, search and filters, and the next one by a button. Numbered as in Python: data[40] is observation 40.
import { signal, type Signal } from "@preact/signals-core";
import { live } from "../live";
import { useEffect, useRef } from "preact/hooks";
import type { ObservationRow } from "../protocol";
import { answersOf, askThumbnails } from "../state/kernel";
import type { Screen } from "../state/screen";
import type { Store } from "../state/store";
import { useView } from "../view";
import { Choices } from "./choices";
import { Icon } from "./icons";
import { Button, Popover } from "./parts";
import { Thumbnail } from "./thumbnail";

/** What must hold of a row: one of the values that are chosen, for each property of which any is. */
type Filter = Record<Property, readonly string[]>;
type Property = "level" | "answer" | "difficulty";
const PROPERTIES: [Property, string][] = [
  ["level", "Level"],
  ["answer", "Truth"],
  ["difficulty", "Difficulty"],
];
/** Values that are offered of one property: the most frequent ones. */
const VALUES = 8;
const ROW = 48;
const PICTURE = 42;
/** Pictures in one question: few, so that the first ones come soon. */
const BATCH = 12;

const ALL: Filter = { level: [], answer: [], difficulty: [] };
/** Of a view, as long as it is there: the next observation is the next one that fits. */
const filters = new WeakMap<Screen, Signal<Filter>>();

function filterOf(screen: Screen): Signal<Filter> {
  let found = filters.get(screen);
  if (!found) filters.set(screen, (found = signal(ALL)));
  return found;
}

const fits = (row: ObservationRow, filter: Filter): boolean => PROPERTIES.every(([name]) => filter[name].length === 0 || filter[name].includes(row[name] ?? ""));

/** Values of a property and how often they come, the most frequent ones first; none where there is nothing to choose. */
function values(rows: ObservationRow[], name: Property): [string, number][] {
  const counts = new Map<string, number>();
  for (const { [name]: value } of rows) if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts.size < 2 ? [] : [...counts].sort((a, b) => b[1] - a[1]).slice(0, VALUES);
}

export const Observations = live(function Observations() {
  const { screen, store } = useView();
  const observation = store.observation.value;
  const rows = store.observations.value;
  const index = store.index.value;
  const own = observation?.own === true;
  const filter = filterOf(screen).value;
  const found = rows.filter((row) => fits(row, filter));
  const of = found.length < rows.length ? ` of the ${found.length} that the list is filtered to` : "";
  const step = (label: string, icon: string, to: ObservationRow | undefined) => (
    <Button test={`observation-${icon}`} label={`${label} observation${of}`} icon={icon} kind="bare" why={!to && "there is none"} onClick={() => to && store.observe(to.index)} />
  );
  return (
    <>
      <div class="isi-anchor isi-grow">
        <button
          type="button"
          class="isi-button isi-plain isi-picker"
          data-testid="observation-picker"
          aria-haspopup="listbox"
          aria-expanded={screen.popover.value === "observations"}
          aria-disabled={rows.length === 0 ? true : undefined}
          title={rows.length === 0 ? "This probe was given a single observation, so there is nothing to choose" : "Choose an observation"}
          onClick={() => {
            if (rows.length > 0) screen.toggle("observations");
          }}
        >
          <span class="isi-muted isi-fixed">{own ? (index < 0 ? "Own image" : `Own image ${index}`) : `Observation ${index}`}</span>
          <span class="isi-cut" dir="auto">
            {observation?.question ?? ""}
          </span>
          <Icon name="down" />
        </button>
        {screen.popover.value === "observations" && <Picker found={found} />}
      </div>
      {rows.length > 1 && (
        <div class="isi-group">
          {step("Previous", "back", found.findLast((row) => row.index < index))}
          {step("Next", "next", found.find((row) => row.index > index))}
        </div>
      )}
    </>
  );
});

const Picker = live(function Picker({ found }: { found: ObservationRow[] }) {
  const { screen, store } = useView();
  const ask = useThumbnails(store);
  const pictures = answersOf(store).thumbnails.value;
  return (
    <Popover test="observation-list" label="Observations" classes="isi-picking isi-observations">
      <Choices
        test="observation"
        label="Search observations"
        placeholder="Search question, truth, level or number"
        none="No observation has all of these words and properties."
        height={ROW}
        drawn={(keys) => ask(keys.map(Number))}
        rows={found.map(({ index, id, question, level, answer, difficulty, own }) => ({
          key: String(index),
          text: `${index} ${id} ${question} ${answer ?? ""} ${level ?? ""} ${difficulty ?? ""}`,
          chosen: index === store.index.value,
          view: () => (
            <>
              <span class="isi-muted isi-index">{index}</span>
              <Thumbnail data={pictures.get(index) ?? null} size={PICTURE} alt="" />
              <span class="isi-grow isi-two" dir="auto">
                {question}
              </span>
              <span class="isi-facts">
                <span class="isi-cut">{answer ?? ""}</span>
                <span class="isi-muted isi-cut">{own ? id : (level ?? "")}</span>
              </span>
            </>
          ),
        }))}
        choose={(key) => {
          screen.popover.value = null;
          store.observe(Number(key));
        }}
      >
        <Filters />
      </Choices>
    </Popover>
  );
});

const Filters = live(function Filters() {
  const { screen, store } = useView();
  const filter = filterOf(screen);
  const rows = store.observations.value;
  return (
    <>
      {PROPERTIES.map(([name, label]) => {
        const there = values(rows, name);
        const chosen = filter.value[name];
        return (
          there.length > 0 && (
            <div key={name} class="isi-toggles" role="group" aria-label={`${label}: all unless some are chosen`}>
              <span class="isi-muted isi-filter">{label}</span>
              {there.map(([value, count]) => (
                <Button
                  key={value}
                  test={`filter-${name}-${value}`}
                  label={`Only ${label.toLowerCase()} ${value} (${count})`}
                  text={value}
                  pressed={chosen.includes(value)}
                  onClick={() => (filter.value = { ...filter.value, [name]: chosen.includes(value) ? chosen.filter((x) => x !== value) : [...chosen, value] })}
                />
              ))}
            </div>
          )
        );
      })}
    </>
  );
});

/** Asks the kernel for the pictures of the rows in view that have not come yet, one batch at a time: what was scrolled past is not waited for. */
export function useThumbnails(store: Store): (indexes: number[]) => void {
  const wanted = useRef<number[]>([]);
  const asked = useRef(false);
  const next = (): void => {
    const there = answersOf(store).thumbnails.peek();
    const batch = wanted.current.filter((index) => !there.has(index)).slice(0, BATCH);
    if (asked.current || batch.length === 0) return;
    asked.current = true;
    void askThumbnails(store, batch).then(() => {
      asked.current = false;
      // Unanswered requests are repeated when the list is scrolled.
      if (batch.every((index) => answersOf(store).thumbnails.peek().has(index))) next();
    });
  };
  useEffect(() => () => void (wanted.current = []), []);
  return (indexes) => {
    wanted.current = indexes;
    next();
  };
}
