// The panel "Inside" with a kernel: gates of heads by pointer and keys, cuts of attention, and the trial under them beside the unmodified one.
// Part of the editor. Not for the view without a kernel (inside.tsx).
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { live, useSignal } from "../live";
import { Bar } from "../charts/bars";
import type { Cell } from "../charts/matrix";
import { at, between, gateOf, GROUPS, summary, type Gate, type Head, type Reader } from "../inside";
import { composing, meant } from "../keys";
import { INPUTS, type Trial } from "../protocol";
import { gatesOf, pairOf, runBeside } from "../state/inside";
import { useView } from "../view";
import { Mark } from "./answer";
import { Map, recorded, Show, type Shown } from "./inside";
import { NumberField } from "./number";
import { Button, Tip, decimals, plural } from "./parts";
import { Effects, LensButton, TraceBetween } from "./paths";

const toHead = ([layer, head]: Cell): Head => ({ layer, head });
const said = (gate: Gate): string => (typeof gate === "number" ? `× ${decimals(gate)}` : gate === "mean" ? "mean of the other heads" : gate);

/** In the panel's head line, also while it is closed: what is changed now. */
export const InsideHead = live(function InsideHead() {
  const { screen, store } = useView();
  const gates = gatesOf(screen);
  const changed = summary(gates.now.value);
  const { unavailable, layers, heads } = store.modelInfo.value;
  return (
    <>
      <span class="isi-grow isi-cut" data-testid="inside-summary">
        {changed ? <strong>{changed}</strong> : <span class="isi-muted">{unavailable.interventions ?? (layers > 0 ? `${plural(layers, "layer")} × ${plural(heads, "head")}: which of them make the answer?` : "layers and heads")}</span>}
      </span>
      {changed && <Button test="inside-reset" label="Change nothing inside the model; undo brings it back" text="Reset" kind="bare" onClick={() => gates.reset()} />}
    </>
  );
});

/** Why nothing inside can be changed; "": it can. */
function useRefusal(): string {
  const { store } = useView();
  const { unavailable, layers } = store.modelInfo.value;
  return unavailable.interventions ?? (layers > 0 ? "" : "the layers and heads of this model are not known");
}

/** The gates as a matrix: the difference from 1. */
function useGateMap(): Shown {
  const { screen, store } = useView();
  const { layers, heads } = store.modelInfo.value;
  const inside = gatesOf(screen).now.value;
  const number = (gate: Gate): number => (typeof gate === "number" ? gate - 1 : -1);
  return {
    name: "gates",
    title: "gates",
    values: Array.from({ length: layers }, (_, layer) => Array.from({ length: heads }, (_, head) => number(gateOf(inside, { layer, head })))),
    scale: { hue: "signed", top: 1, ends: ["× 0", "× 2"] },
    help: "What the output of each head is multiplied by: 0 takes it out, 1 changes nothing, 2 doubles it.",
    say: () => "",
  };
}

