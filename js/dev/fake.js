// A kernel that is none: answers the page as the real one does, with made-up numbers and a picture painted here.
const QUESTIONS = [
  ["Is there a red star?", "Yes", "object"],
  ["Is the large circle green?", "No", "attribute"],
  ["Is the blue square left of the red star?", "Yes", "relation"],
  ["How many triangles are there?", "2", "counting"],
  ["What colour is the pentagon?", "purple", "attribute"],
];

function canvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function scene(annotated) {
  const c = canvas(480, 480);
  const g = c.getContext("2d");
  g.fillStyle = "#f4f1ea";
  g.fillRect(0, 0, 480, 480);
  const star = (x, y, r) => {
    g.beginPath();
    for (let i = 0; i < 10; i++) {
      const a = -Math.PI / 2 + (i * Math.PI) / 5;
      const s = i % 2 ? r * 0.42 : r;
      g.lineTo(x + s * Math.cos(a), y + s * Math.sin(a));
    }
    g.fill();
  };
  g.fillStyle = "#c8372d";
  star(330, 150, 78);
  g.fillStyle = "#2f63b0";
  g.fillRect(60, 80, 110, 110);
  g.fillStyle = "#3f9a52";
  g.beginPath();
  g.arc(150, 345, 82, 0, 7);
  g.fill();
  g.fillStyle = "#e0b020";
  g.beginPath();
  g.moveTo(350, 290);
  g.lineTo(420, 420);
  g.lineTo(280, 420);
  g.fill();
  if (annotated) {
    g.fillStyle = "#000";
    g.font = "28px DejaVu Sans";
    g.fillText("star", 300, 60);
    g.fillText("square", 60, 70);
  }
  return c;
}

function paint(base, operations) {
  const c = canvas(base.width, base.height);
  const g = c.getContext("2d");
  g.drawImage(base, 0, 0);
  for (const o of operations) {
    g.fillStyle = g.strokeStyle = o.color ?? "#000";
    if (o.op === "box") {
      g.lineWidth = o.line_width;
      if (o.fill) g.fillRect(o.x, o.y, o.width, o.height);
      else g.strokeRect(o.x + o.line_width / 2, o.y + o.line_width / 2, o.width - o.line_width, o.height - o.line_width);
    } else if (o.op === "ellipse") {
      g.beginPath();
      g.ellipse(o.x + o.width / 2, o.y + o.height / 2, o.width / 2, o.height / 2, 0, 0, 7);
      if (o.fill) g.fill();
      else g.stroke();
    } else if (o.op === "line" || o.op === "arrow") {
      const [[x0, y0], [x1, y1]] = [o.start, o.end];
      const a = Math.atan2(y1 - y0, x1 - x0);
      const head = o.op === "arrow" ? 5 * o.width : 0;
      g.lineWidth = o.width;
      g.beginPath();
      g.moveTo(x0, y0);
      g.lineTo(x1 - head * Math.cos(a), y1 - head * Math.sin(a));
      g.stroke();
      if (head) {
        g.beginPath();
        g.moveTo(x1, y1);
        for (const s of [1, -1]) g.lineTo(x1 - head * Math.cos(a) + s * 2 * o.width * Math.sin(a), y1 - head * Math.sin(a) - s * 2 * o.width * Math.cos(a));
        g.fill();
      }
    } else if (o.op === "text") {
      g.font = `${o.size}px DejaVu Sans`;
      g.fillText(o.text, o.x, o.y + 0.928 * o.size);
    } else if (o.op === "noise") {
      const [x, y, w, h] = o.region ?? [0, 0, c.width, c.height];
      const image = g.getImageData(x, y, w, h);
      for (let i = 0; i < image.data.length; i++) {
        if (i % 4 === 3) continue;
        image.data[i] += 255 * o.sigma * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(6.283 * Math.random());
      }
      g.putImageData(image, x, y);
    }
  }
  return c;
}

async function jpeg(c) {
  const blob = await new Promise((done) => c.toBlob(done, "image/jpeg", 0.9));
  return new DataView(await blob.arrayBuffer());
}

async function thumb(c) {
  const small = canvas(96, 96);
  small.getContext("2d").drawImage(c, 0, 0, 96, 96);
  return jpeg(small);
}

