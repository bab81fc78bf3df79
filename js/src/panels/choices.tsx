// A list to choose from, with a search field over it: arrows and Enter work from the field, as a screen reader expects of a combo box.
// Of a long list with rows of one height only those in view are drawn.
import { composing } from "../keys";
import { live, useSignal } from "../live";
import type { ComponentChild, ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { identifier } from "../state/store";
import { Icon } from "./icons";

export interface Choice {
  key: string;
  /** what is searched */
  text: string;
  chosen: boolean;
  /** rows of a group follow one another, under its name */
  group?: string;
  /** why it cannot be chosen */
  why?: string | false;
  /** made when it is drawn */
  view: () => ComponentChild;
}

interface Props {
  test: string;
  label: string;
  placeholder: string;
  /** text shown if nothing matches */
  none: string;
  rows: Choice[];
  choose: (key: string) => void;
  /** between the field and the list */
  children?: ComponentChildren;
  /** of every row, in pixels: then only the rows in view are drawn */
  height?: number;
  /** called with the keys of the drawn rows */
  drawn?: (keys: string[]) => void;
}

/** Rows that are drawn above and below those in view, and how many before the size of the list is known. */
const MORE = 4;
const FIRST = 12;

export const Choices = live(function Choices({ test, label, placeholder, none, rows, choose, children, height, drawn }: Props) {
  const query = useSignal("");
  const active = useSignal<string | null>(null);
  const list = useRef<HTMLUListElement>(null);
  const id = useMemo(identifier, []);
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = rows.filter((row) => words.every((word) => row.text.toLowerCase().includes(word)));
  const at = (test: (row: Choice) => boolean): number => found.findIndex(test);
  const here = Math.max(0, active.value === null ? at((row) => row.chosen) : at((row) => row.key === active.value));
  const take = (row: Choice | undefined): void => {
    if (row && !row.why) choose(row.key);
  };
  // Where the list is scrolled to and how high it is, in rows.
  const view = useSignal({ top: Math.max(0, here - 2), rows: FIRST });
  const top = Math.min(view.value.top, Math.max(0, found.length - view.value.rows));
  const first = height ? Math.max(0, Math.floor(top) - MORE) : 0;
  const last = height ? Math.min(found.length, Math.ceil(top + view.value.rows) + MORE) : found.length;
  const look = (): void => {
    if (height && list.current) view.value = { top: list.current.scrollTop / height, rows: list.current.clientHeight / height || FIRST };
  };
  useEffect(() => {
    if (height && list.current) list.current.scrollTop = top * height;
  }, []);
  useEffect(() => {
    const element = list.current;
    if (!height || !element) {
      element?.querySelector(".isi-active")?.scrollIntoView({ block: "nearest" });
      return;
    }
    // Not by the row itself, which may not be drawn.
    const low = (here + 1) * height - element.clientHeight;
    element.scrollTop = Math.max(low, Math.min(element.scrollTop, here * height));
    look();
  }, [here, found.length]);
  const shown = found.slice(first, last);
  useEffect(() => drawn?.(shown.map((row) => row.key)), [shown.map((row) => row.key).join("\n")]);
  return (
    <>
      <div class="isi-search">
        <Icon name="search" />
        <input
          autofocus
          type="search"
          role="combobox"
          list={undefined}
          aria-label={label}
          aria-expanded="true"
          aria-controls={id}
          aria-activedescendant={here >= first && here < last ? `${id}${here}` : undefined}
          placeholder={placeholder}
          data-testid={`${test}-search`}
          value={query.value}
          onInput={(event) => {
            query.value = event.currentTarget.value;
            active.value = "";
          }}
          onKeyDown={(event) => {
            if (composing(event)) return;
            const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
            if (step) active.value = found[Math.min(Math.max(here + step, 0), found.length - 1)]?.key ?? "";
            else if (event.key === "Enter") take(found[here]);
            else return;
            event.preventDefault();
          }}
        />
        <span class="isi-muted">{found.length}</span>
      </div>
      {children}
      <ul role="listbox" id={id} aria-label={label} ref={list} onScroll={look}>
        {/* Room for the rows that are not drawn: of rows of its own, since padding would make the list itself as high as all of them. */}
        {first > 0 && <li key="above" role="presentation" class="isi-gap" style={{ height: `${first * (height ?? 0)}px` }} />}
        {shown.map((row, n) => [
          row.group && row.group !== shown[n - 1]?.group && (
            <li key={row.group} role="presentation" class="isi-family isi-muted">
              {row.group}
            </li>
          ),
          <li
            key={row.key}
            role="option"
            id={`${id}${first + n}`}
            aria-selected={row.chosen}
            aria-posinset={height && first + n + 1}
            aria-setsize={height && found.length}
            style={height ? { height: `${height}px` } : undefined}
            aria-disabled={row.why ? true : undefined}
            title={row.why || undefined}
            class={first + n === here ? "isi-active" : undefined}
            data-testid={`${test}-${row.key}`}
            onClick={() => take(row)}
            onPointerMove={() => (active.value = row.key)}
          >
            {row.view()}
          </li>,
        ])}
        {last < found.length && <li key="below" role="presentation" class="isi-gap" style={{ height: `${(found.length - last) * (height ?? 0)}px` }} />}
      </ul>
      {found.length === 0 && <p class="isi-teach">{none}</p>}
    </>
  );
});
