// The still in the notebook, brought up to date by the page.
import { signal } from "@preact/signals-core";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { putStill, watchStills } from "../src/kept";

const still = (kind: "probe" | "study", id: string, number: number): Record<string, unknown> => ({
  "text/html": [`<div class="isi-kept" data-${kind}="${id}" `, `data-still="${number}">old</div>`],
});

/** Cells with outputs, as JupyterLab hands them to widgets. */
function notebook(...cells: Record<string, unknown>[][]) {
  const made = cells.map((data) => data.map((one): { data: Record<string, unknown> } => ({ data: one })));
  const lists = made.map((outputs) => ({
    outputs: {
      length: outputs.length,
      get: (index: number) => outputs[index] as { data: Record<string, unknown> },
      set: (index: number, value: object) => (outputs[index] = value as { data: Record<string, unknown> }),
    },
  }));
  return { manager: { context: { model: { cells: [{}, ...lists] } } }, made };
}

let life: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  life = new AbortController();
});
afterEach(() => {
  life.abort();
  vi.useRealTimers();
});

it("is asked for where one is older than the kernel's, at once when the page is loaded", () => {
  const { manager } = notebook([{ "text/plain": "a" }, still("study", "w1", 3)], [still("study", "w2", 1)]);
  const [ask, number] = [vi.fn(), signal(3)];
  watchStills(number, () => [manager, "w1"], ask, life.signal);
  vi.runAllTimers();
  expect(ask).not.toHaveBeenCalled(); // it is the newest
  number.value = 4;
  expect(ask).not.toHaveBeenCalled(); // the kernel's own update may come
  vi.runAllTimers();
  expect(ask).toHaveBeenCalledTimes(1);
  watchStills(number, () => [manager, "w1"], ask, life.signal); // loaded again
  vi.runAllTimers();
  expect(ask).toHaveBeenCalledTimes(2);
  number.value = 5;
  life.abort();
  vi.runAllTimers();
  expect(ask).toHaveBeenCalledTimes(2);
});

it("takes the place of every older one of its widget, and of nothing else", () => {
  const { manager, made } = notebook([still("probe", "w1", 1), still("probe", "w2", 1)], [still("probe", "w1", 2)], [still("probe", "w1", 9)]);
  const data = { "text/html": "new" };
  putStill([manager, "w1"], { number: 3, data });
  const shown = made.flat().map((output) => [output.data["text/html"]].flat().join("").includes("new"));
  expect(shown).toEqual([true, false, true, false]);
});

it("is nobody's where there is no notebook", () => {
  for (const manager of [undefined, {}, { context: {} }]) putStill([manager, "w1"], { number: 1, data: {} });
});
