// The lower part of the panel "Inside": attention beside the measured effect of each head, the trace between two pinned trials, and the lens.
// Part of the editor.
import { Scatter } from "../charts/scatter";
import { signed } from "../charts/matrix";
import { at, rankCorrelation } from "../inside";
import { live, useSignal } from "../live";
import { INPUTS, type Trial } from "../protocol";
import { gatesOf } from "../state/inside";
import { useView } from "../view";
import { Map, recorded, traceOf } from "./inside";
import { Button, Tip, decimals, plural } from "./parts";
import { Working } from "./progress";

/** More heads than this are estimated first: EXACT_HEADS of widget/inside.py. */
const EXACT_HEADS = 64;

/** What each head does to the shown answer: how it is measured, and beside it where the head looks. It keeps its place while that is measured. */
export const Effects = live(function Effects({ trial, why, measurable }: { trial: Trial; why: string; measurable: boolean }) {
  const { screen, store } = useView();
  const gates = gatesOf(screen);
  const found = trial.inside.contribution;
  const { layers, heads } = store.modelInfo.value;
  const all = layers * heads;
  const many = all > EXACT_HEADS;
  const left = found?.measured ? all - found.measured : 0;
  const { id, trial: of } = gates.heads.value;
  const busy = of === trial.id ? id : "";
  const attention = recorded(trial).some(({ name }) => (INPUTS as readonly string[]).includes(name));
  return (
    <section class="isi-part isi-effects" data-testid="inside-effects">
      {found && attention ? <AttentionAndEffect trial={trial} /> : <h4>Attention beside the effect of each head</h4>}
      {(!found || found.estimate) && measurable && (
        <div class="isi-row">
          {!busy && !found && (
            <Button
              test="inside-measure"
              label={many ? `Estimate what each of ${all} heads does to the shown answer, from a few gradients, and measure some heads beside it` : "Measure what each head does to the shown answer: a run for each head"}
              text={many ? "Estimate the effect of each head" : "Measure the effect of each head"}
              onClick={() => void gates.measure(trial.id)}
            />
          )}
          {!busy && (many || left > 0) && <Button test="inside-exact" label={left > 0 ? `Go on: measure ${plural(left, "head")} not reached before, by a run for each` : `Measure each of ${all} heads by a run of its own; this takes long`} text={left > 0 ? `Measure ${plural(left, "more head")}` : "Measure exactly"} kind="bare" onClick={() => void gates.measure(trial.id, true)} />}
          <Working measure="heads" id={busy} />
        </div>
      )}
      {!found && attention && busy && <div class="isi-scatter isi-tobe" />}
      {!(found && attention) && <p class="isi-teach">{why || (!trial.view.answer ? "This trial has no answer: run Answer." : !attention ? "This trial has no attention to set beside it: run Attention." : store.otherModel(trial) ? "This trial is of a different model." : "Attention is not importance: the plot shows both for each head.")}</p>}
    </section>
  );
});

/** A point per head: attention is not importance, on the user's own example. */
const AttentionAndEffect = live(function AttentionAndEffect({ trial }: { trial: Trial }) {
  const { screen } = useView();
  const gates = gatesOf(screen);
  const all = recorded(trial);
  const effect = all.find(({ name }) => name === "contribution");
  const { digits = 2 } = effect?.scale ?? {};
  const segment = INPUTS.find((name) => name === screen.map.value) ?? "image";
  const attention = all.find(({ name }) => name === segment);
  if (!effect || !attention) return null;
  const heads = effect.values.flatMap((line, layer) => line.flatMap((value, head) => (value === null ? [] : [{ layer, head, effect: value, share: attention.values[layer]?.[head] ?? 0 }])));
  if (heads.length === 0) return null;
  const size = heads.map((head) => Math.abs(head.effect));
  const r = rankCorrelation(heads.map(({ share }) => share), size);
  const chosen = new Set(gates.chosen.value.map(at));
  const most = heads.reduce((a, b) => (b.share > a.share ? b : a));
  const strongest = heads.reduce((a, b) => (Math.abs(b.effect) > Math.abs(a.effect) ? b : a));
  const name = (head: { layer: number; head: number }): string => `L${head.layer}H${head.head}`;
  const told = r === null ? "There is no rank correlation: all heads are equal in one of the two." : `Rank correlation of attention on the ${segment} with the size of the effect: ${signed(r)}, ${plural(heads.length, "head")}.`;
  const example = at(most) === at(strongest) ? `Here ${name(most)} has the most of both.` : `${name(most)} looks at the ${segment} most (${decimals(most.share)}) and changes the answer by ${signed(most.effect, digits)}; ${name(strongest)} changes it most (${signed(strongest.effect, digits)}) and looks with ${decimals(strongest.share)}.`;
  return (
    <div class="isi-part" data-testid="inside-scatter">
      <h4>Attention on the {segment} beside the {trial.inside.contribution?.estimate && !trial.inside.contribution.measured ? "estimated " : ""}effect of each head</h4>
      <Scatter
        dots={heads.map((head) => ({ x: head.share, y: head.effect, name: `${name(head)}: attention ${decimals(head.share)}, effect ${signed(head.effect, digits)}`, chosen: chosen.has(at(head)) }))}
        label={`${told} ${example}`}
        x={{ name: `attention on the ${segment}`, top: 1 }}
        y={{ name: "effect, nats", digits, low: Math.min(0, ...heads.map((head) => head.effect)), top: Math.max(0, ...heads.map((head) => head.effect)) }}
        onPress={(i) => {
          const head = heads[i];
          if (head) gates.chosen.value = [{ layer: head.layer, head: head.head }];
        }}
      />
      <p data-testid="inside-correlation">
        {told} <strong>Attention is not importance.</strong> {example}
      </p>
    </div>
  );
});

