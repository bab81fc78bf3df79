// Actions on trials: restore the input of one, note, delete; compare and export pinned ones.
// Part of the editor: all of it needs the kernel. Not for the strip itself (trials.tsx) nor for the table (compare.tsx).
import { composing } from "../keys";
import { live, useSignal } from "../live";
import { useMemo, useRef } from "preact/hooks";
import type { Question } from "../messages";
import { cellBelow } from "../notebook";
import { FORMATS, type Format, type Trial } from "../protocol";
import { readCode } from "../read";
import { exportTrials, forget, note, restore } from "../state/kernel";
import { ignore } from "../state/requests";
import { showCode, type Screen } from "../state/screen";
import { useView } from "../view";
import { Compare } from "./compare";
import { Button, Popover, plural } from "./parts";
import { download } from "./saving";

/** Asks the kernel for the Python of the present input, or of a trial. */
export function askCode(screen: Screen, trial?: number): void {
  if (trial === undefined) screen.flush();
  const turn = ++screen.asked;
  show(screen, turn, { kind: "code", ...(trial !== undefined && { trial }) });
}

/** Asks for the Python of the pinned trials, or of all, as conditions of a study. */
function askConditions(screen: Screen): void {
  show(screen, ++screen.asked, { kind: "conditions" });
}

/** The newest question alone is shown. */
function show(screen: Screen, turn: number, question: Question): void {
  screen.store.ask(question, { read: readCode, silence: "The Python was not returned by the kernel." }).then((text) => {
    if (text !== null && turn === screen.asked) showCode(screen, text);
  }, ignore);
}

/** Characters that the kernel takes for a note. */
const LONGEST = 2000;

export const TrialButtons = live(function TrialButtons({ trial: { id, key } }: { trial: Trial }) {
  const { screen, store } = useView();
  const sure = useSignal(false);
  const there = store.insync.value && store.inputs.value?.key === key;
  return (
    <>
      <Button
        test="trial-restore"
        label={`Restore the input of trial ${id}; undo reverts it`}
        text="Restore input"
        why={there && "it is the current input"}
        onClick={() => {
          screen.flush();
          restore(store, id);
        }}
      />
      {/* Deleting cannot be undone: the second press means it, leaving the button takes the first one back. */}
      <span class="isi-sure" onFocusOut={() => (sure.value = false)}>
        <Button
          test="trial-delete"
          label={sure.value ? `Press again to delete trial ${id} and its note for good` : `Delete trial ${id}`}
          text={sure.value ? "Really delete?" : "Delete"}
          kind="bare"
          onClick={() => {
            if (sure.value) forget(store, id);
            else sure.value = true;
          }}
        />
      </span>
      <Note id={id} />
    </>
  );
});

const Note = live(function Note({ id }: { id: number }) {
  const { store } = useView();
  const field = useRef<HTMLTextAreaElement>(null);
  const commit = (): void => {
    if (field.current) note(store, id, field.current.value.trim());
  };
  return (
    <textarea
      ref={field}
      rows={1}
      class="isi-note-field isi-grow"
      data-testid="trial-note"
      aria-label={`Note on trial ${id}`}
      placeholder="Note on this trial"
      maxLength={LONGEST}
      dir="auto"
      value={store.notes.value[id] ?? ""}
      onBlur={commit}
      onKeyDown={(event) => {
        if (composing(event)) return;
        if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey) {
          event.preventDefault();
          commit();
        } else if (event.key === "Escape" && event.currentTarget.value !== (store.notes.value[id] ?? "")) {
          event.currentTarget.value = store.notes.value[id] ?? "";
          event.stopPropagation();
        }
      }}
    />
  );
});

const WHAT: Record<Format, string> = {
  json: "Everything, without loss: Trial.from_dict reads it back",
  csv: "A table, one row for each trial",
  pdf: "A report to read and print; the trials are in it as data, too",
  html: "The same report as one page for a browser, with nothing to load",
};

/** One button for each format of a file with these trials. */
const Files = live(function Files({ trials, test }: { trials: number[]; test: string }) {
  const { screen, store } = useView();
  return (
    <>
      {FORMATS.map((format) => (
        <Button
          key={format}
          test={`${test}-${format}`}
          label={WHAT[format]}
          text={format.toUpperCase()}
          onClick={() => {
            screen.popover.value = null;
            exportTrials(store, trials, format, download);
          }}
        />
      ))}
    </>
  );
});

export const TrialsButtons = live(function TrialsButtons() {
  const { screen, store } = useView();
  const pinned = store.pinned.value;
  const open = screen.popover.value;
  const all = store.trials.value.map((trial) => trial.id);
  const chosen = pinned.length > 0 ? [...pinned] : store.trial.value ? [store.trial.value.id] : [];
  return (
    <div class="isi-push isi-pinned">
      <Button
        test="compare"
        label={`Compare ${pinned.length > 1 ? `trials ${pinned.join(", ")}` : "the pinned trials"} side by side`}
        text={pinned.length > 0 ? `Compare ${pinned.length}` : "Compare"}
        why={pinned.length < 2 && "pin two trials or more"}
        expanded={open === "compare"}
        onClick={() => screen.toggle("compare")}
      />
      <div class="isi-anchor">
        <Button test="export" label="Save trials as a file" text="Export" why={chosen.length === 0 && "no trial is pinned or shown"} expanded={open === "export"} onClick={() => screen.toggle("export")} />
        {open === "export" && (
          <Popover test="export-panel" label="Export" classes="isi-export">
            <p>{pinned.length > 0 ? `${plural(pinned.length, "pinned trial")}: ${pinned.join(", ")}` : `Trial ${chosen[0]}. Pin others to export them, too.`}</p>
            <Files trials={chosen} test="export" />
            {all.length > chosen.length && (
              <>
                <p>{`The whole session: ${plural(all.length, "trial")}`}</p>
                <Files trials={all} test="export-all" />
              </>
            )}
          </Popover>
        )}
      </div>
      <Button
        test="as-conditions"
        label={`Copy Python that makes ${pinned.length > 0 ? `the inputs of ${pinned.length > 1 ? "trials" : "trial"} ${pinned.join(", ")}` : "the inputs of all trials"} conditions of a study over a data set`}
        text="As conditions"
        onClick={() => askConditions(screen)}
      />
      {open === "compare" && pinned.length > 0 && <Compare />}
    </div>
  );
});

/** Puts code into a new cell below the probe's, where the host has a notebook. */
export const InsertCell = live(function InsertCell({ text }: { text: string }) {
  const { screen, store } = useView();
  const insert = useMemo(() => cellBelow(store.host()), []);
  return (
    insert && (
      <Button
        test="insert-cell"
        label="Put it into a new cell below this one"
        text="Insert cell below"
        onClick={() => {
          insert(text);
          screen.popover.value = null;
          store.spoken.value = "A cell was inserted below";
        }}
      />
    )
  );
});
