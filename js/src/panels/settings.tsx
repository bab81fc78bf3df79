// The settings of a run, in a pop-over beside the run buttons.
import { live } from "../live";
import { useView } from "../view";
import { Button, NumberField, Popover } from "./parts";

/** What can be set, and what it may be: the page holds numbers to it, the kernel checks again. */
const FIELDS = [
  { name: "samples", label: "Samples", title: "How many answers are drawn for the uncertainty", low: 1, high: 1000, step: 1 },
  { name: "temperature", label: "Temperature", title: "Of the sampled answers; the shown answer is always greedy", low: 0.05, high: 5, step: 0.05 },
  { name: "seed", label: "Seed", title: "The same seed draws the same answers", low: 0, high: 2 ** 31 - 1, step: 1 },
  { name: "max_new_tokens", label: "Max tokens", title: "Longest answer, in tokens", low: 1, high: 2048, step: 1 },
] as const;

export const SettingsButton = live(function SettingsButton() {
  const { screen, store } = useView();
  const open = screen.popover.value === "settings";
  const settings = store.settings.value;
  return (
    <div class="isi-anchor">
      <Button
        test="settings"
        label="Settings of a run"
        icon="gear"
        text={`${settings.samples} × T ${settings.temperature}`}
        expanded={open}
        onClick={() => (screen.toggle("settings"))}
      />
      {open && (
        <Popover test="settings-panel" label="Settings of a run" classes="isi-settings">
          {FIELDS.map(({ name, ...rest }) => (
            <NumberField
              key={name}
              {...rest}
              test={`settings-${name}`}
              value={settings[name]}
              onChange={(value) => store.configure({ ...store.settings.peek(), [name]: value })}
            />
          ))}
          <label class="isi-check" title="Strict: two answers mean the same only if each entails the other. Else: if neither contradicts the other and not both are neutral.">
            <input
              type="checkbox"
              data-testid="settings-strict"
              checked={settings.strict}
              onChange={(event) => store.configure({ ...store.settings.peek(), strict: event.currentTarget.checked })}
            />
            Strict entailment
          </label>
        </Popover>
      )}
    </div>
  );
});
