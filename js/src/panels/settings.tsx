// The settings of a run, in a pop-over beside the run buttons.
import { live } from "../live";
import { LIMITS } from "../protocol";
import { useView } from "../view";
import { Button, NumberField, Popover } from "./parts";

const FIELDS = [
  { name: "samples", label: "Samples", help: "How many answers are drawn for the uncertainty" },
  { name: "temperature", label: "Temperature", help: "Of the sampled answers; the shown answer is always greedy" },
  { name: "seed", label: "Seed", help: "The same seed draws the same answers" },
  { name: "max_new_tokens", label: "Max tokens", help: "Longest answer, in tokens" },
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
        onClick={() => (screen.popover.value = open ? null : "settings")}
      />
      {open && (
        <Popover test="settings-panel" label="Settings of a run" classes="isi-settings">
          {FIELDS.map(({ name, label, help }) => (
            <NumberField
              key={name}
              test={`settings-${name}`}
              label={label}
              title={help}
              value={settings[name]}
              low={LIMITS[name].low}
              high={LIMITS[name].high}
              step={LIMITS[name].step}
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
