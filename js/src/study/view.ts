// What every component of one view of a study shares, by context.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Store } from "./store";

export const StudyContext = createContext<Store | null>(null);

export function useStudy(): Store {
  const store = useContext(StudyContext);
  if (!store) throw new Error("a component of a study outside its view");
  return store;
}
