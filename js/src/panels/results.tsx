// The effect: the input as it was sent, the answer, its uncertainty, its attention. Progress sits where the result will be.
import { useSignal } from "@preact/signals";
import { Bar, Interval, Stack } from "../charts/bars";
import { isDrawing } from "../document";
import type { AnswerView, AttentionView, ClusterView, EntropyView, Measure, Trial, UncertaintyView } from "../protocol";
import { MEASURES, SEGMENTS } from "../protocol";
import { NAMES } from "../state/screen";
import { useView } from "../view";
import { Icon } from "./icons";
import { Button, Section, Tip, decimals, plural } from "./parts";
import { Thumbnail } from "./thumbnail";

export function Results() {
  const { store } = useView();
  const trial = store.trial.value;
  const stale = trial !== null && !store.current.value;
  return (
    <div class={stale ? "isi-results isi-stale" : "isi-results"} data-testid="results" data-trial={trial?.id ?? -1} data-stale={stale}>
      <StatusLine trial={trial} stale={stale} />
      <Sent trial={trial} />
      <Answer answer={trial?.view.answer ?? null} truth={trial?.view.truth ?? null} />
      <Uncertainty uncertainty={trial?.view.uncertainty ?? null} />
      <Attention attention={trial?.view.attention ?? null} />
    </div>
  );
}

/** Which of the measures a stage of the kernel belongs to. */
function measureOf(stage: string): Measure {
  if (stage.includes("attention")) return "attention";
  return /sampl|cluster|entail|uncertain/.test(stage) ? "uncertainty" : "answer";
}

function useProgress(measure: Measure): { waiting: boolean; share: number | null; text: string } {
  const { store } = useView();
  const { state, what, stage, done, total } = store.status.value;
  const asked = store.asked.value;
  const waiting = (state !== "idle" && what.includes(measure)) || (asked?.what.includes(measure) ?? false);
  const here = state === "running" && measureOf(stage) === measure;
  const past = state === "running" && stage !== "" && MEASURES.indexOf(measureOf(stage)) > MEASURES.indexOf(measure);
  return {
    waiting: waiting && !past,
    share: here && total > 0 ? done / total : null,
    text: here ? (total > 1 ? `${stage} ${done} of ${total}` : stage) : "waiting",
  };
}

/** One line of fixed height: what is going on, or which result this is. */
function StatusLine({ trial, stale }: { trial: Trial | null; stale: boolean }) {
  const { store, screen } = useView();
  const { state, stage, done, total, queued } = store.status.value;
  const rerun = (): void => {
    screen.flush();
    const view = trial?.view;
    const what = view ? MEASURES.filter((m) => view[m] !== null) : [];
    store.run(what.length > 0 ? [...what] : [...MEASURES]);
  };
  if (store.running.value) {
    const text = state === "cancelling" ? "Cancelling" : state === "running" ? `Running${stage ? `: ${stage}` : ""}` : "Asking the kernel";
    return (
      <div class="isi-status" data-testid="status" data-state={state === "idle" ? "asked" : state}>
        <span class="isi-spin" aria-hidden="true" />
        <span class="isi-cut">
          {text}
          {state === "running" && total > 1 && <span class="isi-muted">{` ${done} of ${total}`}</span>}
          {queued > 0 && <span class="isi-muted" data-testid="queued">{` · ${queued} queued`}</span>}
        </span>
        <progress data-testid="progress" aria-label="Progress of the run" {...(state === "running" && total > 0 ? { value: done, max: total } : {})} />
        <Button test="cancel" label="Cancel the run (Esc)" text="Cancel" why={state === "cancelling" && "it stops at the next token"} onClick={() => store.cancel()} />
      </div>
    );
  }
  if (!trial) {
    return (
      <div class="isi-status isi-muted" data-testid="status" data-state="empty">
        Results will stand here.
      </div>
    );
  }
  if (stale) {
    return (
      <div class="isi-status isi-changed" data-testid="status" data-state="stale">
        <Icon name="warning" />
        <span class="isi-cut" data-testid="stale">
          Input changed since trial {trial.id}
        </span>
        <Button test="rerun" label="Run the same measures on the input as it is now" text="run again" onClick={rerun} />
      </div>
    );
  }
  const seconds = Object.values(trial.view.seconds).filter((x): x is number => typeof x === "number");
  const spent = typeof trial.view.seconds.total === "number" ? trial.view.seconds.total : seconds.reduce((a, b) => a + b, 0);
  return (
    <div class="isi-status isi-muted" data-testid="status" data-state="current">
      <span class="isi-cut">
        Trial {trial.id}
        {spent > 0 && ` · ${decimals(spent)} s`}
        {trial.view.model && ` · ${trial.view.model}`}
      </span>
    </div>
  );
}

