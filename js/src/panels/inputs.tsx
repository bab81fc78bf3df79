// The cause: which picture, what is drawn on it, which context and question, and the buttons that run the model on it.
import { composing } from "../keys";
import { live, useSignal } from "../live";
import { useEffect, useRef } from "preact/hooks";
import type { Operation, Segment } from "../protocol";
import { reshuffle, setTruth } from "../state/kernel";
import { randomSeed } from "../state/store";
import { accept } from "../upload";
import { useView } from "../view";
import { CameraButton } from "./camera";
import { Icon } from "./icons";
import { Button, Tip } from "./parts";
import { useFlush } from "./flush";
import { Count } from "./counts";

const IMAGE_PRESETS: Record<string, string> = {
  natural: "The original image of the data set",
  annotated: "The same image with the data set's labels drawn on it",
  random: "The image of another observation: the truth no longer holds",
};
const CONTEXT_PRESETS: Record<string, string> = {
  empty: "No context at all: zero tokens",
  complementary: "A text that agrees with the image",
  contradictory: "A text that contradicts the image",
  irrelevant: "A text about something else",
  random: "The context of another observation",
};

/** Presets of few data sets: shown only where an observation has them. */
const RARE_PRESETS: Record<string, string> = { nudging: "A text that makes an answer likely without stating it" };

interface PresetsProps {
  kind: "image" | "context";
  /** name -> what it is */
  known: Record<string, string>;
  /** those that the observation has */
  there: string[];
  /** the one that every observation has: what it is without a choice */
  always: string;
  chosen: string | null;
  choose: (name: string, seed: number | null) => void;
  /** another random one than the shown one */
  again: () => void;
}

function Presets({ kind, known, there, always, chosen, choose, again }: PresetsProps) {
  return (
    <div class="isi-toggles" role="group" aria-label={`Preset of the ${kind}`}>
      {[...new Set([...Object.keys(known), ...there])].filter((name) => name !== "custom").map((name) => (
        <Button
          key={name}
          test={`${kind}-${name}`}
          label={known[name] ?? RARE_PRESETS[name] ?? name}
          text={name}
          pressed={chosen === name}
          why={name !== always && !there.includes(name) && `this observation has no ${name} ${kind}`}
          onClick={() => {
            if (name !== "random") choose(name, null);
            else if (chosen === name) again();
            else choose(name, randomSeed());
          }}
        />
      ))}
      {chosen === "random" && <Button test={`${kind}-reshuffle`} label={`Another random ${kind}`} icon="dice" kind="bare" onClick={again} />}
    </div>
  );
}

export const ImagePresets = live(function ImagePresets() {
  const { store } = useView();
  const chooser = useRef<HTMLInputElement>(null);
  const chosen = store.imagePreset.value;
  return (
    <div class="isi-row" data-segment="image">
      <Label text="Image" />
      <Presets
        kind="image"
        known={IMAGE_PRESETS}
        there={store.observation.value?.image_presets ?? []}
        always="natural"
        chosen={chosen}
        choose={(preset, seed) => store.choose("image", preset === "natural" ? null : { op: "image", preset, seed })}
        again={() => reshuffle(store, "image")}
      />
      {chosen === "custom" && <span class="isi-state" data-testid="image-custom">own image</span>}
      <div class="isi-push isi-row">
        <input
          ref={chooser}
          type="file"
          accept="image/*"
          hidden
          data-testid="file"
          onChange={(event) => {
            const file = event.currentTarget.files?.[0];
            event.currentTarget.value = "";
            if (file) void accept(file, store);
          }}
        />
        <Button test="open" label="Open an image file; dropping or pasting one works too" icon="open" text="Open" onClick={() => chooser.current?.click()} />
        <CameraButton />
      </div>
    </div>
  );
});

function Label({ text }: { text: string }) {
  return <span class="isi-label">{text}</span>;
}

