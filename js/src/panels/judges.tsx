// Which entailment model compares the meanings, in the settings: those that are known, where they are, and what a download takes. Part of the editor.
import { live } from "../live";
import { useEffect } from "preact/hooks";
import type { JudgeEntry } from "../protocol";
import { answersOf, askJudges, takeJudge } from "../state/kernel";
import { useView } from "../view";
import { ByName } from "./byname";
import { Button } from "./parts";

/** Names that are no models. */
const FIXED: [name: string, text: string, help: string][] = [
  ["auto", "automatic", "The embedded model for the embedded VLM; for any other the best listed model that is on the disk and fits into memory, else rules. Nothing is downloaded"],
  ["rules", "rules of wording", "No model: answers that differ only in spelling mean the same; all others are different"],
];

const size = (bytes: number): string => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`);

export const JudgeChoice = live(function JudgeChoice() {
  const { store } = useView();
  const chosen = store.judge.value;
  const list = answersOf(store).judges.value;
  useEffect(() => askJudges(store), []);
  const take = (name: string): void => {
    if (name !== chosen) takeJudge(store, name);
  };
  const known = FIXED.some(([name]) => name === chosen) || list?.models.some(({ name }) => name === chosen);
  return (
    <details class={chosen === "auto" ? "isi-setting isi-judges" : "isi-setting isi-judges isi-differs"} data-testid="settings-judge">
      <summary title="The model that decides which answers mean the same">
        <span class="isi-muted">Meanings compared by</span> <strong class="isi-cut">{chosen === "auto" ? `auto${list ? `: ${list.automatic}` : ""}` : chosen}</strong>
      </summary>
      <ul>
        {FIXED.map(([name, text, help]) => (
          <li key={name}>
            <Button test={`judge-${name}`} label={help} text={text} pressed={chosen === name} onClick={() => take(name)} />
            <span class="isi-muted">{name === "auto" && list ? `takes ${list.automatic} now` : ""}</span>
          </li>
        ))}
        {!known && list && (
          <li>
            <Button test="judge-own" label="Chosen by its name, or in Python" text={chosen} pressed onClick={() => undefined} />
          </li>
        )}
        {list?.models.map((entry) => (
          <Entry key={entry.name} entry={entry} chosen={chosen === entry.name} take={take} />
        ))}
      </ul>
      <ByName
        test="judge"
        label="Another entailment model: a name on the hub, which is downloaded, or a folder"
        placeholder="Another one: hub name or folder"
        help="Load the entailment model of this name; one on the hub is downloaded"
        load={take}
      />
    </details>
  );
});

function Entry({ entry, chosen, take }: { entry: JudgeEntry; chosen: boolean; take: (name: string) => void }) {
  const { name, parameters, download, memory, licence, languages, state } = entry;
  const missing = state === "to be downloaded";
  const facts = [`${(parameters / 1e6).toFixed(parameters < 1e7 ? 1 : 0)} M`, languages, licence, `memory ${size(memory)}`, !missing && state];
  const [owner, rest] = name.split("/");
  return (
    <li>
      <span class="isi-grow">
        {rest ? <span class="isi-muted">{owner}/</span> : owner}
        {rest}
        <br />
        <span class="isi-muted">{facts.filter(Boolean).join(" · ")}</span>
      </span>
      <Button
        test={`judge-${name}`}
        label={missing ? `Download ${size(download)} from the hub, and compare the meanings with ${name}` : `Compare the meanings with ${name}`}
        text={missing ? `Download ${size(download)}` : chosen ? "in use" : "Use"}
        pressed={chosen}
        onClick={() => take(name)}
      />
    </li>
  );
}