function Sent({ trial }: { trial: Trial | null }) {
  if (!trial) {
    return (
      <Section title="Input as sent" test="sent">
        <p class="isi-teach">The picture, context and question exactly as the model was given them.</p>
      </Section>
    );
  }
  const { view } = trial;
  const drawings = view.operations.filter(isDrawing).map((d) => (NAMES[d.op] ?? d.op).toLowerCase());
  return (
    <Section title="Input as sent" test="sent">
      <div class="isi-sent">
        <Thumbnail data={trial.thumbnail} size={72} alt="The picture as sent" />
        <dl>
          <dt data-segment="image">Image</dt>
          <dd data-testid="sent-image">{[view.image_preset, ...drawings].join(" + ")}</dd>
          <dt data-segment="context">Context</dt>
          <dd data-testid="sent-context" dir="auto">
            {view.context === "" ? <span class="isi-muted">empty</span> : view.context}
          </dd>
          <dt data-segment="question">Question</dt>
          <dd data-testid="sent-question" dir="auto">
            {view.question}
          </dd>
        </dl>
      </div>
    </Section>
  );
}

function Wait({ measure }: { measure: Measure }) {
  const progress = useProgress(measure);
  if (!progress.waiting) return null;
  return (
    <div class="isi-wait" data-testid={`progress-${measure}`}>
      <span class="isi-muted">{progress.text}</span>
      <progress aria-label={`Progress: ${measure}`} {...(progress.share === null ? {} : { value: progress.share, max: 1 })} />
    </div>
  );
}

export function Mark({ correct }: { correct: boolean | null }) {
  if (correct === null) return null;
  return (
    <span class={correct ? "isi-mark isi-right" : "isi-mark isi-wrong"} data-testid="mark" data-correct={correct}>
      <Icon name={correct ? "right_answer" : "wrong_answer"} />
      {correct ? "right" : "wrong"}
    </span>
  );
}

function Answer({ answer, truth }: { answer: AnswerView | null; truth: string | null }) {
  const chance = answer && answer.tokens.length > 0 ? Math.exp(answer.tokens.reduce((sum, t) => sum + t.logprob, 0)) : null;
  return (
    <Section title="Answer" test="answer-panel" classes="isi-answerpanel" aside={<Wait measure="answer" />}>
      {!answer ? (
        <p class="isi-teach">What the model says when asked once, set against the truth, with its probabilities of yes and no.</p>
      ) : (
        <>
          <p class="isi-answer">
            <q data-testid="answer" dir="auto">
              {answer.text}
            </q>
            <Mark correct={answer.correct} />
          </p>
          <p class="isi-under isi-muted">
            <span data-testid="answer-truth">{truth === null ? "No truth is known for this input" : `Truth: ${truth}`}</span>
            {chance !== null && (
              <Tip test="answer-probability" term={`p ${decimals(chance)}`}>
                Probability of the whole answer, token by token ({plural(answer.tokens.length, "token")}). It falls with length and says how expected the words are, not how true.
              </Tip>
            )}
          </p>
          {answer.yes_no && (
            <div class="isi-bars" data-testid="yes-no">
              {(["yes", "no", "rest"] as const).map((name) => {
                const value = answer.yes_no?.[name] ?? 0;
                return (
                  <div class="isi-barrow" key={name} data-testid={`yes-no-${name}`}>
                    {name === "yes" ? (
                      <Tip test="yes-no-tip" term="yes">
                        Probability that the first word of the answer is a form of yes or no; rest: anything else. One word is looked at, not the sentence.
                      </Tip>
                    ) : (
                      <span>{name}</span>
                    )}
                    <Bar value={value} label={`${name}: ${decimals(value)}`} />
                    <output>{decimals(value)}</output>
                  </div>
                );
              })}
            </div>
          )}
        </>
      )}
    </Section>
  );
}

