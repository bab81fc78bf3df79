// How many tokens the texts have for the present model, and why it would refuse them; asked of the kernel a moment after the last change.
import { live, useSignalEffect } from "../live";
import { useEffect, useRef } from "preact/hooks";
import type { Segment, Tokens } from "../protocol";
import { answersOf, askTokens } from "../state/kernel";
import type { Store } from "../state/store";
import { useView } from "../view";
import { Icon } from "./icons";
import { plural } from "./parts";

const PAUSE = 250;

/** Token counts of the current input, as far as known. */
function known(store: Store): Tokens | null {
  const tokens = answersOf(store).tokens.value;
  return store.insync.value && tokens?.key === store.inputs.value?.key && tokens?.model === store.modelInfo.value.label ? tokens : null;
}

/** Of the current text; where it replaces one, of both. As many on both sides: no position in the prompt changes (symmetric token replacement). */
export const Count = live(function Count({ segment }: { segment: Segment }) {
  const { store } = useView();
  const tokens = known(store);
  const counts = tokens?.counts;
  const count = counts?.[segment];
  // An empty text has nothing to be replaced token by token.
  const original = tokens?.original[segment] || undefined;
  const equal = original !== undefined && original === count;
  const compared = original === undefined || count === undefined ? "" : `The original ${segment} has ${plural(original, "token")}, this one ${equal ? "as many: no position in the prompt changes (symmetric token replacement)" : count}. `;
  return (
    <span class={`isi-count isi-${equal ? "right" : "muted"}`} data-testid={`tokens-${segment}`} data-equal={original === undefined ? undefined : equal} title={counts ? `${compared}Of the prompt's ${plural(total(counts), "token")}` : undefined}>
      {count === undefined ? "" : `${original === undefined ? "" : `${original} ${equal ? "=" : "→"} `}${plural(count, "token")}`}
    </span>
  );
});

const total = (counts: NonNullable<Tokens["counts"]>): number => Object.values(counts).reduce<number>((sum, n) => sum + (n ?? 0), 0);

/** Why the model would refuse the prompt, or what it is not shown as it was written; and what asks for the counts: to be there once in a view. */
export const PromptProblem = live(function PromptProblem() {
  const { store } = useView();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useSignalEffect(() => {
    clearTimeout(timer.current);
    // The model is busy: asked again when it is not.
    if (store.running.value || !store.insync.value || store.inputs.value === null || known(store)) return;
    timer.current = setTimeout(() => askTokens(store), PAUSE);
  });
  useEffect(() => () => clearTimeout(timer.current), []);
  const problem = known(store)?.problem || store.inputs.value?.warning;
  return (
    <p class="isi-problem" role="status" hidden={!problem} data-testid="prompt-problem">
      {problem && (
        <>
          <Icon name="warning" />
          <span>{problem}</span>
        </>
      )}
    </p>
  );
});
