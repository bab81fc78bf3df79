// The first line: which observation, which model, and help.
import { live } from "../live";
import { useView } from "../view";
import { Choices } from "./choices";
import { Icon } from "./icons";
import { ModelButton } from "./models";
import { Button, Popover } from "./parts";

export const Header = live(function Header() {
  const { screen, store, root } = useView();
  const observation = store.observation.value;
  const own = store.index.value < 0 && observation !== null;
  return (
    <div class="isi-header">
      <div class="isi-anchor isi-grow">
        <button
          type="button"
          class="isi-button isi-plain isi-picker"
          data-testid="observation-picker"
          aria-haspopup="listbox"
          aria-expanded={screen.popover.value === "observations"}
          aria-disabled={store.observations.value.length === 0 ? true : undefined}
          title={store.observations.value.length === 0 ? "This probe was given a single observation, so there is nothing to choose" : "Choose an observation"}
          onClick={() => {
            if (store.observations.value.length > 0) screen.toggle("observations");
          }}
        >
          <span class="isi-muted isi-fixed">{own ? "Own image" : `Observation ${store.index.value}`}</span>
          <span class="isi-cut" dir="auto">{observation?.question ?? ""}</span>
          <Icon name="down" />
        </button>
        {screen.popover.value === "observations" && <Picker />}
      </div>
      <ModelButton />
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

// Numbered as in Python: data[40] is observation 40.
const Picker = live(function Picker() {
  const { screen, store } = useView();
  return (
    <Popover test="observation-list" label="Observations" classes="isi-picking">
      <Choices
        test="observation"
        label="Search observations"
        placeholder="Search question, truth, level or number"
        none="No observation has all of these words."
        rows={store.observations.value.map(({ index, id, question, level, answer }) => ({
          key: String(index),
          text: `${index} ${id} ${question} ${answer ?? ""} ${level ?? ""}`,
          chosen: index === store.index.value,
          view: (
            <>
              <span class="isi-muted isi-index">{index}</span>
              <span class="isi-grow" dir="auto">{question}</span>
              {level && <span class="isi-muted">{level}</span>}
              <span class="isi-truthcell">{answer ?? ""}</span>
            </>
          ),
        }))}
        choose={(key) => {
          screen.popover.value = null;
          store.observe(Number(key));
        }}
      />
    </Popover>
  );
});
