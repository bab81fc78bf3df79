// An answer token by token: under each the bar of its probability; on hover or focus what else might have stood there; a press chooses it.
import { Bar } from "../charts/bars";
import { live, useSignal } from "../live";
import { useLayoutEffect, useRef } from "preact/hooks";
import { float } from "../float";
import type { AnswerView, Told, Token } from "../protocol";
import { useView } from "../view";
import { probability } from "./parts";

const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

const chance = (told: Told): number => Math.exp(told.logprob ?? -Infinity);
const said = (text: string): string => (text === "" ? "end of the answer" : text.trim() || "␣");

/** The tokens as the text has them: those that say nothing of their own (parts of a character) are left out; null where they are not the text. */
function pieces({ text, tokens }: AnswerView): { token: Token; index: number; before: string; word: string }[] | null {
  if (tokens.map((token) => token.text).join("").trim() !== text.trim() || !tokens.some((token) => token.logprob !== null)) return null;
  return tokens
    .map((token, index) => ({ token, index, before: /^\s*/.exec(token.text)?.[0] ?? "", word: token.text.trimStart() }))
    .filter(({ word, before }) => word || before);
}

export const Tokens = live(function Tokens({ answer }: { answer: AnswerView }) {
  const { screen, root } = useView();
  const open = useSignal<{ index: number; element: Element } | null>(null);
  const panel = useRef<HTMLSpanElement>(null);
  const at = useSignal(0);
  const group = useRef<HTMLSpanElement>(null);
  const found = pieces(answer);
  useLayoutEffect(() => {
    if (panel.current && open.value) float(panel.current, open.value.element, root, true);
  }, [open.value]);
  if (!found) return answer.text;
  const words = found.filter(({ word }) => word);
  const look = (index: number, element: Element): void => {
    open.value = { index, element };
  };
  const close = (): void => {
    open.value = null;
  };
  const told = answer.tokens[open.value?.index ?? -1];
  const here = words.some(({ index }) => index === at.value) ? at.value : words[0]?.index;
  return (
    <span
      ref={group}
      role="group"
      aria-label={`Answer: ${answer.text}. Its tokens`}
      onKeyDown={(event) => {
        const step = STEPS[event.key];
        if (event.key === "Escape" && open.value) close();
        else if (step === undefined) return;
        else {
          const place = words.findIndex(({ index }) => index === here);
          const next = words[Math.min(Math.max(place + step, 0), words.length - 1)];
          if (next) at.value = next.index;
          group.current?.querySelector<HTMLElement>(`[data-token="${next?.index}"]`)?.focus();
        }
        event.preventDefault();
        event.stopPropagation();
      }}
    >
      {found.map(({ token, index, before, word }) => {
        const others = token.alternatives.map((other) => `${said(other.text)} ${probability(chance(other))}`);
        return [
          index !== words[0]?.index && before,
          word && (
            <button
              key={index}
              type="button"
              class="isi-token"
              data-testid={`token-${index}`}
              data-token={index}
              tabIndex={index === here ? 0 : -1}
              style={{ "--isi-p": `${100 * chance(token)}%` }}
              aria-pressed={screen.token.value === index}
              aria-label={`${word}, probability ${probability(chance(token))}${others.length > 0 ? `; others: ${others.join(", ")}` : ""}`}
              onPointerEnter={(event) => look(index, event.currentTarget)}
              onPointerLeave={close}
              onFocus={(event) => {
                at.value = index;
                look(index, event.currentTarget);
              }}
              onBlur={close}
              onClick={() => (screen.token.value = screen.token.value === index ? null : index)}
            >
              {word}
            </button>
          ),
        ];
      })}
      {told && open.value && (
        <span ref={panel} class="isi-bubble isi-told" popover="manual" data-testid="token-told" aria-hidden="true">
          {[told, ...told.alternatives]
            .map((other, i) => ({ ...other, taken: i === 0 }))
            .sort((a, b) => chance(b) - chance(a))
            .map(({ taken, ...other }, i) => (
              <span key={i} class={taken ? "isi-toldrow isi-taken" : "isi-toldrow"}>
                <span class={other.text === "" ? "isi-cut isi-muted" : "isi-cut"}>{other.text === "" ? "(end)" : said(other.text)}</span>
                <Bar value={chance(other)} label="" />
                <span>{probability(chance(other))}</span>
              </span>
            ))}
        </span>
      )}
    </span>
  );
});