const GIB = 2 ** 30;
const model = (name, family, billions, licence) => {
  const parameters = billions * 1e9;
  return { name, family, parameters, licence, memory: { none: 4 * parameters, int8: parameters + GIB, nf4: 0.56 * parameters + GIB } };
};
const MODELS = [
  { name: "embedded", family: "Embedded", parameters: 3.58e6, licence: "BSD-3-Clause", memory: { none: 14.3e6 } },
  model("llava-hf/llava-1.5-7b-hf", "LLaVA-1.5", 7.06, "llama2"),
  model("llava-hf/llava-1.5-13b-hf", "LLaVA-1.5", 13.35, "llama2"),
  model("llava-hf/llava-v1.6-mistral-7b-hf", "LLaVA-NeXT", 7.57, "apache-2.0"),
  model("llava-hf/llava-v1.6-34b-hf", "LLaVA-NeXT", 34.75, "apache-2.0"),
  model("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL", 3.75, "qwen-research"),
  model("HuggingFaceTB/SmolVLM-256M-Instruct", "SmolVLM", 0.256, "apache-2.0"),
];
const SAMPLES = ["No, there is no red star.", "No.", "No, there is no red star.", "Yes, there is a red star.", "There is no star that is red, as far as I can see from here."];

const tokens = (words) => words.map((text, i) => {
  const p = [0.71, 0.99, 0.82, 0.97, 0.64, 0.55, 0.93, 0.98, 0.9][i % 9];
  const others = [" Yes", " a", " one", " something", ""].map((other, j) => ({ text: other, logprob: Math.log((1 - p) * [0.5, 0.2, 0.1, 0.05, 0.02][j]) }));
  return { text, logprob: Math.log(p), alternatives: others };
});
const entropy = (name, label, value, low, high, maximum, unit, definition) => ({ name, label, value, low, high, scale: maximum ?? 2, unit, definition });

