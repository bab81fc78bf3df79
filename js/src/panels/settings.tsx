// The settings of a run, in a pop-over beside the run buttons: a form made of their schema (settings.ts), each with a hint where it is not at its default.
import { live } from "../live";
import type { ComponentChildren } from "preact";
import type { Settings, SettingValue } from "../protocol";
import { changed, complete, DEFAULTS, limits, matters, SCHEMA, type Setting } from "../settings";
import { useView } from "../view";
import { JudgeChoice } from "./judges";
import { NumberField } from "./number";
import { Button, Popover } from "./parts";

/** Beams to begin with. */
const BEAMS = 4;
/** How the shown answer is made: two settings, of which one at most may be set, shown as one choice. */
const DECODING = ["do_sample", "num_beams"];
/** What the button itself shows. */
const SHOWN = ["samples", "temperature", "method", "mass"];
/** A setting -> its value -> what the model must be able to give. */
const NEEDS: Partial<Record<string, Partial<Record<string, string>>>> = { method: { enumerated: "enumeration" } };

/** How the shown answer is made, in one word. */
const decoding = ({ do_sample, num_beams }: Settings): string => (do_sample ? "sampled" : Number(num_beams) > 1 ? "beams" : "greedy");

const said = (value: SettingValue | undefined): string => (typeof value === "boolean" ? (value ? "on" : "off") : String(value));

export const SettingsButton = live(function SettingsButton() {
  const { screen, store } = useView();
  const open = screen.popover.value === "settings";
  const settings = complete(store.settings.value);
  const own = changed(settings);
  const more = own.filter((name) => !SHOWN.includes(name)).length;
  const { method, mass, samples, temperature } = settings;
  return (
    <div class="isi-anchor">
      <Button
        test="settings"
        label={["Settings of a run", ...own.map((name) => `${name} ${String(settings[name])}, default ${String(DEFAULTS[name])}`)].join("\n")}
        icon="gear"
        text={`${method === "enumerated" ? `${Number((100 * Number(mass)).toPrecision(4))} %` : String(samples)} × T ${String(temperature)}${more > 0 ? ` · ${more} more` : ""}`}
        expanded={open}
        onClick={() => screen.toggle("settings")}
      />
      {open && <Panel />}
    </div>
  );
});

const Panel = live(function Panel() {
  const { store } = useView();
  const settings = complete(store.settings.value);
  const set = (change: Settings): void => store.configure({ ...complete(store.settings.peek()), ...change });
  const there = SCHEMA.filter((setting) => matters(setting, settings) && !DECODING.includes(setting.name));
  const of = (...kinds: Setting["kind"][]): Setting[] => there.filter(({ kind }) => kinds.includes(kind));
  const field = (setting: Setting) => <Field key={setting.name} setting={setting} value={settings[setting.name] ?? setting.default} set={set} />;
  // What other settings depend on comes first.
  const leads = ({ name }: Setting): boolean => SCHEMA.some(({ when }) => when?.name === name);
  return (
    <Popover test="settings-panel" label="Settings of a run" classes="isi-settings">
      {of("choice").filter(leads).map(field)}
      {of("integer", "number").map(field)}
      <Decoding settings={settings} set={set} />
      {of("choice").filter((setting) => !leads(setting)).map(field)}
      {of("flag").map(field)}
      <JudgeChoice />
      <Button test="settings-reset" label="Back to the defaults" text="Reset" why={changed(settings).length === 0 && "all settings are at their defaults"} onClick={() => store.configure(DEFAULTS)} />
    </Popover>
  );
});

interface FieldProps {
  setting: Setting;
  value: SettingValue;
  set: (change: Settings) => void;
}

const Field = live(function Field({ setting, value, set }: FieldProps) {
  const { store } = useView();
  const { name, kind, label, help, choices } = setting;
  const put = (next: SettingValue): void => set({ [name]: next });
  const lacks = Object.entries(NEEDS[name] ?? {}).map(([word, needed]) => [word, store.modelInfo.value.unavailable[needed ?? ""]]);
  return (
    <Hinted name={name} differs={value !== setting.default} standard={said(setting.default)}>
      {kind === "flag" ? (
        <label class="isi-check" title={help}>
          <input type="checkbox" data-testid={`settings-${name}`} checked={value === true} onChange={(event) => put(event.currentTarget.checked)} />
          {label}
        </label>
      ) : kind === "choice" ? (
        <Choice name={name} label={label} help={help} chosen={String(value)} options={Object.fromEntries(choices.map((choice) => [choice.value, choice.help]))} why={Object.fromEntries(lacks) as Record<string, string | undefined>} choose={put} />
      ) : (
        <NumberField test={`settings-${name}`} label={label} title={help} {...limits(setting)} value={Number(value)} onChange={put} />
      )}
    </Hinted>
  );
});

/** How the shown answer is made, and the number of beams where there are any. */
function Decoding({ settings, set }: { settings: Settings; set: (change: Settings) => void }) {
  const [sampling, beams] = DECODING.map((name) => SCHEMA.find((setting) => setting.name === name));
  if (!sampling || !beams) return null;
  const chosen = decoding(settings);
  return (
    <>
      <Hinted name={sampling.name} differs={DECODING.some((name) => settings[name] !== DEFAULTS[name])} standard={decoding(DEFAULTS)}>
        <Choice
          name="answer"
          label="Shown answer"
          chosen={chosen}
          options={{ greedy: "The most likely token at each step.", sampled: "A random answer, with temperature, top-k, top-p and seed.", beams: "The most likely answer that a beam search finds." }}
          choose={(name) => set({ do_sample: name === "sampled", num_beams: name === "beams" ? BEAMS : 1 })}
        />
      </Hinted>
      {chosen === "beams" && (
        <NumberField test="settings-num_beams" label={beams.label} title={beams.help} {...limits(beams)} low={2} value={Number(settings.num_beams)} onChange={(value) => set({ num_beams: value })} />
      )}
    </>
  );
}

/** A setting, with its default where it is not at it. */
function Hinted({ name, differs, standard, children }: { name: string; differs: boolean; standard: string; children: ComponentChildren }) {
  return (
    <div class={differs ? "isi-setting isi-differs" : "isi-setting"}>
      {children}
      {differs && (
        <span class="isi-muted" data-testid={`default-${name}`}>
          default {standard}
        </span>
      )}
    </div>
  );
}

interface ChoiceProps {
  name: string;
  label: string;
  help?: string;
  chosen: string;
  /** word -> what it means */
  options: Record<string, string>;
  choose: (name: string) => void;
  /** word -> why it cannot be chosen */
  why?: Record<string, string | undefined>;
}

function Choice({ name, label, help, chosen, options, choose, why = {} }: ChoiceProps) {
  return (
    <div class="isi-option">
      <span class="isi-muted" title={help}>{label}</span>
      <div class="isi-toggles" role="group" aria-label={label}>
        {Object.entries(options).map(([word, help]) => (
          <Button key={word} test={`settings-${name}-${word}`} label={help} text={word} pressed={chosen === word} why={why[word]} onClick={() => word !== chosen && choose(word)} />
        ))}
      </div>
    </div>
  );
}
