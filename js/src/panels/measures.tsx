// The three measures of a trial: answer, uncertainty, attention. Every number has its name, unit and interval, and its definition on hover or focus.
import type { ComponentChildren } from "preact";
import { Bar, Stack, type Interval } from "../charts/bars";
import { Curve } from "../charts/curve";
import { Heads, largest, type Place } from "../charts/heads";
import { live, useSignal } from "../live";
import type { AnswerView, AttentionView, AveragesView, ClusterView, CurveView, EntropyView, Measure, Shares, UncertaintyView } from "../protocol";
import { SEGMENTS } from "../protocol";
import { useView } from "../view";
import { Icon } from "./icons";
import { Button, Section, Tip, decimals, plural, probability } from "./parts";
import { Tokens } from "./tokens";

// In the order in which the kernel runs them.
const ORDER: Measure[] = ["answer", "attention", "uncertainty"];

/** Which of the measures a stage of the kernel belongs to. */
export const measureOf = (stage: string): Measure => (stage === "attention" ? stage : /samples|clusters/.test(stage) ? "uncertainty" : "answer");

/** Where a result will be: how far it is, or that it waits for its turn. */
const Wait = live(function Wait({ measure }: { measure: Measure }) {
  const { store } = useView();
  const { state, measures, stage, done, total } = store.status.value;
  const running = state === "running" && measures.includes(measure);
  if (!running && !store.asked.value?.measures.includes(measure)) return null;
  const turn = running ? ORDER.indexOf(measure) - ORDER.indexOf(measureOf(stage)) : 1;
  if (turn < 0) return null;
  return (
    <span class="isi-wait isi-muted" data-testid={`progress-${measure}`}>
      {turn > 0 ? "waiting" : total > 1 ? `${done} of ${total}` : ""}
      {turn === 0 && <progress aria-label={`Progress: ${measure}`} {...(total > 0 ? { value: done, max: total } : {})} />}
    </span>
  );
});

interface RowProps {
  test: string;
  name: string;
  /** definition and caveat */
  tip?: ComponentChildren;
  value: number;
  max?: number;
  interval?: Interval | null;
  /** the mean over a data set, and what it is of */
  usual?: { value: number; note: ComponentChildren } | undefined;
  segment?: string;
  children?: ComponentChildren;
}

/** Name, bar, number; what follows the number (unit, interval, tokens) are the children. */
function Row({ test, name, tip, value, max = 1, interval = null, usual, segment, children }: RowProps) {
  return (
    <div class="isi-barrow" data-testid={test} data-segment={segment}>
      {tip ? (
        <Tip test={`${test}-tip`} term={name}>
          {tip}
        </Tip>
      ) : (
        <span>{name}</span>
      )}
      <span class="isi-barbox">
        <Bar
          value={value / max}
          interval={interval && [interval[0] / max, interval[1] / max]}
          usual={usual && usual.value / max}
          label={`${name}: ${decimals(value)}${usual === undefined ? "" : `, on average ${decimals(usual.value)}`}`}
        />
        {usual && (
          <Tip test={`${test}-tick`} term="" classes="isi-tick" label={`Average ${decimals(usual.value)}`} style={{ left: `${100 * Math.min(1, usual.value / max)}%` }}>
            <strong>{`Average ${decimals(usual.value)}`}</strong>
            <span class="isi-more">{usual.note}</span>
          </Tip>
        )}
      </span>
      <span class="isi-figure">
        <strong>{decimals(value)}</strong> <span class="isi-muted">{children}</span>
      </span>
    </div>
  );
}

/** A word for how the answer is judged; of a picture that was drawn on it says no more than that it agrees with the original's truth. */
export function Mark({ answer: { correct, mark, judged } }: { answer: AnswerView }) {
  if (correct === null) return null;
  const look = correct ? "right" : "wrong";
  return (
    <span class={`isi-mark isi-${look}`} data-testid="mark" data-correct={correct} title={judged}>
      <Icon name={look} />
      {mark}
    </span>
  );
}

interface AnswerProps {
  answer: AnswerView | null | undefined;
  truth: string | null | undefined;
  /** what has come of a new one, and whether more comes */
  partly: string | null | undefined;
  growing: boolean;
}