export class FakeModel {
  constructor() {
    this.listeners = [];
    this.key = 0;
    this.delay = 60;
    this.sent = [];
    this.traits = {
      observations: QUESTIONS.map(([question, answer, level], index) => ({ index, id: `scene-${index}`, question, answer, level })),
      observation_index: 0,
      document: { version: 1, operations: [], past: [], future: [] },
      settings: { samples: 10, temperature: 0.9, seed: 0, max_new_tokens: 64, strict_entailment: false },
      measures: [
        { name: "answer", title: "Answer", help: "Ask the model once.", by_default: true, unavailable: "" },
        { name: "uncertainty", title: "Uncertainty", help: "Sample several answers.", by_default: true, unavailable: "" },
        { name: "attention", title: "Attention", help: "Measure where the answer's attention goes.", by_default: true, unavailable: "" },
        { name: "words", title: "Length", help: "How long the answer is, in words: a measure of one's own, drawn from its columns.", by_default: true, unavailable: "" },
      ],
      status: { state: "idle", id: null, measures: [], stage: "", done: 0, total: 0, queued: 0 },
      error: null,
      trials: [],
      notes: {},
      shown: -1,
      model: { name: "embedded", note: "The embedded model knows rendered 2-D scenes and the question grammar of isi_widget only.", device: "cpu", parameters: 3_580_000, quantization: null, label: "embedded", unavailable: {} },
    };
  }
  get(name) { return this.traits[name]; }
  set(name, value) {
    this.traits[name] = structuredClone(value);
    this.emit(`change:${name}`);
    (this.dirty ??= new Set()).add(name);
  }
  save_changes() {
    const names = this.dirty ?? new Set();
    this.dirty = new Set();
    if (names.has("observation_index")) this.observe();
    else if (names.has("document")) setTimeout(() => this.render(), this.delay);
  }
  on(event, f) { this.listeners.push([event, f]); }
  off(event, f) { this.listeners = this.listeners.filter(([e, g]) => e !== event || g !== f); }
  emit(event, ...args) { for (const [e, f] of [...this.listeners]) if (e === event) f(...args); }
  put(name, value) {
    this.traits[name] = value;
    this.emit(`change:${name}`);
    // each trial travels in a trait of its own
    if (name === "trials") for (let at = 0; at < 50; at++) this.put(`_entry_${at}`, value[at] ?? null);
  }
  answer({ kind, id }, fields = {}, buffers = [], delay = 30) { setTimeout(() => this.emit("msg:custom", { kind, id, ...fields }, buffers), delay); }
  send(message) {
    this.sent.push(message);
    if (message.kind === "run") void this.run(message);
    if (message.kind === "models") this.answer(message, { models: MODELS, free: 11 * GIB, held: 0, device: "cpu" });
    if (message.kind === "editor") void fetch("/isi_widget/static/editor.js").then((r) => r.text()).then((text) => this.answer(message, { text }));
    if (["run", "load", "cancel", "note", "delete", "restore"].includes(message.kind)) this.answer({ kind: "done", id: message.id });
    if (message.kind === "note") this.put("notes", { ...this.traits.notes, [message.trial]: message.text });
    if (message.kind === "delete") {
      const rest = this.traits.trials.filter((trial) => trial.id !== message.trial);
      this.put("shown", rest.at(-1)?.id ?? -1);
      this.put("trials", rest);
    }
    if (message.kind === "restore") {
      const { view } = this.traits.trials.find((trial) => trial.id === message.trial);
      const { operations, past } = this.traits.document;
      this.put("document", { version: 1, operations: view.operations, past: [...past, { at: 0, remove: view.operations.length, insert: operations }], future: [] });
      this.put("shown", message.trial);
      void this.render();
    }
    if (message.kind === "export") this.answer(message, { name: `trials.${message.format}`, type: "text/plain" }, [new DataView(new Uint8Array([123, 125]).buffer)]);
    if (message.kind === "load") void this.load(message);
    if (message.kind === "cancel") { this.cancelled = true; this.put("status", { ...this.traits.status, state: "cancelling" }); }
    if (message.kind === "code") this.answer(message, { text: "import isi_widget as isi\n\nobs = isi.datasets.scenes()[0]\ns = obs.stimulus()\ns = s.box(252, 72, 156, 156, color=\"#000000\")\n" });
  }
  async load({ id, name, quantization }) {
    this.cancelled = false;
    const status = { state: "running", id, measures: ["load"], stage: "model", total: 100, queued: 0 };
    const idle = { ...status, state: "idle", id: null, stage: "", done: 0, total: 0 };
    for (let done = 0; done <= 100; done += 2) {
      if (this.cancelled) return this.put("status", idle);
      this.put("status", { ...status, done });
      await new Promise((go) => setTimeout(go, this.hold ? 1e6 : 60));
    }
    const { parameters } = MODELS.find((entry) => entry.name === name) ?? { parameters: null };
    const missing = name.includes("Qwen") ? { attention: "its layers do not take a recorder." } : {};
    this.put("model", { name, note: "", device: "cpu", parameters, quantization, label: [name, quantization].filter(Boolean).join(" "), unavailable: missing });
    this.put("status", idle);
  }
  observe() {
    const row = this.traits.observations[this.traits.observation_index];
    this.put("observation", { ...row, context: "", width: 480, height: 480, image_presets: ["natural", "annotated", "random"], context_presets: ["empty", "complementary", "contradictory", "random"] });
    this.put("document", { version: 1, operations: [], past: [], future: [] });
    return this.render();
  }
  async render() {
    const { operations } = this.traits.document;
    const last = (kind) => operations.findLast((o) => o.op === kind);
    const preset = last("image")?.preset ?? "natural";
    const texts = { empty: "", complementary: "A red star is in the upper right of the picture.", contradictory: "Nothing in the picture is red, and there are no stars.", random: "The pentagon is below the grey circle." };
    const context = last("context");
    const base = scene(preset === "annotated");
    this.picture = paint(base, operations);
    const key = `k${++this.key}`;
    const facts = { width: 480, height: 480, image_width: 480, image_height: 480, key };
    const row = this.traits.observation;
    this.inputs = {
      context: context ? (context.text ?? texts[context.preset]) : "", question: last("question")?.text ?? row.question,
      truth: preset === "random" || last("question") ? null : row.answer, image_preset: preset, context_preset: context ? context.preset : "empty", key,
    };
    this.put("inputs", this.inputs);
    this.put("base_preview", { ...facts, data: await jpeg(base) });
    this.put("preview", { ...facts, data: await jpeg(this.picture) });
  }
  async run({ id, measures }) {
    this.cancelled = false;
    const stages = measures.flatMap((w) => (w === "uncertainty" ? ["samples", "clusters"] : [w]));
    const status = { state: "running", id, measures, stage: "", done: 0, total: 0, queued: 0 };
    const said = { answer: null, samples: [] };
    for (const stage of stages) {
      for (let done = 0; done <= 10; done++) {
        if (this.cancelled) return this.put("status", { ...status, state: "idle", id: null });
        this.put("status", { ...status, stage, done, total: 10 });
        if (stage === "answer") said.answer = "No, there is no red star in the upper right.".slice(0, 5 * done);
        if (stage === "samples" && done > 0) said.samples.push(SAMPLES[done % SAMPLES.length]);
        this.emit("msg:custom", { kind: "partial", id, ...said }, []);
        if (this.stopAt === `${stage} ${done}`) return;
        await new Promise((go) => setTimeout(go, this.hold ? 1e6 : 40));
      }
    }
    await this.finish(measures);
    this.put("status", { ...status, state: "idle", id: null });
    this.emit("msg:custom", { kind: "result", id, trial: this.traits.shown }, []);
  }
  async finish(measures) {
    const n = (this.traits.trials.at(-1)?.id ?? 0) + 1;
    const wrong = this.traits.document.operations.length > 0;
    const { context, question, truth, image_preset, context_preset, key } = this.inputs;
    const view = {
      question, context, truth, image_preset, context_preset, operations: this.traits.document.operations, model: "embedded",
      notes: this.notes ?? [],
      settings: this.traits.settings, seconds: { answer: 0.08, samples: 0.2, clusters: 0.05, attention: 0.04, total: 0.37 }, code: "isi.run_trial(vlm, s)",
      answer: measures.includes("answer") ? {
        text: wrong ? "No, there is no red star." : "Yes, I can see a red star.", correct: truth === null ? null : !wrong,
        tokens: tokens(wrong ? ["No", ",", " there", " is", " no", " red", " star", "."] : ["Yes", ",", " I", " can", " see", " a", " red", " star", "."]),
        yes_no: wrong ? { yes: 0.27, no: 0.71, rest: 0.02 } : { yes: 0.97, no: 0.03, rest: 0.0 },
      } : null,
      uncertainty: measures.includes("uncertainty") ? {
        samples: 10, temperature: 0.9,
        entropies: [
          entropy("semantic_entropy", "Semantic entropy", 0.61, 0.33, 0.69, 2.303, "nats", "Entropy over groups of answers that mean the same, each weighted by its likelihood. Low does not mean true: a model can be sure and wrong."),
          entropy("discrete_semantic_entropy", "Discrete semantic entropy", 0.67, 0.32, 0.69, 2.303, "nats", "The same with each group weighted by its count."),
          entropy("predictive_entropy", "Predictive entropy", 0.76, 0.51, 1.02, null, "nats/token", "Mean negative log-likelihood per token of the sampled answers; also counts mere wording."),
          entropy("rao_quadratic_entropy", "Rao's quadratic entropy", 0.42, 0.18, 0.5, 0.9, "", "Expected distance in meaning between two answers drawn at random."),
        ],
        clusters: [
          { id: 0, name: "No, there is no red star.", count: 7, probability: 0.71, answers: [{ text: "No, there is no red star.", count: 5 }, { text: "No.", count: 2 }] },
          { id: 1, name: "Yes, there is a red star.", count: 3, probability: 0.29, answers: [{ text: "Yes, there is a red star.", count: 3 }] },
        ],
        curve: {
          label: "Semantic entropy", unit: "nats", samples: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], definition: "Semantic entropy as it would have come out of fewer of these 10 answers.",
          mean: [0, 0.32, 0.45, 0.51, 0.55, 0.57, 0.585, 0.595, 0.604, 0.61], low: [0, 0, 0, 0, 0, 0.2, 0.4, 0.44, 0.52, 0.61], high: [0, 0.69, 0.69, 0.69, 0.69, 0.69, 0.68, 0.66, 0.64, 0.61],
        },
      } : null,
      attention: measures.includes("attention") ? {
        segments: ["image", "context", "question", "other"],
        absolute: { image: 0.24, context: context ? 0.31 : 0, question: context ? 0.14 : 0.29, other: context ? 0.31 : 0.47 },
        relative: { image: context ? 0.35 : 0.45, context: context ? 0.45 : 0, question: context ? 0.2 : 0.55 },
        token_counts: { image: 256, context: context ? 11 : 0, question: 7, other: 15 }, modality_dominance_index: 6.4,
        by_layer: [0.1, 0.18, 0.3, 0.42, 0.33, 0.25].map((image) => ({ image, context: context ? 0.25 : 0.05, question: 0.15, other: 1 - image - 0.15 - (context ? 0.25 : 0.05) })),
        by_head: [0.1, 0.18, 0.3, 0.42, 0.33, 0.25].map((image, layer) => Array.from({ length: 8 }, (_, head) => Math.min(0.95, image * (0.3 + ((layer * 5 + head * 7) % 11) / 6)))),
        by_token: Array.from({ length: 9 }, (_, i) => ({ image: 0.1 + 0.04 * i, context: context ? 0.3 : 0, question: 0.2, other: (context ? 0.4 : 0.7) - 0.04 * i })),
      } : null,
      measures: measures.includes("words") ? [{
        name: "words", title: "Length", help: "How long the answer is, in words: a measure of one's own, drawn from its columns.",
        columns: [
          { name: "words", label: "Words", unit: "words", value: 6, text: "6", interval: [4, 9], scale: 20, definition: "Number of words of the answer; contractions count as one." },
          { name: "tone", label: "Tone", unit: "", value: null, text: "calm and assertive", interval: null, scale: null, definition: "" },
          { name: "hedged", label: "Hedged", unit: "", value: 0, text: "no", interval: null, scale: null, definition: "Whether a hedging word occurs." },
        ],
      }] : [],
      averages: {
        semantic_entropy: { mean: 0.31, percentile: 83 }, discrete_semantic_entropy: { mean: 0.33, percentile: 81 }, predictive_entropy: { mean: 0.5, percentile: 78 }, rao_quadratic_entropy: null, clusters: { mean: 1.4, percentile: 74 },
        attention_absolute: { image: 0.3, context: 0, question: 0.24, other: 0.46 }, attention_relative: { image: 0.55, context: 0, question: 0.45 },
        note: "Averages of 200 observations (scenes validation), 10 samples at temperature 0.9, 2026-11-01.",
      },
    };
    this.put("trials", [...this.traits.trials, { id: n, key, view, thumbnail: await thumb(this.picture) }]);
    this.put("shown", n);
  }
  async start(state) {
    await this.observe();
    if (state === "empty") return;
    const all = ["answer", "uncertainty", "attention", "words"];
    await this.finish(all);
    const edit = async (...operations) => {
      this.traits.document = { version: 1, operations, past: [{ at: 0, remove: 1, insert: [] }], future: [] };
      await this.render();
    };
    const box = { op: "box", x: 252, y: 72, width: 156, height: 150, color: "#000000", fill: true, line_width: 3 };
    await edit({ op: "context", preset: "contradictory", seed: null });
    await this.finish(all);
    const more = [box, { op: "arrow", start: [60, 440], end: [118, 380], color: "#e41a1c", width: 5 }, { op: "text", x: 30, y: 20, text: "a blue square", size: 26, color: "#000000" }, { op: "noise", sigma: 0.25, seed: 3, region: [260, 270, 180, 170] }];
    await edit({ op: "context", preset: "contradictory", seed: null }, ...more);
    await this.finish(all);
    if (state === "stale") await edit(box);
    if (state === "error") this.put("error", { message: "The model failed: CUDA out of memory (2.1 GiB wanted).", hint: "Free memory, use quantization=\"nf4\", or fewer samples; then run again.", id: "x" });
    if (state === "running") { this.hold = true; void this.run({ id: "r", what: all }); }
    if (state === "streaming" || state === "answering") { this.stopAt = state === "streaming" ? "samples 8" : "answer 6"; void this.run({ id: "r", what: all }); }
    if (state === "loading") { this.hold = true; void this.load({ id: "l", name: "llava-hf/llava-1.5-7b-hf", quantization: "nf4" }); }
    if (state === "switched") { await this.load({ id: "l", name: "Qwen/Qwen2.5-VL-3B-Instruct", quantization: "nf4" }); }
    if (state === "notes") { this.notes = ["attention is not available: its layers do not take a recorder."]; await this.finish(["answer", "uncertainty"]); }
  }
}
