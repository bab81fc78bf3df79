// Fields with unfinished typing: a run takes what is in them, also when its key is pressed inside one. Part of the editor.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { useView } from "../view";

/** Registers what finishes a field; returns it, always as of the last rendering. */
export function useFlush(flush: () => void): () => void {
  const { screen } = useView();
  const latest = useRef(flush);
  latest.current = flush;
  const now = useMemo(() => () => latest.current(), []);
  useEffect(() => {
    screen.flushers.add(now);
    return () => void screen.flushers.delete(now);
  }, []);
  return now;
}
