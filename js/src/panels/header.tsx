// The first line: which observation, which model, the settings of a run, and help.
import { live } from "../live";
import { useView } from "../view";
import { ModelButton } from "./models";
import { Observations } from "./observations";
import { Button } from "./parts";
import { SaveButton } from "./saving";
import { SettingsButton } from "./settings";

export const Header = live(function Header() {
  const { screen, store, root } = useView();
  return (
    <div class="isi-header">
      <Observations />
      <ModelButton />
      <SettingsButton />
      <SaveButton />
      {typeof root.requestFullscreen === "function" && (
        <Button
          test="fullscreen"
          label="Full screen"
          icon="full"
          kind="bare"
          onClick={() => {
            const inFull = root.ownerDocument.fullscreenElement !== null;
            void (inFull ? root.ownerDocument.exitFullscreen() : root.requestFullscreen()).catch(() => store.fail("The browser refused full screen."));
          }}
        />
      )}
      <Button test="help" label="Keys (?)" icon="help" kind="bare" expanded={screen.popover.value === "keys"} onClick={() => screen.toggle("keys")} />
    </div>
  );
});