function Uncertainty({ uncertainty }: { uncertainty: UncertaintyView | null }) {
  return (
    <Section
      title="Uncertainty"
      test="uncertainty-panel"
      classes="isi-uncertaintypanel"
      aside={
        <>
          {uncertainty && <span class="isi-muted">{`${plural(uncertainty.samples, "sample")}, T ${uncertainty.temperature}`}</span>}
          <Wait measure="uncertainty" />
        </>
      }
    >
      {!uncertainty ? (
        <p class="isi-teach">Several sampled answers, grouped by meaning: one group is a model that is sure, many groups one that guesses.</p>
      ) : (
        <>
          <div class="isi-entropies">
            {uncertainty.entropies.map((entropy, i) => (
              <Entropy key={entropy.name} entropy={entropy} first={i === 0} />
            ))}
          </div>
          <h4>{plural(uncertainty.clusters.length, "cluster")} of answers</h4>
          <ul class="isi-clusters">
            {uncertainty.clusters.map((cluster) => (
              <Cluster key={cluster.id} cluster={cluster} total={uncertainty.samples} />
            ))}
          </ul>
        </>
      )}
    </Section>
  );
}

function Entropy({ entropy, first }: { entropy: EntropyView; first: boolean }) {
  const { value, low, high, unit, label } = entropy;
  const max = entropy.maximum ?? Math.max(value, high ?? 0, 1);
  const interval = low === null || high === null ? "" : `[${decimals(low)}, ${decimals(high)}]`;
  return (
    <div class={first ? "isi-barrow isi-main" : "isi-barrow"} data-testid={`entropy-${entropy.name}`}>
      <Tip test={`entropy-${entropy.name}-tip`} term={label}>
        {entropy.definition}
        {interval && ` Interval: bootstrap over the samples.`}
        {entropy.maximum !== null && ` Largest possible here: ${decimals(entropy.maximum)}${unit ? ` ${unit}` : ""}.`}
      </Tip>
      <Interval {...{ value, low, high, max }} label={`${label}: ${decimals(value)} ${unit} ${interval}`} />
      <output>
        <strong>{decimals(value)}</strong>
        {unit && <span class="isi-unit"> {unit}</span>} <span class="isi-muted isi-interval-text">{interval}</span>
      </output>
    </div>
  );
}