export function Answer({ answer, truth, partly, growing }: AnswerProps) {
  const coming = typeof partly === "string";
  const tokens = plural(answer?.tokens.length ?? 0, "token");
  // A server may not tell the probabilities of its tokens.
  const known = answer?.tokens.every((token) => token.logprob !== null);
  const chance = Math.exp((answer?.tokens ?? []).reduce((sum, token) => sum + (token.logprob ?? 0), 0));
  return (
    <Section
      title="Answer"
      test="answer-panel"
      aside={<Wait measure="answer" />}
      busy={coming}
      teach={!answer && !coming && "What the model says when asked once, set against the truth, with its probabilities of yes and no."}
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
            <span data-testid="answer-truth">{!truth ? "No truth is known for this input" : answer.judged.includes("original") ? `Truth of the original picture: ${truth}` : `Truth: ${truth}`}</span>
            {known && (
              <Tip test="answer-probability" term={`p ${probability(chance)}`}>
                Probability of the whole answer, {tokens}. It falls with length: it says how expected these words are, not how true.
              </Tip>
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

/** Groups shown while samples come; the rest is counted. */
const SHOWN = 8;

/** The samples that have ended, equal ones together, in the order of their coming: a row never moves. */
function Samples({ samples }: { samples: string[] }) {
  const counts = new Map<string, number>();
  for (const text of samples) counts.set(text, (counts.get(text) ?? 0) + 1);
  return (
    <div class="isi-wide" data-testid="samples-partial">
      <p class="isi-later isi-muted">The entropies follow when the meanings of all samples have been compared.</p>
      <h4>{plural(samples.length, "sample")} so far</h4>
      <ul>
        {[...counts].slice(0, SHOWN).map(([text, count], i) => (
          <li key={text} class="isi-barrow" data-testid={`sample-${i}`}>
            <span class="isi-cut" dir="auto">
              {text}
            </span>
            <Bar value={count / samples.length} label={`${count} of ${samples.length}`} />
            <span class="isi-figure isi-muted">{count}</span>
          </li>
        ))}
      </ul>
      {counts.size > SHOWN && <p class="isi-muted">and {plural(counts.size - SHOWN, "other wording")}</p>}
    </div>
  );
}

interface UncertaintyProps {
  uncertainty: UncertaintyView | null | undefined;
  averages: AveragesView | null | undefined;
  partly: string[] | undefined;
}

export function Uncertainty({ uncertainty, averages, partly }: UncertaintyProps) {
  const number = averages?.measures.clusters;
  const coming = partly !== undefined && partly.length > 0;
  return (
    <Section
      title="Uncertainty"
      test="uncertainty-panel"
      aside={
        <>
          <Wait measure="uncertainty" />
          {uncertainty && !coming && <span class="isi-muted">{uncertainty.basis || `${plural(uncertainty.samples, "sample")}, T ${uncertainty.temperature}`}</span>}
        </>
      }
      busy={coming}
      teach={!uncertainty && !coming && "Several sampled answers, grouped by meaning: one group is a model that is sure, many groups one that guesses."}
    >
      {coming ? (
        <Samples samples={partly} />
      ) : uncertainty && (
        <div class="isi-wide">
          {uncertainty.judge.doubts.map((doubt) => (
            <p key={doubt} class="isi-doubt isi-changed" data-testid="doubt">
              <Icon name="warning" />
              {doubt}
            </p>
          ))}
          {uncertainty.entropies.map((entropy) => (
            <Entropy key={entropy.name} entropy={entropy} averages={averages} />
          ))}
          <p class="isi-muted isi-small">{uncertainty.scale_note}</p>
          {uncertainty.curve && <Samplesize curve={uncertainty.curve} />}
          <h4>
            {number ? (
              <Tip test="clusters-tip" term={`${plural(uncertainty.clusters.length, "cluster")} of answers`}>
                {`${decimals(number.mean, 1)} on average; this is more than in ${place(number.percentile)}. ${averages.note}`}
              </Tip>
            ) : (
              `${plural(uncertainty.clusters.length, "cluster")} of answers`
            )}
          </h4>
          <ul>
            {uncertainty.clusters.map((cluster) => (
              <Cluster key={cluster.id} cluster={cluster} total={uncertainty.samples} />
            ))}
          </ul>
          {uncertainty.judge.label && <p class="isi-muted" data-testid="judge">{`Meanings compared by ${uncertainty.judge.label}`}</p>}
          {uncertainty.caveats.map((caveat) => (
            <p key={caveat} class="isi-muted">
              {caveat}
            </p>
          ))}
        </div>
      )}
    </Section>
  );
}

/** Mid-rank: many answers have the same entropy, 0. */
const place = (percentile: number): string => `${percentile.toFixed(0)} % of the observations, equal ones counted half`;

function Entropy({ entropy, averages }: { entropy: EntropyView; averages: AveragesView | null | undefined }) {
  const { name, label, value, low, high, scale, unit, definition } = entropy;
  const interval: Interval | null = low === null || high === null ? null : [low, high];
  const usual = averages?.measures[name];
  return (
    <Row
      test={`entropy-${name}`}
      name={label}
      value={value}
      max={scale}
      interval={interval}
      usual={usual && { value: usual.mean, note: `This trial is more uncertain than ${place(usual.percentile)}. ${averages.note}` }}
      tip={definition}
    >
      {unit} {interval && `[${interval.map((x) => decimals(x)).join(", ")}]`}
    </Row>
  );
}

/** How the entropy came about as the samples did: whether more of them would find more. */
function Samplesize({ curve }: { curve: CurveView }) {
  return (
    <figure class="isi-samplesize" data-testid="curve">
      <figcaption>
        <Tip test="curve-tip" term="By number of samples">
          {curve.definition}
        </Tip>
        <span class="isi-muted">{`0 to ${curve.scale} ${curve.unit}`}</span>
      </figcaption>
      <Curve curve={curve} />
      <div class="isi-ends isi-muted">
        <span>{curve.samples[0]}</span>
        <span>{curve.samples.at(-1)}</span>
      </div>
    </figure>
  );
}

const Cluster = live(function Cluster({ cluster, total }: { cluster: ClusterView; total: number }) {
  const open = useSignal(false);
  const { id, name, count, probability, answers } = cluster;
  return (
    <li data-testid={`cluster-${id}`}>
      <button
        type="button"
        class="isi-barrow isi-cluster"
        aria-expanded={open.value}
        data-testid={`cluster-${id}-toggle`}
        title={`${open.value ? "Hide" : "Show"} the answers of this cluster`}
        onClick={() => (open.value = !open.value)}
      >
        <span class="isi-name">
          <Icon name={open.value ? "down" : "next"} />
          <span class="isi-cut" dir="auto">
            {name}
          </span>
        </span>
        <Bar value={count === null ? (probability ?? 0) : count / total} label="share" />
        <span class="isi-figure">
          <strong>{count ?? decimals(probability ?? 0)}</strong> {count !== null && <span class="isi-muted">{`of ${total}`}</span>}
        </span>
      </button>
      {open.value && (
        <ul class="isi-answers" data-testid={`cluster-${id}-answers`}>
          {answers.map((answer) => (
            <li key={answer.text}>
              <span class="isi-muted">{answer.count === null ? decimals(answer.probability ?? 0, 3) : `${answer.count}×`}</span>
              <span dir="auto">{answer.text}</span>
            </li>
          ))}
        </ul>
      )}
    </li>
  );
});

const INPUTS = SEGMENTS.slice(0, 3);
/** What a model may have been given before every question. */
const GIVEN: Partial<Record<string, string>> = { system: "system prompt", history: "earlier turns" };

interface AttentionProps {
  attention: AttentionView | null | undefined;
  averages: AveragesView | null | undefined;
  answer: AnswerView | null | undefined;
}

export const Attention = live(function Attention({ attention, averages, answer }: AttentionProps) {
  const { screen, store } = useView();
  const relative = screen.relative.value;
  const segments: readonly string[] = relative || !attention ? INPUTS : attention.segments;
  const rescaled = (part: Shares): Shares => {
    const sum = segments.reduce((total, segment) => total + (part[segment] ?? 0), 0) || 1;
    return Object.fromEntries(segments.map((segment) => [segment, (part[segment] ?? 0) / (relative ? sum : 1)]));
  };
  const index = screen.token.value;
  const one = index === null ? undefined : attention?.by_token[index];
  const token = answer?.tokens[index ?? -1]?.text.trim() ?? "";
  return (
    <Section
      title="Attention"
      test="attention-panel"
      aside={
        <>
          <Wait measure="attention" />
          {one && <Button test="attention-token" label={`Attention of the answer token “${token}” only; press for the mean over all of them`} icon="close" text={`of “${token}”`} kind="bare" onClick={() => (screen.token.value = null)} />}
          {attention && (
            <div class="isi-toggles" role="group" aria-label="Scale of attention">
              <Button test="attention-absolute" label="Shares of all attention; other is the template and the answer so far" text="absolute" pressed={!relative} onClick={() => (screen.relative.value = false)} />
              <Button test="attention-relative" label="Shares among image, context and question only" text="relative" pressed={relative} onClick={() => (screen.relative.value = true)} />
            </div>
          )}
        </>
      }
      teach={!attention && (store.modelInfo.value.unavailable.attention || "How much of the answer's attention goes to image, context and question. Attention is not importance, but a good first hint.")}
    >
      {attention && (
        <>
          {segments.map((segment) => {
            const mean = relative ? attention.relative : attention.absolute;
            const share = (one ? rescaled(one) : mean)[segment] ?? 0;
            const count = attention.token_counts[segment];
            const tokens = count !== undefined && plural(count, "token");
            const each = count ? `${(share / count).toPrecision(2)} for each of ${tokens}. ` : "";
            const usual = one ? undefined : averages?.[relative ? "attention_relative" : "attention_absolute"][segment];
            const over = one ? `Of the answer token “${token}”, mean over layers and heads` : "Mean over answer tokens, layers and heads";
            return (
              <Row
                key={segment}
                test={`attention-${segment}`}
                name={GIVEN[segment] ?? segment}
                segment={segment}
                value={share}
                usual={usual === undefined ? undefined : { value: usual, note: averages?.note ?? "" }}
                tip={`${each}${over}${relative ? ", among the three inputs" : ""}. Where attention goes is not what decides the answer: cover it and see.`}
              >
                {tokens}
              </Row>
            );
          })}
          {/* keep the height of what is not shown */}
          {relative && attention.segments.slice(INPUTS.length).map((left) => <div key={left} class="isi-barrow isi-muted isi-filler">{`${GIVEN[left] ?? left} left out`}</div>)}
          {attention.modality_dominance_index !== null && (
            <p class="isi-under isi-muted">
              <Tip test="mdi" term={`Modality dominance ${decimals(attention.modality_dominance_index)}`}>
                Attention per text token over attention per image token. Above 1, a text token draws more than an image token; of those there are many more.
              </Tip>
            </p>
          )}
          {attention.by_layer.length > 1 && (
            <figure class="isi-layerchart">
              <ByLayer layers={attention.by_layer.map(rescaled)} />
            </figure>
          )}
          {attention.by_head.length > 0 && <ByHead shares={attention.by_head} />}
        </>
      )}
    </Section>
  );
});

/** The shares of each layer; those of the layer that is pointed at in numbers. */
const ByLayer = live(function ByLayer({ layers }: { layers: Shares[] }) {
  const over = useSignal<number | null>(null);
  const at = over.value === null ? undefined : layers[over.value];
  return (
    <>
      <Stack columns={layers} label={`Attention by layer, ${layers.length} layers`} over={over.value} onPoint={(layer) => (over.value = layer)} />
      <figcaption class="isi-muted" data-testid="attention-layers">
        {at ? (
          <span>{`layer ${over.value}: ${Object.entries(at).map(([name, share]) => `${name} ${decimals(share ?? 0)}`).join(", ")}`}</span>
        ) : (
          <>
            <span>layer 0</span>
            <span>{layers.length - 1}</span>
          </>
        )}
      </figcaption>
    </>
  );
});

/** Of the image, by layer and head: heads differ more than layers do. */
const ByHead = live(function ByHead({ shares }: { shares: number[][] }) {
  const over = useSignal<Place | null>(null);
  const most = largest(shares);
  const say = ({ layer, head }: Place): string => `layer ${layer}, head ${head}: ${decimals(shares[layer]?.[head] ?? 0)}`;
  return (
    <figure class="isi-layerchart" data-testid="attention-heads">
      <Heads shares={shares} label={`Share of the image by layer and head. Most in ${say(most)}`} over={over.value} onPoint={(place) => (over.value = place)} />
      <figcaption class="isi-muted">
        <Tip test="heads-tip" term="image by head">
          The absolute share of the image in each head, mean over answer tokens: across the layers, down the heads. The darker, the more. Point at a head, or go there with the arrow keys, for its number.
        </Tip>
        <span class="isi-scale">
          0 <i class="isi-ramp isi-shades" /> 1
        </span>
        <span>{over.value ? say(over.value) : `most in ${say(most)}`}</span>
      </figcaption>
    </figure>
  );
});
