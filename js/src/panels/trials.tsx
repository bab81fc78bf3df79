// The history: every run as a thumbnail with its answer and entropy. A click shows that trial; Python code can be copied.
import { live, useSignalEffect } from "../live";
import { useEffect, useRef } from "preact/hooks";
import type { Trial } from "../protocol";
import { identifier } from "../state/store";
import { useView } from "../view";
import { Mark } from "./measures";
import { Button, Popover, decimals } from "./parts";
import { Thumbnail } from "./thumbnail";

export const Trials = live(function Trials() {
  const { screen, store } = useView();
  const strip = useRef<HTMLOListElement>(null);
  const trials = store.trials.value;
  useEffect(() => {
    // The newest is at the right end; scrolled inside the strip only, the notebook stays where it is.
    if (strip.current) strip.current.scrollLeft = strip.current.scrollWidth;
  }, [trials.length]);
  return (
    <div class="isi-trials" data-testid="trials">
      <span class="isi-label">Trials</span>
      {trials.length === 0 ? (
        <p class="isi-teach isi-grow">Every run is kept here, to come back to and compare.</p>
      ) : (
        <ol ref={strip} class="isi-grow">
          {trials.map((trial) => (
            <Item key={trial.id} trial={trial} shown={trial.id === store.shown.value} />
          ))}
        </ol>
      )}
      <div class="isi-anchor">
        <Button test="copy-code" label="Copy the Python that rebuilds the input as it is now" icon="code" text="Copy as Python" expanded={screen.popover.value === "code"} onClick={() => copyCode()} />
        {screen.popover.value === "code" && <Code />}
      </div>
    </div>
  );

  function copyCode(): void {
    screen.flush();
    screen.copied.value = null;
    screen.asked = identifier();
    store.askCode(screen.asked);
  }
});

const Item = live(function Item({ trial, shown }: { trial: Trial; shown: boolean }) {
  const { store } = useView();
  const { answer, uncertainty } = trial.view;
  const entropy = uncertainty?.entropies[0];
  return (
    <li>
      <button type="button" class="isi-trial" aria-pressed={shown} data-testid={`trial-${trial.id}`} title={`Trial ${trial.id}, ${trial.view.model}: ${trial.view.question}`} onClick={() => store.show(trial.id)}>
        <Thumbnail data={trial.thumbnail} size={44} alt="" />
        <span class="isi-trialtext">
          <span class="isi-trialhead">
            <span class="isi-muted">{trial.id}</span>
            {answer && <Mark correct={answer.correct} />}
          </span>
          <span class="isi-cut" dir="auto">
            {answer?.text ?? "no answer asked"}
          </span>
          <span class="isi-muted isi-cut">{[entropy && `${entropy.name[0] === "d" ? "discrete " : ""}SE ${decimals(entropy.value)}`, store.otherModel(trial) && trial.view.model].filter(Boolean).join(" · ") || " "}</span>
        </span>
      </button>
    </li>
  );
});

/** Puts the code that arrived on the clipboard, and shows it: where the clipboard is refused it can be taken by hand. */
export function useClipboard(): void {
  const { screen, store } = useView();
  useSignalEffect(() => {
    const code = store.code.value;
    if (!code || code.id !== screen.asked) return;
    screen.asked = null;
    screen.popover.value = "code";
    const clipboard = navigator.clipboard as Clipboard | undefined;
    void Promise.resolve(clipboard?.writeText(code.text)).then(
      () => (screen.copied.value = clipboard !== undefined),
      () => (screen.copied.value = false),
    );
  });
}

const Code = live(function Code() {
  const { screen, store } = useView();
  const copied = screen.copied.value;
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => area.current?.select(), []);
  const text = store.code.value?.text ?? "";
  return (
    <Popover test="code-panel" label="Python of this input" classes="isi-code">
      <p role="status">{copied === true ? "Copied. Paste it into a cell." : copied === false ? "The browser refused the clipboard: select and copy." : "Python of this input"}</p>
      <textarea ref={area} readOnly data-testid="code" aria-label="Python" rows={Math.min(14, text.split("\n").length + 1)} value={text} spellcheck={false} />
    </Popover>
  );
});
