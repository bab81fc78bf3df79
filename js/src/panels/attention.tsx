// The attention of a trial: shares of image, context and question, of all answer tokens or of one, by layer and by head.
import { Stack } from "../charts/bars";
import { Heads, largest, type Place } from "../charts/heads";
import { live, useSignal } from "../live";
import { INPUTS, type AnswerView, type AttentionView, type AveragesView, type Shares } from "../protocol";
import { useView } from "../view";
import { Row, Wait } from "./measure";
import { Button, Section, Tip, decimals, plural } from "./parts";

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
      teach={!attention && (store.modelInfo.value.unavailable.attention || "Share of the answer's attention on image, context and question. Attention is not importance, but a useful first hint.")}
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
                tip={`${each}${over}${relative ? ", among the three inputs" : ""}. Attention does not prove influence: cover the object and run again.`}
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
                Attention per text token divided by attention per image token. Above 1, one text token draws more attention than one image token; there are many more image tokens.
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
      <Stack columns={layers} label={`Attention by layer, ${plural(layers.length, "layer")}`} over={over.value} onPoint={(layer) => (over.value = layer)} />
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
  const say = ({ layer, head }: Place): string => `layer ${layer}, head ${head}: ${decimals(shares[layer]?.[head] ?? 0)}`;
  const most = largest(shares);
  const highest = (shares[most.layer]?.[most.head] ?? 0) > 0 ? `most in ${say(most)}` : "none in any head";
  return (
    <figure class="isi-layerchart" data-testid="attention-heads">
      <Heads shares={shares} label={`Share of the image by layer and head. ${highest}`} over={over.value} onPoint={(place) => (over.value = place)} />
      <figcaption class="isi-muted">
        <Tip test="heads-tip" term="image by head">
          Share of the image in the attention of each head, mean over answer tokens. Columns are layers, rows are heads.
        </Tip>
        <span class="isi-scale">
          0 <i class="isi-ramp isi-shades" /> 1
        </span>
        <span>{over.value ? say(over.value) : highest}</span>
      </figcaption>
    </figure>
  );
});
