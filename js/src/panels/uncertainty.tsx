// The uncertainty of a trial: entropies with their intervals, the curve by number of samples, and the clusters of answers.
import { Bar, type Interval } from "../charts/bars";
import { Curve } from "../charts/curve";
import { live, useSignal } from "../live";
import type { AveragesView, ClusterView, CurveView, EntropyView, UncertaintyView } from "../protocol";
import { useView } from "../view";
import { Icon } from "./icons";
import { Row, Wait } from "./measure";
import { Section, Tip, decimals, plural } from "./parts";

interface UncertaintyProps {
  uncertainty: UncertaintyView | null | undefined;
  averages: AveragesView | null | undefined;
  partly: string[] | undefined;
}

export const Uncertainty = live(function Uncertainty({ uncertainty, averages, partly }: UncertaintyProps) {
  const editor = useView().screen.editor.value;
  const number = averages?.measures.clusters;
  const coming = editor !== null && partly !== undefined && partly.length > 0;
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
      teach={!uncertainty && !coming && "Several sampled answers, grouped by meaning. One group: the model is sure. Many groups: it guesses."}
    >
      {coming ? (
        <editor.Samples samples={partly} />
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
});

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
