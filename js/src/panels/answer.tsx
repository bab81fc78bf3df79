// The answer of a trial: its words with their probabilities, how it is judged, and the probabilities of yes and no.
import type { AnswerView, TrialView } from "../protocol";
import { Icon } from "./icons";
import { Row, Wait } from "./measure";
import { Section, Tip, plural, probability } from "./parts";
import { Tokens } from "./tokens";

/** The judgement of the answer, in a word or in full. Where the drawings may have changed the truth, only whether it agrees with the original's, in no colour. */
export function Mark({ answer: { correct, mark, judged }, full }: { answer: AnswerView; full?: boolean }) {
  if (correct === null) return null;
  return (
    <span class={`isi-mark isi-${mark}`} data-testid="mark" data-correct={correct} title={judged}>
      <Icon name={mark} />
      {full ? judged : mark}
    </span>
  );
}

interface AnswerProps {
  answer: AnswerView | null | undefined;
  truth: string | null | undefined;
  /** the trial it is of */
  view: TrialView | undefined;
  /** what has come of a new one, and whether more comes */
  partly: string | null | undefined;
  growing: boolean;
}

export function Answer({ answer, truth, view, partly, growing }: AnswerProps) {
  const coming = typeof partly === "string";
  const tokens = plural(answer?.tokens.length ?? 0, "token");
  // A server may not report the probabilities of its tokens.
  const known = answer?.tokens.every((token) => token.logprob !== null);
  const of = answer?.judged.includes("truth") ? answer.judged : view?.truth_holds ? "truth" : "truth of the original picture";
  const chance = Math.exp((answer?.tokens ?? []).reduce((sum, token) => sum + (token.logprob ?? 0), 0));
  return (
    <Section
      title="Answer"
      test="answer-panel"
      aside={<Wait measure="answer" />}
      busy={coming}
      teach={!answer && !coming && "The model's answer, compared with the truth, and its probabilities of yes and no."}
    >
      {coming ? (
        <p class="isi-answer">
          <q data-testid="answer-partial" class={growing ? "isi-growing" : undefined} dir="auto">
            {partly}
          </q>
        </p>
      ) : answer && (
        <>
          <p class="isi-answer">
            <q data-testid="answer" dir="auto">
              <Tokens answer={answer} />
            </q>
            <Mark answer={answer} />
          </p>
          <p class="isi-under isi-muted">
            <span data-testid="answer-truth">{truth ? `${of[0]?.toUpperCase()}${of.slice(1)}: ${truth}` : "No truth is known for this input"}</span>
            {known && (
              <Tip test="answer-probability" term={`p ${probability(chance)}`}>
                Probability of the whole answer, {tokens}. It falls with length. It measures how expected these words are, not how true.
              </Tip>
            )}
            {view?.interventions && (
              <span class="isi-term" data-testid="interventions" title={view.intervention_lines.join("\n")}>
                {view.interventions}
              </span>
            )}
            {answer.finished === false && <span data-testid="answer-cut">cut off after {tokens}</span>}
          </p>
          {answer.reasoning && (
            <details class="isi-muted" data-testid="reasoning">
              <summary>Reasoning, not judged</summary>
              <p dir="auto">{answer.reasoning}</p>
            </details>
          )}
          {answer.yes_no && (
            <div data-testid="yes-no">
              {Object.entries(answer.yes_no).map(([name, value]) => (
                <Row
                  key={name}
                  test={`yes-no-${name}`}
                  name={name}
                  value={value}
                  tip="Probability that the answer begins with a form of yes, of no, or with anything else (rest). It looks at one word, not at the sentence."
                />
              ))}
            </div>
          )}
        </>
      )}
    </Section>
  );
}
