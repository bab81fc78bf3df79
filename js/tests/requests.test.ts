// One way to ask the kernel: an id, a promise, and every way in which it ends.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ignore, NoAnswer, Requests, type Buffers } from "../src/state/requests";
import { Store, type Model } from "../src/state/store";
import { browser, FakeModel, PIXEL, settle } from "./fake";

let sent: { message: Record<string, unknown>; buffers: ArrayBuffer[] }[];
let complaints: string[];
let requests: Requests;
const text = (content: unknown): string | null => (content as { text?: string }).text ?? null;
const id = (at = -1): unknown => sent.at(at)?.message.id;
const reason = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => "answered", (why: unknown) => (why instanceof NoAnswer ? `${why.why}: ${why.message}` : why));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  sent = [];
  complaints = [];
  requests = new Requests(
    (message, buffers) => sent.push({ message: message as Record<string, unknown>, buffers }),
    (message, then) => {
      complaints.push(message);
      then();
    },
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("a request", () => {
  it("is answered by the message with its id, whatever else comes", async () => {
    const first = requests.request({ kind: "code" }, { read: text });
    const second = requests.request({ kind: "code", trial: 3 }, { read: text });
    expect(id(0)).not.toBe(id(1));
    requests.receive({ kind: "code", id: id(1), text: "second" }, []);
    requests.receive({ kind: "code", id: "of another page", text: "no" }, []);
    requests.receive({ kind: "code", id: id(0), text: "first" }, []);
    expect(await Promise.all([first, second])).toEqual(["first", "second"]);
  });

  it("takes its question, its buffers, and those of the answer", async () => {
    const data = new ArrayBuffer(3);
    const answer = requests.request({ kind: "map", trial: 1, token: 2 }, { buffers: [data], read: (_, buffers) => buffers });
    expect(sent[0]).toEqual({ message: { kind: "map", trial: 1, token: 2, id: id() }, buffers: [data] });
    const came: Buffers = [new Uint8Array([7])];
    requests.receive({ kind: "map", id: id() }, came);
    expect(await answer).toBe(came);
  });

  it("without anything to return is done, and so is one whose answer cannot be read", async () => {
    const done = requests.request({ kind: "restore", trial: 1 });
    requests.receive({ kind: "done", id: id() }, []);
    expect(await done).toBeNull();
    const torn = requests.request({ kind: "code" }, { read: text });
    requests.receive({ kind: "code", id: id() }, []);
    expect(await torn).toBeNull();
  });

  it("of a run is answered when it is taken up, not by what it reports", async () => {
    const run = vi.fn();
    void requests.request({ kind: "cancel", run: "" }, { id: "r" }).then(run);
    for (const kind of ["progress", "partial", "result"]) requests.receive({ kind, id: "r" }, []);
    await Promise.resolve();
    expect(run).not.toHaveBeenCalled();
    requests.receive({ kind: "done", id: "r" }, []);
    await Promise.resolve();
    await Promise.resolve();
    expect(run).toHaveBeenCalledOnce();
  });
});

describe("a request ends without an answer", () => {
  it("by an error of the kernel, with its hint", async () => {
    const asked = requests.request({ kind: "code" });
    const why = reason(asked);
    requests.receive({ kind: "error", id: id(), message: "There is no trial 9.", hint: "Choose another." }, []);
    expect(await why).toBe("error: There is no trial 9.");
    await expect(asked).rejects.toMatchObject({ hint: "Choose another." });
  });

  it("where a newer one took its place", async () => {
    const why = reason(requests.request({ kind: "models" }));
    requests.receive({ kind: "dropped", id: id() }, []);
    expect(await why).toMatch(/^dropped/);
  });

  it("where it was taken back, before or while it waits; a late answer is left aside", async () => {
    const life = new AbortController();
    const why = reason(requests.request({ kind: "code" }, { signal: life.signal }));
    life.abort();
    requests.receive({ kind: "code", id: id(), text: "late" }, []);
    expect(await why).toMatch(/^cancelled/);
    expect(await reason(requests.request({ kind: "code" }, { signal: life.signal }))).toMatch(/^cancelled/);
    expect(sent).toHaveLength(1);
  });

  it("where the kernel is gone: all of them, and all that follow, by the one reason", async () => {
    const whys = [requests.request({ kind: "code" }), requests.request({ kind: "models" })].map(reason);
    requests.end(new NoAnswer("gone", "The kernel is gone."));
    expect(await Promise.all(whys)).toEqual(["gone: The kernel is gone.", "gone: The kernel is gone."]);
    expect(await reason(requests.request({ kind: "tokens" }))).toBe("gone: The kernel is gone.");
    expect(sent).toHaveLength(2);
    vi.advanceTimersByTime(100_000);
    expect(complaints).toEqual([]);
  });
});

describe("silence", () => {
  it("is said once, and a late answer still counts: the kernel may be busy with another cell", async () => {
    const then = vi.fn();
    const answer = requests.request({ kind: "code" }, { read: text, silence: "No Python came.", then });
    vi.advanceTimersByTime(7999);
    expect(complaints).toEqual([]);
    vi.advanceTimersByTime(100_000);
    expect(complaints).toEqual(["No Python came."]);
    expect(then).toHaveBeenCalledOnce();
    requests.receive({ kind: "code", id: id(), text: "late" }, []);
    expect(await answer).toBe("late");
  });

  it("is none while the kernel is heard", () => {
    requests.request({ kind: "code" }, { silence: "No Python came." }).catch(ignore);
    for (let i = 0; i < 5; i++) {
      vi.advanceTimersByTime(7000);
      requests.heard();
    }
    expect(complaints).toEqual([]);
  });

  it("may be longer, or not minded", () => {
    requests.request({ kind: "export", trials: [1], format: "pdf" }, { silence: "No file came.", seconds: 60 }).catch(ignore);
    requests.request({ kind: "thumbnails", indexes: [1] }).catch(ignore);
    vi.advanceTimersByTime(59_999);
    expect(complaints).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(complaints).toEqual(["No file came."]);
  });
});

describe("the store", () => {
  it("shows a gone kernel as one error, and ends everything that waits", async () => {
    vi.useRealTimers();
    browser();
    const life = new AbortController();
    const model = new FakeModel();
    const store = new Store(model as unknown as Model, life.signal);
    const waiting = [store.ask({ kind: "code" }), store.ask({ kind: "models" })].map(reason);
    model.send = () => {
      throw new Error("the comm is closed");
    };
    vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const failed = store.run(["answer"]);
    expect(failed).not.toBe("");
    expect(await Promise.all(waiting)).toEqual(Array(2).fill("gone: The kernel of this probe is gone: it was restarted or shut down."));
    expect(store.notice.value?.message).toContain("kernel of this probe is gone");
    expect(store.running.value).toBe(false);
    life.abort();
  });

  it("reads an answer with its buffers, and shows an error that is one", async () => {
    vi.useRealTimers();
    browser();
    const life = new AbortController();
    const model = new FakeModel();
    const store = new Store(model as unknown as Model, life.signal);
    const bytes = store.ask({ kind: "font" }, { read: (_, [data]) => data ?? null });
    model.answer("font", {}, [PIXEL]);
    expect((await bytes)?.length).toBe(4);
    const why = reason(store.ask({ kind: "restore", trial: 9 }));
    model.message({ kind: "error", id: model.last("restore")?.id, message: "There is no trial 9.", hint: "" });
    expect(await why).toBe("error: There is no trial 9.");
    await settle();
    expect(store.notice.value?.message).toBe("There is no trial 9.");
    life.abort();
  });
});