export const Context = live(function Context() {
  const { store } = useView();
  const observation = store.observation.value;
  const preset = store.contextPreset.value;
  const own = observation?.context ?? "";
  const edited = preset === null && store.context.value !== own;
  return (
    <div class="isi-field" data-segment="context">
      <div class="isi-row">
        <Label text="Context" />
        <Presets
          kind="context"
          known={CONTEXT_PRESETS}
          there={observation?.context_presets ?? []}
          always="empty"
          chosen={preset}
          choose={(name, seed) => {
            if (name !== "empty") store.choose("context", { op: "context", preset: name, seed });
            else store.choose("context", own === "" ? null : { op: "context", text: "", preset: name, seed });
          }}
          again={() => reshuffle(store, "context")}
        />
        {edited && <span class="isi-state" data-testid="context-edited">edited</span>}
      </div>
      <TextField
        test="context"
        segment="context"
        label="Context"
        value={store.context.value}
        placeholder="No context. Write something here, true or false, and see whom the model believes."
        lines={2}
        commit={(text, merge) => store.choose("context", text === own ? null : { op: "context", text, preset: text === "" ? "empty" : null, seed: null }, merge)}
      />
    </div>
  );
});

export const Question = live(function Question() {
  const { store } = useView();
  const observation = store.observation.value;
  const truth = store.truth.value;
  const holds = store.inputs.value?.truth_holds ?? true;
  const edited = observation !== null && store.question.value !== observation.question;
  const image = store.imagePreset.value;
  const [short, why] = edited
    ? ["question changed", "the question is not the observation's own"]
    : image !== "natural" && image !== "annotated"
      ? ["another image", "the image is not the observation's own"]
      : store.contextPreset.value === "random"
        ? ["other context", "the context is of another observation"]
        : observation?.own
          ? ["own image", "this image is your own: type the true answer here"]
          : ["none given", "this observation has none"];
  return (
    <div class="isi-field" data-segment="question">
      <div class="isi-row">
        <Label text="Question" />
        {edited && <span class="isi-state" data-testid="question-edited">edited</span>}
        {edited && <Button test="question-reset" label="Back to the observation's own question" text="reset" kind="bare" onClick={() => store.choose("question", null)} />}
        <div class="isi-push">
          <div class="isi-truth" data-testid="truth" data-truth={truth ?? ""} data-holds={holds}>
            <Tip test="truth-tip" term={truth === null ? `no truth: ${short}` : holds ? "truth" : "truth of the original picture"}>
              {truth === null
                ? `No answer is known to be right: ${why}.`
                : `The right answer according to the data set (for your own picture: according to you), judged by the image alone.${holds ? "" : " What is drawn or edited may have changed it: an answer agrees or differs, it is not right or wrong."}`}
            </Tip>
            {observation?.own ? <TruthField key={observation.index} /> : truth !== null && <strong>{truth}</strong>}
          </div>
        </div>
      </div>
      <TextField
        test="question"
        segment="question"
        label="Question"
        value={store.question.value}
        placeholder="Ask something about the image."
        lines={1}
        commit={(text, merge) => {
          // An emptied field is an empty question, which no model is asked: never quietly the observation's own.
          if (text === observation?.question) store.choose("question", null, merge);
          else store.choose("question", { op: "question", text }, merge);
        }}
      />
    </div>
  );
});

/** Why nothing can be run while there is no question, below the run buttons: so that they stay where they are. */
export const QuestionNeeded = live(function QuestionNeeded() {
  const { store } = useView();
  const observation = store.observation.value;
  return (
    <p class="isi-problem" role="status" hidden={store.question.value.trim() !== "" || observation === null} data-testid="question-needed">
      {store.question.value.trim() === "" && (
        <>
          <Icon name="warning" />
          <span>
            The model needs a question: type one
            {observation?.question.trim() && (
              <>
                , or reset to the observation's own: “<bdi>{observation.question}</bdi>”
              </>
            )}
            .
          </span>
        </>
      )}
    </p>
  );
});