export const Inside = live(function Inside() {
  const { screen, store } = useView();
  const gates = gatesOf(screen);
  const trial = store.trial.value;
  const why = useRefusal();
  const all = [...recorded(trial), useGateMap()].filter(({ values }) => values.length > 0);
  const shown = all.find(({ name }) => name === screen.map.value) ?? all[0];
  // At once where it takes no time; elsewhere a button asks for it.
  const measurable = !why && trial?.view.answer != null && !store.otherModel(trial);
  useEffect(() => {
    if (measurable && !trial.inside.contribution && gates.heads.value.trial !== trial.id && store.modelInfo.value.name === "embedded" && !store.running.value) void gates.measure(trial.id);
  });
  const missing = (name: string): string | false => !all.some((one) => one.name === name) && (name === "gates" ? why : name === "contribution" ? why || (trial ? "it is not measured yet" : "there is no trial yet") : trial ? "this trial has no attention: run Attention" : "there is no trial yet");
  const start = useSignal<Head>({ layer: 0, head: 0 });
  const gate = (cell: Cell): Gate => gateOf(gates.now.value, toHead(cell));
  const keys: Partial<Record<string, () => void>> = {
    "0": () => gates.gate(0),
    "1": () => gates.gate(1),
    "2": () => gates.gate(2),
    m: () => gates.gate("mean"),
    Delete: () => gates.gate(1),
    Backspace: () => gates.gate(1),
  };
  const choose = (to: Head, add: boolean): void => {
    const heads = between(start.value, to);
    gates.chosen.value = [...(add ? gates.chosen.value.filter((one) => !heads.some((head) => at(head) === at(one))) : []), ...heads];
    gates.live.value = null;
  };
  const act = (head: Head, event: PointerEvent | KeyboardEvent): void => {
    const command = event.ctrlKey || event.metaKey;
    if (event instanceof KeyboardEvent) {
      if (composing(event)) return;
      const key = meant(event);
      const change = keys[key];
      if (key.startsWith("Arrow") || key === " ") {
        if (!event.shiftKey) start.value = head;
        choose(head, command);
      } else if (!change || command || event.altKey) return;
      else {
        if (gates.chosen.value.length === 0) choose((start.value = head), false);
        change();
      }
      event.preventDefault();
      event.stopPropagation();
    } else if (event.type === "pointerdown" && event.button === 0) {
      // A finger holds on to the cell that it touches first.
      (event.target as Element).releasePointerCapture(event.pointerId);
      if (!event.shiftKey) start.value = head;
      choose(head, command);
    } else if (event.type === "pointermove" && event.buttons === 1) choose(head, command);
  };
  return (
    <div class="isi-insidebody" data-testid="inside-body">
      <div class="isi-insidemap">
        <div class="isi-toggles" role="group" aria-label="What the matrix shows">
          <Show name="contribution" title="contribution" shown={shown} why={missing("contribution")} />
          <Show name="gates" title="gates" shown={shown} why={missing("gates")} />
          <span class="isi-muted">attention on</span>
          {INPUTS.map((name) => (
            <Show key={name} name={name} title={name} shown={shown} why={missing(name)} />
          ))}
        </div>
        {shown ? (
          <Map
            shown={shown}
            trial={shown.name === "gates" ? null : trial}
            more={(cell) => `gate ${said(gate(cell))}`}
            mark={(cell) => marked(gate(cell), shown.name === "gates")}
            chosen={(cell) => gates.chosen.value.some((head) => at(head) === at(toHead(cell)))}
            {...(!why && { onAct: (cell: Cell, event: PointerEvent | KeyboardEvent) => act(toHead(cell), event) })}
          />
        ) : (
          <p class="isi-teach">{why || "Run the model: then each layer and head has a number here."}</p>
        )}
      </div>
      <div class="isi-insideside">
        <GateEditor why={why} />
        <CutEditor why={why} />
        <Beside why={why} />
        <LensButton why={why} />
      </div>
      {trial && <Effects trial={trial} why={why} measurable={measurable} />}
      <TraceBetween why={why} />
    </div>
  );
});

/** The gate of a head that is changed, in its cell; "": the cell has its number. */
function marked(gate: Gate, among: boolean): string {
  if (typeof gate === "string") return gate;
  return among || gate !== 1 ? `×${Number(gate.toFixed(2))}` : "";
}

