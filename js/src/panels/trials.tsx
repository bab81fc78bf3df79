// The history: every run as a thumbnail with its answer and entropy. A click shows that trial; what else can be done with it is the row below.
// What needs a kernel is the editor's (compare.tsx).
import { live } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { isDrawing } from "../document";
import type { Trial } from "../protocol";
import { NAMES, showCode } from "../state/screen";
import { useView } from "../view";
import { Icon } from "./icons";
import { Mark } from "./answer";
import { Button, Popover, decimals } from "./parts";
import { Thumbnail } from "./thumbnail";

export const Trials = live(function Trials() {
  const { screen, store } = useView();
  const strip = useRef<HTMLOListElement>(null);
  const trials = store.trials.value;
  const newest = trials.at(-1)?.id;
  const trial = store.trial.value;
  const editor = screen.editor.value;
  useEffect(() => {
    // The newest is at the right end; scrolled inside the strip only, the notebook stays where it is.
    if (strip.current) strip.current.scrollLeft = strip.current.scrollWidth;
  }, [newest]);
  return (
    <div class="isi-history">
      <div class="isi-trials" data-testid="trials">
        <span class="isi-label">Trials</span>
        {trials.length === 0 ? (
          <p class="isi-teach isi-grow">Every run is kept here for later comparison.</p>
        ) : (
          <ol ref={strip} class="isi-grow">
            {trials.map((item) => (
              <Item key={item.id} trial={item} shown={item.id === store.shown.value} />
            ))}
          </ol>
        )}
        <div class="isi-anchor">
          <Button test="copy-code" label="Copy the Python that rebuilds the input as it is now" icon="code" text="Copy as Python" why={!editor && "the kernel is not there"} expanded={screen.popover.value === "code"} onClick={() => editor?.askCode(screen)} />
          {screen.popover.value === "code" && <Code />}
        </div>
      </div>
      <div class="isi-actions" data-testid="trial-actions" role="group" aria-label={trial ? `Trial ${trial.id}` : "Trial"}>
        {trial && (
          <>
            <span class="isi-label">Trial {trial.id}</span>
            {editor && <editor.TrialButtons key={trial.id} trial={trial} />}
            <Button test="trial-copy" label={`Copy the Python that repeats trial ${trial.id}`} icon="code" text="Copy its Python" onClick={() => copyTrial(trial)} />
            {!editor && <p class="isi-grow" dir="auto" data-testid="trial-noted">{store.notes.value[trial.id]}</p>}
          </>
        )}
        {editor && trials.length > 0 && <editor.TrialsButtons />}
      </div>
    </div>
  );

  /** As the kernel says now; without one what it sent with the result. */
  function copyTrial({ id, view }: Trial): void {
    if (editor) editor.askCode(screen, id);
    else showCode(screen, view.code);
  }
});

const Item = live(function Item({ trial, shown }: { trial: Trial; shown: boolean }) {
  const { screen, store } = useView();
  const { id } = trial;
  const { answer, uncertainty } = trial.view;
  const entropy = uncertainty?.entropies[0];
  const note = store.notes.value[id];
  const pinned = store.pinned.value.includes(id);
  const [other] = trial.view.measures;
  const first = other?.columns[0];
  const facts = [first && !entropy && `${first.label} ${first.text}`, entropy && `SE ${decimals(entropy.value)}${uncertainty.judge.doubts.length ? " (!)" : ""}`, store.otherModel(trial) ? trial.view.model : trial.view.interventions].filter(Boolean).join(" · ");
  return (
    <li class="isi-card">
      <button type="button" class="isi-trial" aria-pressed={shown} data-testid={`trial-${id}`} title={told(trial, note)} onClick={(event) => still(event.currentTarget, () => store.show(id))}>
        <Thumbnail data={trial.thumbnail} size={44} alt="" />
        <span class="isi-trialtext">
          <span class="isi-trialhead">
            <span class="isi-muted">{id}</span>
            {answer && <Mark answer={answer} />}
          </span>
          <span class="isi-cut" dir="auto">
            {answer?.text ?? "no answer"}
          </span>
          <span class="isi-muted isi-cut">
            {facts || " "}
            {facts && note && " · "}
            {note && <bdi>{note}</bdi>}
          </span>
        </span>
      </button>
      {screen.editor.value && (
        <button
          type="button"
          class="isi-pin"
          aria-pressed={pinned}
          aria-label={`Pin trial ${id} to compare or export it`}
          title={pinned ? "Pinned; press to unpin" : "Pin to compare or export"}
          data-testid={`trial-${id}-pin`}
          onClick={() => store.pin(id)}
        >
          <Icon name="pin" />
        </button>
      )}
    </li>
  );
});

/** Does what may change the height of what is above, and scrolls so that the element stays where it is seen. */
function still(element: HTMLElement, change: () => void): void {
  const before = element.getBoundingClientRect().top;
  change();
  requestAnimationFrame(() => {
    const by = element.getBoundingClientRect().top - before;
    let parent = element.parentElement;
    while (parent && !(parent.scrollHeight > parent.clientHeight && /auto|scroll/.test(getComputedStyle(parent).overflowY))) parent = parent.parentElement;
    if (by !== 0 && parent) parent.scrollBy(0, (by * parent.offsetHeight) / (parent.getBoundingClientRect().height || 1));
  });
}

/** A trial in words, to distinguish it from similar ones. */
function told({ id, view }: Trial, note: string | undefined): string {
  const drawn = view.operations.flatMap((op) => (isDrawing(op) ? [NAMES[op.op]?.toLowerCase()] : []));
  return [`Trial ${id}, ${view.model}: ${view.question}`, view.context && `Context: ${view.context}`, drawn.length > 0 && `Drawn: ${drawn.join(", ")}`, note].filter(Boolean).join("\n");
}

const Code = live(function Code() {
  const { screen } = useView();
  const copied = screen.copied.value;
  const area = useRef<HTMLTextAreaElement>(null);
  const text = screen.code.value;
  const editor = screen.editor.value;
  useEffect(() => area.current?.select(), [text]);
  return (
    <Popover test="code-panel" label="Python of this input" classes="isi-code">
      <div class="isi-row">
        <p class="isi-grow" role="status">
          {copied === true ? "Copied. Paste it into a cell." : copied === false ? "The browser refused the clipboard: select and copy." : "Python of this input"}
        </p>
        {editor && <editor.InsertCell key={text} text={text} />}
      </div>
      <textarea ref={area} readOnly data-testid="code" aria-label="Python" rows={Math.min(14, text.split("\n").length + 1)} value={text} spellcheck={false} />
    </Popover>
  );
});
