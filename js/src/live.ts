// Preact over @preact/signals-core: a component wrapped in `live` is rendered again when a signal that it read changes.
// The published binding (@preact/signals) does more than is used here and would be a twentieth of the bundle.
import { effect, signal, type Signal } from "@preact/signals-core";
import type { ComponentChild } from "preact";
import { useEffect, useMemo, useReducer, useRef } from "preact/hooks";

type Component<P> = (props: P) => ComponentChild;

export function live<P = object>(component: Component<P>): Component<P> {
  return (props) => {
    const [, again] = useReducer((n: number) => n + 1, 0);
    const stop = useRef<(() => void) | undefined>(undefined);
    useEffect(() => () => stop.current?.(), []);
    stop.current?.();
    let output: ComponentChild = null;
    let first = true;
    // The first run renders and so subscribes; the next one reads nothing, which ends the subscription, and asks for a new rendering.
    stop.current = effect(() => {
      if (first) output = component(props);
      else again(undefined);
      first = false;
    });
    return output;
  };
}

/** A signal of this component alone. */
export function useSignal<T>(start: T): Signal<T> {
  return useMemo(() => signal(start), []);
}

/** Runs after the first rendering, and again when a signal that it read changes. */
export function useSignalEffect(run: () => void): void {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => effect(() => latest.current()), []);
}