/** What is right about a picture of the user's own. */
const TruthField = live(function TruthField() {
  const { store } = useView();
  const field = useRef<HTMLInputElement>(null);
  const commit = (): void => {
    if (field.current) setTruth(store, field.current.value.trim());
  };
  useFlush(commit);
  return (
    <input
      ref={field}
      type="text"
      class="isi-truth-field"
      data-testid="truth-field"
      aria-label="Truth: the right answer"
      placeholder="Yes, No, …"
      dir="auto"
      value={store.truth.value ?? ""}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === "Enter" && !composing(event)) commit();
      }}
    />
  );
});

interface TextFieldProps {
  test: string;
  segment: Segment;
  label: string;
  value: string;
  placeholder: string;
  lines: number;
  commit: (text: string, merge: boolean) => void;
}

const TYPING_PAUSE = 700;
/** Pixels up to which a field grows by itself. */
const GROWN = 120;

/** Free text that becomes one undo step per visit: committed on a pause, on Enter and on leaving; later commits of a visit join the first. */
const TextField = live(function TextField({ test, segment, label, value, placeholder, lines, commit }: TextFieldProps) {
  const { store } = useView();
  const area = useRef<HTMLTextAreaElement>(null);
  const draft = useSignal<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const mine = useRef<Operation[] | null>(null);
  const flush = (): void => {
    clearTimeout(timer.current);
    const text = draft.peek();
    draft.value = null;
    if (text === null || text === value) return;
    commit(text, mine.current !== null && mine.current === store.document.peek().operations);
    mine.current = store.document.peek().operations;
  };
  const now = useFlush(flush);
  useEffect(() => () => clearTimeout(timer.current), []);
  // It grows under the hand that types, and not for what another observation or preset brings: what is below stays where it is.
  useEffect(() => {
    const element = area.current;
    if (!element || draft.value === null || element.scrollHeight <= element.clientHeight) return;
    element.style.height = `${Math.min(element.scrollHeight + 2, GROWN)}px`;
  }, [draft.value]);
  return (
    <div class="isi-entry">
      <textarea
        ref={area}
        class="isi-text"
        data-testid={test}
        aria-label={label}
        rows={lines}
        dir="auto"
        placeholder={placeholder}
        value={draft.value ?? value}
        onInput={(event) => {
          draft.value = event.currentTarget.value;
          clearTimeout(timer.current);
          timer.current = setTimeout(now, TYPING_PAUSE);
        }}
        onBlur={() => {
          flush();
          mine.current = null;
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey && !composing(event)) {
            event.preventDefault();
            flush();
          }
        }}
      />
      <Count segment={segment} />
    </div>
  );
});

export const RunButtons = live(function RunButtons() {
  const { screen, store, root } = useView();
  const why = store.inputs.value === null ? "there is no input yet" : store.question.value.trim() === "" ? "there is no question" : null;
  const run = (how: () => void): void => {
    screen.flush();
    how();
    // In one column the results are below: scroll to them on request.
    root.querySelector(".isi-narrow .isi-results")?.scrollIntoView({ block: "nearest" });
  };
  return (
    <div class="isi-runs">
      <Button test="run" label="Run everything (Ctrl+Enter)" text="Run everything" kind="primary" why={why} onClick={() => run(() => store.runEverything())} />
      {store.measures.value.map(({ name, title, help }) => (
        <Button key={name} test={`run-${name}`} label={help || title} text={title} why={why ?? store.unavailable(name)} onClick={() => run(() => store.run([name]))} />
      ))}
      <label class="isi-check isi-push" title="Run on change: the measures of the shown trial run by themselves, a moment after each change of input, settings or model">
        <input type="checkbox" role="switch" aria-label="Run on change" data-testid="run-on-change" checked={store.runOnChange.value} onChange={(event) => store.follow(event.currentTarget.checked)} />
        on change
      </label>
    </div>
  );
});