/** Between the two pinned trials: which tokens in which layer carry their difference. */
export const TraceBetween = live(function TraceBetween({ why }: { why: string }) {
  const { screen, store } = useView();
  const gates = gatesOf(screen);
  const turned = useSignal(false);
  const pinned = store.pinned.value;
  const [first = 0, second = 0] = turned.value ? [...pinned].reverse() : pinned;
  const trace = store.trace.value;
  const off = why || (pinned.length !== 2 && "pin two trials of different inputs, in the strip below") || (gates.tracing.value && "it is being made");
  return (
    <section class="isi-part" data-testid="inside-trace">
      <div class="isi-row">
        <h4>
          <Tip test="trace-tip" term="Trace">
            The states of some tokens, taken from the first trial at one layer, are put into the second one. 1: its answer becomes that of the first; 0: nothing changes. It shows where the difference of two inputs is carried, layer by layer. A low number does not prove that a place is not used: another path may carry the same.
          </Tip>
        </h4>
        <Button
          test="trace"
          label={pinned.length === 2 ? `Trace how what differs between trials ${first} and ${second} reaches the answer` : "Trace between two pinned trials"}
          text={pinned.length === 2 ? `Trace between them: ${first} into ${second}` : "Trace between them"}
          why={off}
          onClick={() => void gates.trace(first, second)}
        />
        {pinned.length === 2 && <Button test="trace-turn" label="The other direction" text="Swap" kind="bare" pressed={turned.value} onClick={() => (turned.value = !turned.value)} />}
        <Working measure="trace" id={gates.tracing.value} />
      </div>
      {trace ? (
        <>
          <p class="isi-muted">{trace.title}</p>
          <Map shown={traceOf(trace)} trial={null} />
        </>
      ) : (
        <p class="isi-teach">Pin two trials whose answers differ, for example of a picture with and without its object: layers × parts of the input show where that difference travels.</p>
      )}
    </section>
  );
});

/** Puts the lens on the picture (canvas/lens.tsx). */
export const LensButton = live(function LensButton({ why }: { why: string }) {
  const { screen, store } = useView();
  const gates = gatesOf(screen);
  const trial = store.trial.value;
  const on = gates.lens.value !== null;
  const off = why || (!trial && "there is no trial yet") || (!store.current.value && "the input has changed since: run again");
  return (
    <section class="isi-part" data-testid="inside-lens">
      <div class="isi-row">
        <h4>
          <Tip test="lens-tip" term="Lens">
            The states of an image token after each layer, read with the model's own output words (logit lens). It reads them as if the model ended there: where it finds no word, information may be there in another form, and what it finds need not be used.
          </Tip>
        </h4>
        <Button test="lens" label="Show the words of each layer at the patch under the pointer" text="Lens on the picture" pressed={on} why={!on && off} onClick={() => void gates.look(on || !trial ? null : trial.id)} />
        <span class="isi-muted">{on ? "Point at the picture, or press Tab and move by arrow keys over it." : "Words that each layer would say, patch by patch."}</span>
      </div>
    </section>
  );
});
