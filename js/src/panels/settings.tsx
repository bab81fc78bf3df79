// The settings of a run, in a pop-over beside the run buttons: all that isi_widget.Settings has but what to measure.
import { live } from "../live";
import type { ComponentChildren } from "preact";
import type { Settings } from "../protocol";
import { readSettings } from "../read";
import { useView } from "../view";
import { JudgeChoice } from "./judges";
import { NumberField } from "./number";
import { Button, Popover } from "./parts";

export const DEFAULTS = readSettings({});

/** Numbers, and what they may be: the page holds them to it, the kernel checks again. */
const NUMBERS = [
  { name: "samples", label: "Samples", title: "How many answers are drawn for the uncertainty", low: 1, high: 1000, step: 1 },
  { name: "mass", label: "Mass", title: "Probability of all answers to find before the enumeration stops", low: 0.01, high: 1, step: 0.01 },
  { name: "budget", label: "Budget", title: "Beginnings of answers to look at, at most", low: 1, high: 100000, step: 1 },
  { name: "temperature", label: "Temperature", title: "Of sampled answers: below 1 the likely ones come more often, above 1 less", low: 0.05, high: 5, step: 0.05 },
  { name: "top_k", label: "Top-k", title: "Only the k most likely tokens are drawn; 0 is off", low: 0, high: 2 ** 31 - 1, step: 1 },
  { name: "top_p", label: "Top-p", title: "Only the most likely tokens that together have this probability are drawn; 1 is off", low: 0.01, high: 1, step: 0.01 },
  { name: "seed", label: "Seed", title: "The same seed draws the same answers", low: 0, high: 2 ** 31 - 1, step: 1 },
  { name: "max_new_tokens", label: "Max tokens", title: "Longest answer, in tokens", low: 1, high: 4096, step: 1 },
] as const;
const METHODS = {
  sampled: "The uncertainty is measured from answers that are drawn",
  enumerated: "All probable answers with exact probabilities and certain bounds, without drawing: for short answers, such as yes or no",
};
const BEAMS = { low: 2, high: 64, start: 4 };

/** How the shown answer is made, in one word. */
const decoding = ({ do_sample, num_beams }: Settings): string => (do_sample ? "sampled" : num_beams > 1 ? "beams" : "greedy");

/** The settings that differ from their defaults. */
export const changed = (settings: Settings): (keyof Settings)[] => (Object.keys(DEFAULTS) as (keyof Settings)[]).filter((name) => settings[name] !== DEFAULTS[name]);

export const SettingsButton = live(function SettingsButton() {
  const { screen, store } = useView();
  const open = screen.popover.value === "settings";
  const settings = store.settings.value;
  const own = changed(settings);
  const more = own.filter((name) => !["samples", "temperature", "method", "mass"].includes(name)).length;
  return (
    <div class="isi-anchor">
      <Button
        test="settings"
        label={["Settings of a run", ...own.map((name) => `${name} ${settings[name]}, default ${DEFAULTS[name]}`)].join("\n")}
        icon="gear"
        text={`${settings.method === "enumerated" ? `${Number((100 * settings.mass).toPrecision(4))} %` : settings.samples} × T ${settings.temperature}${more > 0 ? ` · ${more} more` : ""}`}
        expanded={open}
        onClick={() => screen.toggle("settings")}
      />
      {open && <Panel />}
    </div>
  );
});

