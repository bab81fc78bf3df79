// Which model is probed, and the list of those that could be: family, size, what it needs of the memory that there is.
import { Bar } from "../charts/bars";
import { live, useSignal } from "../live";
import type { ModelEntry } from "../protocol";
import { answersOf, askModels, loadModel } from "../state/kernel";
import { useView } from "../view";
import { ByName } from "./byname";
import { Choices } from "./choices";
import { Icon } from "./icons";
import { Button, Popover } from "./parts";

/** The precisions: name for `load_vlm`, and label. */
const PRECISIONS: [string | null, string, string][] = [
  [null, "full", "The original weights: 16 bit, 32 bit on a CPU"],
  ["int8", "8 bit", "int8: half the memory, hardly any loss"],
  ["nf4", "4 bit", "nf4: a quarter of the memory, at some loss"],
];

export const ModelButton = live(function ModelButton() {
  const { screen, store } = useView();
  const { name, label, note, device, parameters } = store.modelInfo.value;
  const open = screen.popover.value === "models";
  const { state, measures, done, total } = store.status.value;
  const loading = state !== "idle" && measures[0] === "load";
  const title = label || name;
  const count = typeof parameters === "number" ? `${billions(parameters)} parameters` : parameters;
  return (
    <>
      <div class="isi-modelbox">
      <button
        type="button"
        class="isi-button isi-plain isi-model"
        data-testid="model"
        aria-haspopup="dialog"
        aria-expanded={open}
        title={["Choose another model", title, [count, device].filter(Boolean).join(", "), note].filter(Boolean).join("\n")}
        onClick={() => {
          screen.toggle("models");
          if (!open) askModels(store);
        }}
      >
        <span class="isi-muted isi-fixed">Model</span>
        <span class="isi-cut">{title || "none"}</span>
        <Icon name="down" />
      </button>
      {open && <Models />}
      </div>
      <div class="isi-note">
        {loading ? <progress data-testid="model-progress" aria-label="Loading the model" {...(total > 0 ? { value: done, max: total } : {})} /> : note && (
            <span data-testid="model-note" title={note}>
              {note}
            </span>
          )}
      </div>
    </>
  );
});

const Models = live(function Models() {
  const { screen, store } = useView();
  const present = store.modelInfo.value;
  const precision = useSignal(present.quantization);
  const offer = answersOf(store).offer.value;
  const room = offer?.free == null ? null : offer.free + offer.held;
  const load = (name: string, quantization: string | null): void => {
    screen.popover.value = null;
    if (name !== present.name || quantization !== present.quantization) loadModel(store, name, quantization);
  };
  // A model that has no such precision is loaded in its own.
  const fitting = ({ memory }: ModelEntry): string | null => (memory[precision.value ?? ""] ? precision.value : null);
  return (
    <Popover test="model-list" label="Models" classes="isi-picking isi-models">
      <div class="isi-toggles" role="group" aria-label="Precision of the weights">
        {PRECISIONS.map(([name, text, help]) => (
          <Button key={text} test={`precision-${name ?? "none"}`} label={help} text={text} pressed={precision.value === name} onClick={() => (precision.value = name)} />
        ))}
        {room !== null && <span class="isi-muted isi-push" data-testid="model-free">{`${size(room)} free on ${offer?.device ?? ""}`}</span>}
      </div>
      {/* There at once, since it takes the focus: what is typed elsewhere when the list comes stays there. */}
      <Choices
        test="model"
        label="Search models"
        placeholder="Search name, family, size or licence"
        none={offer ? "No listed model has all of these words. Type any other name below." : "Waiting for the list from the kernel."}
        rows={(offer?.models ?? []).map((entry) => {
          const { name, family, parameters, licence, memory } = entry;
          const quantization = fitting(entry);
          const needed = memory[quantization ?? "none"] ?? 0;
          const why = room !== null && needed > room && reason(entry, needed, room);
          const [owner, rest] = name.split("/");
          return {
            key: name,
            text: `${family} ${name} ${billions(parameters)} ${licence}`,
            group: family,
            chosen: name === present.name,
            why,
            view: () => (
              <>
                <span class="isi-grow">
                  {rest ? <span class="isi-muted">{owner}/</span> : owner}
                  {rest}
                </span>
                <span class="isi-muted">{[billions(parameters), licence].join(" · ")}</span>
                <Bar value={room ? needed / room : 0} label={`needs ${size(needed)}`} />
                <span class={why ? "isi-wrong" : "isi-muted"}>{why || `needs ${size(needed)}${room === null ? "" : ` of ${size(room)} free`}`}</span>
              </>
            ),
          };
        })}
        choose={(name) => {
          const entry = offer?.models.find((x) => x.name === name);
          load(name, entry ? fitting(entry) : null);
        }}
      />
      <ByName
        test="model"
        label="Another model: a name on the hub, or a folder"
        placeholder="Another one: hub name or folder"
        help="Load the model of this name"
        load={(name) => load(name, precision.value)}
      />
    </Popover>
  );
});

/** Why a model does not fit, and which precision would. */
function reason({ memory }: ModelEntry, needed: number, room: number): string {
  const smaller = PRECISIONS.find(([name]) => (memory[name ?? "none"] ?? room + 1) <= room);
  return `needs ${size(needed)}: does not fit${smaller ? `, in ${smaller[1]} it would` : ""}`;
}

const billions = (n: number): string => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} B` : `${(n / 1e6).toFixed(1)} M`);

const size = (bytes: number): string => (bytes < 2 ** 29 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(bytes < 10 * 2 ** 30 ? 1 : 0)} GiB`);
