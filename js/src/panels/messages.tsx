// What went wrong and what to do about it: over the results if it ended a run, else over the picture. And the sentence that a screen reader hears.
import { live } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { useView } from "../view";
import { Icon } from "./icons";
import { Button } from "./parts";

export const Messages = live(function Messages() {
  const { store, root } = useView();
  const panel = useRef<HTMLDivElement>(null);
  // The trait and the message about one run say the same: one of them is shown.
  const failure = store.failure.value ?? store.notice.value;
  useEffect(() => {
    // Visible to the user of this probe anywhere in a long cell.
    if (failure && root.contains((root.getRootNode() as Document | ShadowRoot).activeElement)) panel.current?.scrollIntoView({ block: "nearest" });
  }, [failure]);
  return (
    <>
      <div ref={panel} role="alert" class="isi-alert" hidden={!failure} data-testid="error" data-over={failure?.id ? "results" : "picture"}>
        {failure && (
          <>
            <Icon name="warning" />
            <div class="isi-grow">
              <p data-testid="error-message">{failure.message}</p>
              {failure.hint && (
                <p class="isi-muted" data-testid="error-hint">
                  {failure.hint}
                </p>
              )}
            </div>
            <Button test="error-dismiss" label="Dismiss" icon="close" kind="bare" onClick={() => store.dismiss()} />
          </>
        )}
      </div>
      <div class="isi-spoken" role="status" aria-live="polite" data-testid="spoken">
        {store.spoken.value}
      </div>
    </>
  );
});
