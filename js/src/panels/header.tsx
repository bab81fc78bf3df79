// The first line: which observation, which model, and help.
import { live, useSignal } from "../live";
import { useEffect, useRef } from "preact/hooks";
import type { ObservationRow } from "../protocol";
import { useView } from "../view";
import { Icon } from "./icons";
import { Button, Popover } from "./parts";

export const Header = live(function Header() {
  const { screen, store, root } = useView();
  const model = store.modelInfo.value;
  const observation = store.observation.value;
  const own = store.index.value < 0 && observation !== null;
  const toggle = (name: "observations" | "keys") => (screen.popover.value = screen.popover.value === name ? null : name);
  const facts = [model.parameters === null ? "" : parameters(model.parameters), model.device].filter(Boolean).join(", ");
  return (
    <div class="isi-header">
      <div class="isi-anchor isi-grow">
        <button
          type="button"
          class="isi-button isi-plain isi-picker"
          data-testid="observation-picker"
          aria-haspopup="listbox"
          aria-expanded={screen.popover.value === "observations"}
          aria-disabled={store.observations.value.length === 0 ? true : undefined}
          title={store.observations.value.length === 0 ? "This probe was given a single observation, so there is nothing to choose" : "Choose an observation"}
          onClick={() => {
            if (store.observations.value.length > 0) toggle("observations");
          }}
        >
          <span class="isi-muted isi-fixed">{own ? "Own image" : `Observation ${store.index.value}`}</span>
          <span class="isi-cut">{observation?.question ?? ""}</span>
          <Icon name="down" />
        </button>
        {screen.popover.value === "observations" && <Picker />}
      </div>
      {model.name && (
        <div class="isi-model" data-testid="model" title={[model.name, facts, model.note].filter(Boolean).join("\n")}>
          <span class="isi-cut">
            <span class="isi-muted">Model </span>
            {model.name}
          </span>
          {model.note && (
            <span class="isi-note" data-testid="model-note">
              {model.note}
            </span>
          )}
        </div>
      )}
      {typeof root.requestFullscreen === "function" && (
        <Button
          test="fullscreen"
          label="Full screen"
          icon="full"
          kind="bare"
          onClick={() => {
            const inFull = root.ownerDocument.fullscreenElement !== null;
            void (inFull ? root.ownerDocument.exitFullscreen() : root.requestFullscreen()).catch(() => store.fail("The browser refused full screen."));
          }}
        />
      )}
      <Button test="help" label="Keys (?)" icon="help" kind="bare" expanded={screen.popover.value === "keys"} onClick={() => toggle("keys")} />
    </div>
  );
});

function parameters(n: number | string): string {
  if (typeof n === "string") return n;
  return n >= 1e9 ? `${(n / 1e9).toFixed(1)} B parameters` : `${(n / 1e6).toFixed(1)} M parameters`;
}

// Numbered as in Python: data[40] is observation 40.
const matches = (row: ObservationRow, words: string[]): boolean => {
  const text = `${row.index} ${row.id} ${row.question} ${row.answer ?? ""} ${row.level ?? ""}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

const Picker = live(function Picker() {
  const { screen, store } = useView();
  const query = useSignal("");
  const active = useSignal(-1);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = store.observations.value.filter((row) => matches(row, words));
  const here = Math.max(0, active.value < 0 ? rows.findIndex((row) => row.index === store.index.value) : Math.min(active.value, rows.length - 1));
  useEffect(() => input.current?.focus(), []);
  useEffect(() => {
    list.current?.children[here]?.scrollIntoView({ block: "nearest" });
  }, [here]);
  const choose = (row: ObservationRow | undefined): void => {
    if (!row) return;
    screen.popover.value = null;
    store.observe(row.index);
  };
  return (
    <Popover test="observation-list" label="Observations" classes="isi-picking">
      <div class="isi-search">
        <Icon name="search" />
        <input
          ref={input}
          type="search"
          aria-label="Search observations"
          placeholder="Search question, truth, level or number"
          data-testid="observation-search"
          value={query.value}
          onInput={(event) => {
            query.value = event.currentTarget.value;
            active.value = 0;
          }}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") active.value = Math.min(here + 1, rows.length - 1);
            else if (event.key === "ArrowUp") active.value = Math.max(here - 1, 0);
            else if (event.key === "Enter") choose(rows[here]);
            else return;
            event.preventDefault();
          }}
        />
        <span class="isi-muted">{rows.length}</span>
      </div>
      <ul role="listbox" aria-label="Observations" ref={list}>
        {rows.map((row, i) => (
          <li
            key={row.index}
            role="option"
            aria-selected={row.index === store.index.value}
            class={i === here ? "isi-active" : undefined}
            data-testid={`observation-${row.index}`}
            onClick={() => choose(row)}
            onPointerMove={() => (active.value = i)}
          >
            <span class="isi-muted isi-index">{row.index}</span>
            <span class="isi-grow">{row.question}</span>
            {row.level && <span class="isi-muted">{row.level}</span>}
            <span class="isi-truthcell">{row.answer ?? ""}</span>
          </li>
        ))}
      </ul>
      {rows.length === 0 && <p class="isi-teach">No observation has all of these words.</p>}
    </Popover>
  );
});