const Panel = live(function Panel() {
  const { store } = useView();
  const settings = store.settings.value;
  const set = (change: Partial<Settings>): void => store.configure({ ...store.settings.peek(), ...change });
  const own = changed(settings);
  return (
    <Popover test="settings-panel" label="Settings of a run" classes="isi-settings">
      <Setting names={["method"]} said={DEFAULTS.method}>
        <Choice
          name="method"
          label="Answers"
          chosen={settings.method}
          options={METHODS}
          why={{ enumerated: store.modelInfo.value.unavailable.enumeration }}
          choose={(name) => set({ method: name as Settings["method"] })}
        />
      </Setting>
      {NUMBERS.filter(({ name }) => !(settings.method === "enumerated" ? ["samples"] : ["mass", "budget"]).includes(name)).map(({ name, ...rest }) => (
        <Setting key={name} names={[name]} said={String(DEFAULTS[name])}>
          <NumberField {...rest} test={`settings-${name}`} value={settings[name]} onChange={(value) => set({ [name]: value })} />
        </Setting>
      ))}
      <Setting names={["do_sample", "num_beams"]} said={decoding(DEFAULTS)}>
        <Choice
          name="answer"
          label="Shown answer"
          chosen={decoding(settings)}
          options={{
            greedy: "The likeliest token at each step",
            sampled: "Drawn with temperature, top-k, top-p and seed",
            beams: "The likeliest of several answers that are followed side by side",
          }}
          choose={(name) => set({ do_sample: name === "sampled", num_beams: name === "beams" ? BEAMS.start : 1 })}
        />
      </Setting>
      {settings.num_beams > 1 && (
        <NumberField test="settings-num_beams" label="Beams" title="Answers that are followed side by side" low={BEAMS.low} high={BEAMS.high} value={settings.num_beams} onChange={(value) => set({ num_beams: value })} />
      )}
      <Setting names={["likelihood"]} said={DEFAULTS.likelihood}>
        <Choice
          name="likelihood"
          label="Likelihood"
          chosen={settings.likelihood}
          options={{
            raw: "Entropies weigh answers by the model's own probabilities: comparable across temperatures",
            sampled: "Entropies weigh answers by the probabilities after temperature, top-k and top-p",
          }}
          choose={(name) => set({ likelihood: name as Settings["likelihood"] })}
        />
      </Setting>
      <Flag name="strict_entailment" label="Strict entailment" title="Two answers mean the same only if each entails the other. Else: if neither contradicts the other and not both are neutral." />
      <Flag name="prepend_question" label="Question prepended" title="The entailment model reads question and answer. Else: the answer alone." />
      <JudgeChoice />
      <Button test="settings-reset" label="Back to the defaults" text="Reset" why={own.length === 0 && "all settings are at their defaults"} onClick={() => store.configure(DEFAULTS)} />
    </Popover>
  );
});

/** A setting with a hint where it is not at its default. */
const Setting = live(function Setting({ names, said, children }: { names: (keyof Settings)[]; said: string; children: ComponentChildren }) {
  const { store } = useView();
  const own = names.some((name) => store.settings.value[name] !== DEFAULTS[name]);
  return (
    <div class={own ? "isi-setting isi-differs" : "isi-setting"}>
      {children}
      {own && (
        <span class="isi-muted" data-testid={`default-${names[0] ?? ""}`}>
          default {said}
        </span>
      )}
    </div>
  );
});

const Flag = live(function Flag({ name, label, title }: { name: "strict_entailment" | "prepend_question"; label: string; title: string }) {
  const { store } = useView();
  return (
    <Setting names={[name]} said={DEFAULTS[name] ? "on" : "off"}>
      <label class="isi-check" title={title}>
        <input type="checkbox" data-testid={`settings-${name}`} checked={store.settings.value[name]} onChange={(event) => store.configure({ ...store.settings.peek(), [name]: event.currentTarget.checked })} />
        {label}
      </label>
    </Setting>
  );
});

interface ChoiceProps {
  name: string;
  label: string;
  chosen: string;
  /** word -> what it means */
  options: Record<string, string>;
  choose: (name: string) => void;
  /** word -> why it cannot be chosen */
  why?: Record<string, string | undefined>;
}

function Choice({ name, label, chosen, options, choose, why = {} }: ChoiceProps) {
  return (
    <div class="isi-option">
      <span class="isi-muted">{label}</span>
      <div class="isi-toggles" role="group" aria-label={label}>
        {Object.entries(options).map(([word, help]) => (
          <Button key={word} test={`settings-${name}-${word}`} label={help} text={word} pressed={chosen === word} why={why[word]} onClick={() => word !== chosen && choose(word)} />
        ))}
      </div>
    </div>
  );
}