function Cluster({ cluster, total }: { cluster: ClusterView; total: number }) {
  const open = useSignal(false);
  return (
    <li data-testid={`cluster-${cluster.id}`}>
      <button
        type="button"
        class="isi-barrow isi-cluster"
        aria-expanded={open.value}
        data-testid={`cluster-${cluster.id}-toggle`}
        title={`${open.value ? "Hide" : "Show"} the answers of this cluster`}
        onClick={() => (open.value = !open.value)}
      >
        <span class="isi-name">
          <Icon name={open.value ? "down" : "right"} />
          <span class="isi-cut" dir="auto">
            {cluster.name}
          </span>
        </span>
        <Bar value={cluster.probability} label={`probability ${decimals(cluster.probability)}`} />
        <output>
          <strong>{decimals(cluster.probability)}</strong> <span class="isi-muted">{`${cluster.count} of ${total}`}</span>
        </output>
      </button>
      {open.value && (
        <ul class="isi-answers" data-testid={`cluster-${cluster.id}-answers`}>
          {cluster.answers.map((answer, i) => (
            <li key={i}>
              <span class="isi-muted">{answer.count}×</span>
              <span dir="auto">{answer.text}</span>
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

const INPUTS = SEGMENTS.filter((segment) => segment !== "other");

function Attention({ attention }: { attention: AttentionView | null }) {
  const { screen } = useView();
  const relative = screen.relative.value;
  const segments = relative ? INPUTS : SEGMENTS;
  const scale = (column: Partial<Record<string, number>>): Partial<Record<string, number>> => {
    const sum = segments.reduce((total, segment) => total + (column[segment] ?? 0), 0);
    return relative && sum > 0 ? Object.fromEntries(segments.map((segment) => [segment, (column[segment] ?? 0) / sum])) : column;
  };
  return (
    <Section
      title={
        attention ? (
          <Tip test="attention-tip" term="Attention">
            Mean over answer tokens, layers and heads. Where attention goes is not the same as what decides the answer: cover a part and see.
          </Tip>
        ) : (
          "Attention"
        )
      }
      test="attention-panel"
      classes="isi-attentionpanel"
      aside={
        <>
          <Wait measure="attention" />
          {attention && (
            <div class="isi-toggles" role="group" aria-label="Scale of attention">
              <Button test="attention-absolute" label="Shares of all attention; other is the template and the answer so far" text="absolute" pressed={!relative} onClick={() => (screen.relative.value = false)} />
              <Button test="attention-relative" label="Shares among image, context and question only" text="relative" pressed={relative} onClick={() => (screen.relative.value = true)} />
            </div>
          )}
        </>
      }
    >
      {!attention ? (
        <p class="isi-teach">How much of the answer's attention goes to image, context and question. Attention is not importance, but a good first hint.</p>
      ) : (
        <>
          <div class="isi-bars">
            {segments.map((segment) => {
              const share = (relative ? attention.relative : attention.absolute)[segment] ?? 0;
              const tokens = attention.token_counts[segment];
              return (
                <div class="isi-barrow" key={segment} data-testid={`attention-${segment}`} data-segment={segment}>
                  <Tip test={`attention-${segment}-tip`} term={segment}>
                    {tokens !== undefined && `${plural(tokens, "token")}. `}
                    {tokens ? `${(share / tokens).toPrecision(2)} per token. ` : ""}
                    {segment === "other" ? "Template, start token and the answer so far." : relative ? "Share among the three inputs." : "Share of all attention of the answer."}
                  </Tip>
                  <Bar value={share} segment={segment} label={`${segment}: ${decimals(share)}`} />
                  <output>
                    <strong>{decimals(share)}</strong>
                    {tokens !== undefined && <span class="isi-muted"> {plural(tokens, "token")}</span>}
                  </output>
                </div>
              );
            })}
            {/* keeps the height when "other" is not shown */}
            {relative && <div class="isi-barrow isi-muted isi-filler">other is left out</div>}
          </div>
          <div class="isi-under isi-muted">
            {attention.modality_dominance_index !== null && (
              <Tip test="mdi" term={`Modality dominance ${decimals(attention.modality_dominance_index)}`}>
                Attention per text token over attention per image token. Above 1 a text token draws more than an image token; images have many more tokens.
              </Tip>
            )}
          </div>
          {attention.by_layer.length > 1 && (
            <figure class="isi-layerchart">
              <Stack columns={attention.by_layer.map(scale)} segments={segments} label={`Attention by layer, ${attention.by_layer.length} layers`} />
              <figcaption class="isi-muted">
                <span>layer 1</span>
                <span>by layer</span>
                <span>{attention.by_layer.length}</span>
              </figcaption>
            </figure>
          )}
        </>
      )}
    </Section>
  );
}