const GateEditor = live(function GateEditor({ why }: { why: string }) {
  const { screen } = useView();
  const gates = gatesOf(screen);
  const heads = gates.chosen.value;
  const [first] = heads;
  const found = new Set(heads.map((head) => gateOf(gates.now.value, head)));
  const gate: Gate | null = found.size === 1 ? ([...found][0] ?? null) : null;
  const off = why || (heads.length === 0 && "choose a head in the matrix");
  const value = gates.live.value ?? (typeof gate === "number" ? gate : 1);
  return (
    <fieldset class="isi-fieldset" data-testid="gate-editor">
      <legend>
        <Tip test="gate-tip" term="Gate">
          What the output of a head is multiplied by, at every token: 0 takes the head out, 1 changes nothing, 2 doubles it. The mean puts the mean of the layer's other heads in its place, which is less far from what the model was trained with. A head that can go without harm need not be idle: others may stand in for it.
        </Tip>
        {heads.length > 0 && <strong data-testid="gate-heads"> {heads.length === 1 && first ? `L${first.layer}H${first.head}` : plural(heads.length, "head")}</strong>}
      </legend>
      {off ? (
        <p class="isi-teach">{why || "Click a head, or drag over several; by keys: arrows, with Shift for several."}</p>
      ) : (
        <div class="isi-row">
          <label class="isi-range">
            <span class="isi-spoken">Gate of the chosen heads</span>0
            <input
              type="range"
              min="0"
              max="2"
              step="0.05"
              data-testid="gate-slider"
              value={value}
              aria-valuetext={gate === null ? "different gates" : said(gates.live.value ?? gate)}
              onInput={(event) => (gates.live.value = event.currentTarget.valueAsNumber)}
              onChange={(event) => gates.gate(event.currentTarget.valueAsNumber)}
            />
            2
          </label>
          <NumberField test="gate-number" label="×" value={gates.live.value ?? (typeof gate === "number" ? gate : "")} low={0} high={2} step={0.05} title="Gate of the chosen heads" onChange={(next) => gates.gate(next)} />
          <Button test="gate-mean" label="Put the mean of the layer's other heads in their place (M)" text="Mean" pressed={gate === "mean"} onClick={() => gates.gate(gate === "mean" ? 1 : "mean")} />
          <Button test="gate-reset" label="Leave the chosen heads as they are (1)" text="Reset" kind="bare" why={found.size === 1 && gate === 1 && "they are not changed"} onClick={() => gates.gate(1)} />
        </div>
      )}
    </fieldset>
  );
});

const READERS: Record<Reader, string> = { all: "every token outside of it", answer: "the answer alone" };

const CutEditor = live(function CutEditor({ why }: { why: string }) {
  const { screen, store } = useView();
  const gates = gatesOf(screen);
  const { cuts, others } = gates.now.value;
  const last = Math.max(0, store.modelInfo.value.layers - 1);
  const [from, to] = cuts.layers ?? [0, last];
  const put = (next: Partial<typeof cuts>, say: string): void => gates.put({ ...gates.now.value, cuts: { ...cuts, ...next } }, `cut ${Object.keys(next).join()}`, say);
  const layers = (a: number, b: number): void => put({ layers: a === 0 && b === last ? null : [Math.min(a, b), Math.max(a, b)] }, `Cut from layer ${a} to ${b}`);
  const lines = store.inputs.value?.inside ?? [];
  return (
    <fieldset class="isi-fieldset" data-testid="cut-editor">
      <legend>
        <Tip test="cut-tip" term="Cut attention to">
          Who reads cannot attend to the chosen part in these layers; the attention to the rest sums to 1 again. Every token outside of it: what the part says never leaves it in these layers, in all layers the model answers as if blind to it. The answer alone: only the token that predicts the answer, and the answer itself, cannot look at it; they may still learn of it from tokens that have read it before.
        </Tip>
      </legend>
      {!why && (
        <div class="isi-row">
          {GROUPS.map((group) => (
            <label key={group} class="isi-check" data-segment={group}>
              <input
                type="checkbox"
                data-testid={`cut-${group}`}
                checked={cuts.groups.includes(group)}
                onChange={(event) => {
                  const on = event.currentTarget.checked;
                  put({ groups: on ? [...cuts.groups, group] : cuts.groups.filter((name) => name !== group) }, `Attention to the ${group} ${on ? "cut" : "restored"}`);
                }}
              />
              <span class="isi-label">{group}</span>
            </label>
          ))}
          <span class="isi-number">
            <NumberField test="cut-from" label="layers" value={from} low={0} high={last} onChange={(a) => layers(a, Math.max(a, to))} />
            <NumberField test="cut-to" label="to" value={to} low={0} high={last} onChange={(b) => layers(Math.min(from, b), b)} />
          </span>
          <label class="isi-check">
            for
            <select class="isi-select" data-testid="cut-reader" value={cuts.reader} onChange={(event) => put({ reader: event.currentTarget.value as Reader }, `Cut for ${READERS[event.currentTarget.value as Reader]}`)}>
              {Object.entries(READERS).map(([name, title]) => (
                <option key={name} value={name}>
                  {title}
                </option>
              ))}
            </select>
          </label>
        </div>
      )}
      {others.length > 0 && (
        <ul class="isi-others" data-testid="inside-others">
          {others.map((item, i) => {
            const line = lines[(store.document.value.inside ?? []).indexOf(item)] ?? item.kind.replaceAll("_", " ");
            return (
              <li key={i} class="isi-row">
                <span class="isi-grow isi-cut" title={line}>{line}</span>
                <Button test={`inside-other-${i}`} label={`Remove: ${line}`} icon="close" kind="bare" onClick={() => gates.put({ ...gates.now.value, others: others.filter((other) => other !== item) }, "others", `${line} removed`)} />
              </li>
            );
          })}
        </ul>
      )}
    </fieldset>
  );
});

