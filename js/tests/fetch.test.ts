// The editor is fetched from the kernel: asked for again while no answer comes, evaluated once per page, and done without if there is none.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { editor } from "../src/editor";
import { fetcher } from "../src/fetch";
import { Store, type Model } from "../src/state/store";
import { widget } from "../src/widget";
import { browser, FakeModel, settle, trial, traits } from "./fake";

const SOURCE = "export default core => ({ core, made: {} })";
const page = globalThis as Record<string, unknown>;

const start = (model = new FakeModel()) => {
  const lifetime = new AbortController();
  const store = new Store(model as unknown as Model, lifetime.signal);
  return { model, lifetime, store };
};
const asked = (model: FakeModel): number => model.sent.filter(({ content }) => content.kind === "editor").length;

beforeEach(() => {
  browser();
  vi.stubGlobal("EDITOR", "v1");
  // Node takes modules from data: addresses, not from blob: ones.
  vi.spyOn(URL, "createObjectURL").mockReturnValue(`data:text/javascript,${encodeURIComponent(SOURCE)}`);
});
afterEach(() => {
  vi.useRealTimers();
  Reflect.deleteProperty(page, "isi_widget fetched");
});

test("two widgets of a page share what was fetched, and each gives it its own core", async () => {
  const [one, two] = [start(), start()];
  const [a, b] = [{ a: 1 }, { b: 2 }];
  const first = fetcher(a)(one.store, one.lifetime.signal);
  one.model.answer("editor", { text: SOURCE });
  expect(await first).toMatchObject({ core: a });
  expect(await fetcher(b)(two.store, two.lifetime.signal)).toMatchObject({ core: b });
  expect([asked(one.model), asked(two.model)]).toEqual([1, 0]);
});

test("of two that need it at the same time only one asks", async () => {
  const [one, two] = [start(), start()];
  const both = [fetcher({})(one.store, one.lifetime.signal), fetcher({})(two.store, two.lifetime.signal)];
  expect([asked(one.model), asked(two.model)]).toEqual([1, 0]);
  one.model.answer("editor", { text: SOURCE });
  expect((await Promise.all(both)).every(Boolean)).toBe(true);
});

test("the other one asks if the first gets no answer", async () => {
  vi.useFakeTimers();
  const [one, two] = [start(), start()];
  void fetcher({})(one.store, one.lifetime.signal);
  const second = fetcher({})(two.store, two.lifetime.signal);
  one.lifetime.abort();
  vi.advanceTimersByTime(2000);
  expect([asked(one.model), asked(two.model)]).toEqual([1, 1]);
  two.model.answer("editor", { text: SOURCE });
  expect(await second).not.toBeNull();
});

test("another version of the widget fetches its own", async () => {
  const one = start();
  const first = fetcher({})(one.store, one.lifetime.signal);
  one.model.answer("editor", { text: SOURCE });
  await first;
  vi.stubGlobal("EDITOR", "v2");
  const two = start();
  void fetcher({})(two.store, two.lifetime.signal);
  expect(asked(two.model)).toBe(1);
});

test("asks again, less and less often, until the view goes away", async () => {
  vi.useFakeTimers();
  const { model, lifetime, store } = start();
  const found = fetcher({})(store, lifetime.signal);
  expect(asked(model)).toBe(1);
  vi.advanceTimersByTime(2000);
  expect(asked(model)).toBe(2);
  vi.advanceTimersByTime(3999);
  expect(asked(model)).toBe(2);
  vi.advanceTimersByTime(1);
  expect(asked(model)).toBe(3);
  lifetime.abort();
  expect(await found).toBeNull();
  vi.advanceTimersByTime(100_000);
  expect(asked(model)).toBe(3);
});

const show = async (fetch: Parameters<typeof widget>[0], model: FakeModel) => {
  const props = { model: model as never, signal: new AbortController().signal, experimental: {} as never, host: {} as never };
  const el = document.createElement("div");
  const definition = widget(fetch);
  await definition.initialize(props);
  await definition.render({ ...props, el });
  await settle();
  return (test: string) => el.querySelector(`[data-testid="${test}"]`);
};

test("until then, and without a kernel, input and results are shown as they are", async () => {
  const model = new FakeModel(traits({ trials: [trial()], shown: 1 }));
  let come: (it: typeof editor) => void = () => undefined;
  const find = await show(() => new Promise((done) => (come = done)), model);
  expect(find("still")?.textContent).toContain("Is there a star?");
  expect(find("answer")?.textContent).toContain("No star.");
  expect(find("overlay")).toBeNull();
  come(editor);
  await settle();
  expect(find("still")).toBeNull();
  expect(find("overlay")).not.toBeNull();
});

test("an editor that is broken is said", async () => {
  const find = await show(() => Promise.reject(new Error("Unexpected token")), new FakeModel());
  expect(find("error-message")?.textContent).toContain("Unexpected token");
  expect(find("still")).not.toBeNull();
});
