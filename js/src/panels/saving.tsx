// Save: all work as one file; and where it is kept as it happens. Part of the editor. Not for files of single trials (history.tsx).
import type { ExportedFile } from "../answers";
import { live } from "../live";
import { keptOf, saveProbe } from "../state/kernel";
import { useView } from "../view";
import { Button } from "./parts";

export const SaveButton = live(function SaveButton() {
  const { screen, store } = useView();
  const { folder, problem } = keptOf(store).value;
  return (
    <>
      <Button
        test="save"
        label="Save all work as one file; isi.open_probe(file) opens it"
        text="Save"
        kind="bare"
        onClick={() => {
          screen.flush();
          saveProbe(store, download);
        }}
      />
      {folder && (
        <span class="isi-muted isi-cut" data-testid="kept" title={problem || `All work is kept in the folder ${folder} as it happens`}>
          {problem ? "not kept" : `kept in ${folder.split(/[\\/]/).findLast(Boolean)}`}
        </span>
      )}
    </>
  );
});

/** What to know of a session that came back: trials that are lost, another model. */
export const SessionNote = live(function SessionNote() {
  const { store } = useView();
  const { note } = keptOf(store).value;
  return note ? (
    <p class="isi-teach" data-testid="session-note">
      {note}
    </p>
  ) : null;
});

/** A download, as a browser does it. */
export function download({ name, type, data }: ExportedFile): void {
  const url = URL.createObjectURL(new Blob([data], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Not at once: the browser may still be opening it.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
