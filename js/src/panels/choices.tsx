// A list to choose from, with a search field over it: arrows and Enter work from the field, as a screen reader expects of a combo box.
import { live, useSignal } from "../live";
import type { ComponentChild } from "preact";
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
  view: ComponentChild;
}

interface Props {
  test: string;
  label: string;
  placeholder: string;
  /** what is said when nothing matches */
  none: string;
  rows: Choice[];
  choose: (key: string) => void;
}

export const Choices = live(function Choices({ test, label, placeholder, none, rows, choose }: Props) {
  const query = useSignal("");
  const active = useSignal<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const id = useMemo(identifier, []);
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = rows.filter((row) => words.every((word) => row.text.toLowerCase().includes(word)));
  const at = (test: (row: Choice) => boolean): number => found.findIndex(test);
  const here = Math.max(0, active.value === null ? at((row) => row.chosen) : at((row) => row.key === active.value));
  const take = (row: Choice | undefined): void => {
    if (row && !row.why) choose(row.key);
  };
  useEffect(() => input.current?.focus(), []);
  useEffect(() => list.current?.querySelector(".isi-active")?.scrollIntoView({ block: "nearest" }), [here]);
  return (
    <>
      <div class="isi-search">
        <Icon name="search" />
        <input
          ref={input}
          type="search"
          role="combobox"
          list={undefined}
          aria-label={label}
          aria-expanded="true"
          aria-controls={id}
          aria-activedescendant={found[here] && `${id}${here}`}
          placeholder={placeholder}
          data-testid={`${test}-search`}
          value={query.value}
          onInput={(event) => {
            query.value = event.currentTarget.value;
            active.value = "";
          }}
          onKeyDown={(event) => {
            const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
            if (step) active.value = found[Math.min(Math.max(here + step, 0), found.length - 1)]?.key ?? "";
            else if (event.key === "Enter") take(found[here]);
            else return;
            event.preventDefault();
          }}
        />
        <span class="isi-muted">{found.length}</span>
      </div>
      <ul role="listbox" id={id} aria-label={label} ref={list}>
        {found.map((row, i) => [
          row.group && row.group !== found[i - 1]?.group && (
            <li key={row.group} role="presentation" class="isi-family isi-muted">
              {row.group}
            </li>
          ),
          <li
            key={row.key}
            role="option"
            id={`${id}${i}`}
            aria-selected={row.chosen}
            aria-disabled={row.why ? true : undefined}
            title={row.why || undefined}
            class={i === here ? "isi-active" : undefined}
            data-testid={`${test}-${row.key}`}
            onClick={() => take(row)}
            onPointerMove={() => (active.value = row.key)}
          >
            {row.view}
          </li>,
        ])}
      </ul>
      {found.length === 0 && <p class="isi-teach">{none}</p>}
    </>
  );
});