/** The trial under the changes beside the unmodified one, on one scale. */
const Beside = live(function Beside({ why }: { why: string }) {
  const { screen, store } = useView();
  const gates = gatesOf(screen);
  const { plain, changed } = pairOf(store);
  const none = summary(gates.now.value) === "";
  const trials = [plain, changed];
  const row = (name: string, of: (trial: Trial) => ComponentChildren): ComponentChildren =>
    trials.some((trial) => trial && of(trial)) && (
      <tr>
        <th scope="row" class="isi-muted">{name}</th>
        {trials.map((trial, i) => (
          <td key={i}>{trial && of(trial)}</td>
        ))}
      </tr>
    );
  const chance = (word: "yes" | "no") => (trial: Trial): ComponentChildren => {
    const p = trial.view.answer?.yes_no?.[word];
    return p !== undefined && <Figure value={p} label={`probability of ${word}`} />;
  };
  return (
    <div class="isi-beside" data-testid="inside-beside">
      <div class="isi-row">
        <Button
          test="inside-run"
          label={none ? "Run the input again" : "Run the input under these changes; without them too, if that was not run"}
          text={none ? "Run" : "Run with changes"}
          kind={none ? "plain" : "primary"}
          why={why || (store.question.value.trim() === "" && "there is no question")}
          onClick={() => {
            screen.flush();
            runBeside(store);
          }}
        />
        {!changed && <span class="isi-muted">{plain ? "The trial under your changes stands here, beside the unmodified one." : ""}</span>}
      </div>
      {changed && (
        <table>
          <thead>
            <tr>
              <td />
              <th scope="col">{plain ? `unmodified, trial ${plain.id}` : "unmodified: not run"}</th>
              <th scope="col" title={changed.view.intervention_lines.join("\n")}>{`${changed.view.interventions}, trial ${changed.id}`}</th>
            </tr>
          </thead>
          <tbody>
            {row("answer", ({ view: { answer } }) => answer && <span dir="auto">{answer.text || "(empty)"} <Mark answer={answer} /></span>)}
            {row("p(yes)", chance("yes"))}
            {row("p(no)", chance("no"))}
            {row("semantic entropy", ({ view }) => {
              const entropy = view.uncertainty?.entropies[0];
              return entropy && <Figure value={entropy.value / entropy.scale} text={`${decimals(entropy.value)} ${entropy.unit}`} label="semantic entropy" />;
            })}
            {row("attention on image", ({ view: { attention } }) => attention && <Figure value={attention.absolute.image ?? 0} label="attention on the image" />)}
          </tbody>
        </table>
      )}
    </div>
  );
});

function Figure({ value, text = decimals(value), label }: { value: number; text?: string; label: string }) {
  return (
    <span class="isi-figurebar">
      <Bar value={value} label={`${label}: ${text}`} />
      <span>{text}</span>
    </span>
  );
}
