// A field for a number. Part of the editor.
import { useRef } from "preact/hooks";
import { composing } from "../keys";
import { useFlush } from "./flush";

interface NumberProps {
  test: string;
  label: string;
  /** "": another number than is known here */
  value: number | "";
  low?: number;
  high?: number;
  step?: number;
  title?: string;
  onChange: (value: number) => void;
}

/** A number that is taken when it is complete and within its limits, else put back. */
export function NumberField({ test, label, value, low, high, step = 1, title, onChange }: NumberProps) {
  const field = useRef<HTMLInputElement>(null);
  const take = (): void => {
    const input = field.current;
    if (!input || input.value === String(value)) return;
    let next = input.valueAsNumber;
    if (!Number.isFinite(next)) next = Number.parseFloat(input.value);
    if (Number.isFinite(next)) {
      next = Math.min(Math.max(next, low ?? -Infinity), high ?? Infinity);
      if (step === 1) next = Math.round(next);
      input.value = String(next);
      if (next !== value) onChange(next);
    } else {
      input.value = String(value);
    }
  };
  useFlush(take);
  return (
    <label class="isi-number" title={title}>
      <span>{label}</span>
      <input
        ref={field}
        type="number"
        data-testid={test}
        value={value}
        min={low}
        max={high}
        step={step}
        onChange={take}
        onKeyDown={(event) => {
          // JupyterLab keeps a browser from taking a number on Enter.
          if (composing(event)) return;
          if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) take();
          else if (event.key === "Escape" && event.currentTarget.value !== String(value)) {
            event.currentTarget.value = String(value);
            event.stopPropagation();
          }
        }}
      />
    </label>
  );
}
