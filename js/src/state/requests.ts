// One way to ask the kernel: a question goes out under an id of its own, and a promise stands for the answer that comes back under it.
// Pure: what sends, complains and ends is given. Not for what runs report on their way (progress, partial answers): those are messages of their own.
import type { Question } from "../messages";

export type Buffers = Uint8Array<ArrayBuffer>[];

/** Reason for a missing answer. The page has already shown an error or a dead kernel. */
export class NoAnswer extends Error {
  constructor(
    readonly why: "error" | "dropped" | "gone" | "cancelled",
    message: string,
    readonly hint = "",
  ) {
    super(message);
  }
}

export interface Options<T> {
  /** of the answer; null: it is none. Absent: only that it is done matters */
  read?: (content: unknown, buffers: Buffers) => T | null;
  /** sent with the question */
  buffers?: ArrayBuffer[];
  /** shown after `seconds` in which nothing at all came from the kernel; it may still answer later */
  silence?: string;
  seconds?: number;
  /** called with the complaint */
  then?: () => void;
  /** takes the question back: its answer is not waited for */
  signal?: AbortSignal;
  id?: string;
}

interface Waiting {
  answer: (content: unknown, buffers: Buffers) => void;
  fail: (why: NoAnswer) => void;
  /** counts the silence from now on */
  listen: () => void;
}

/** Seconds of silence until the page reports that the kernel does not answer. */
const PATIENCE = 8;

/** For answers whose failure the person has seen. */
export const ignore = (): void => undefined;

export class Requests {
  readonly #waiting = new Map<string, Waiting>();
  #gone: NoAnswer | null = null;

  constructor(
    private readonly send: (message: object, buffers: ArrayBuffer[]) => void,
    private readonly complain: (message: string, then: () => void) => void,
  ) {}

  request<T = null>(question: Question, { read, buffers = [], silence, seconds = PATIENCE, then = ignore, signal, id = identifier() }: Options<T> = {}): Promise<T | null> {
    return new Promise((done, fail) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
      };
      const waiting: Waiting = {
        answer: (content, came) => {
          end();
          done(read?.(content, came) ?? null);
        },
        fail: (why) => {
          end();
          fail(why);
        },
        listen: () => {
          clearTimeout(timer);
          if (silence) timer = setTimeout(() => this.complain(silence, then), seconds * 1000);
        },
      };
      if (this.#gone || signal?.aborted) {
        fail(this.#gone ?? new NoAnswer("cancelled", "taken back"));
        return;
      }
      this.#waiting.set(id, waiting);
      signal?.addEventListener("abort", () => waiting.fail(new NoAnswer("cancelled", "taken back")));
      waiting.listen();
      this.send({ ...question, id }, buffers);
    });
  }

  /** Something came from the kernel: the silence is counted anew. */
  heard(): void {
    for (const waiting of this.#waiting.values()) waiting.listen();
  }

  /** Takes a message, if it answers a question. */
  receive(content: unknown, buffers: Buffers): void {
    const { kind, id, message, hint } = content as Record<string, unknown>;
    const waiting = typeof id === "string" ? this.#waiting.get(id) : undefined;
    if (!waiting || STREAMED.has(kind)) return;
    if (kind === "error") waiting.fail(new NoAnswer("error", String(message), String(hint)));
    else if (kind === "dropped") waiting.fail(new NoAnswer("dropped", "a newer one has taken its place"));
    else waiting.answer(content, buffers);
  }

  /** Nothing will be answered any more. */
  end(why: NoAnswer): void {
    this.#gone = why;
    for (const waiting of [...this.#waiting.values()]) waiting.fail(why);
  }
}

/** They carry the id of a run that has been answered by "done" when it was taken up. */
const STREAMED = new Set<unknown>(["progress", "partial", "result"]);

export function identifier(): string {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return Array.from(words, (w) => w.toString(36)).join("");
}
