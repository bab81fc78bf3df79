// Small parts of the study's view: buttons that say why they are disabled, a choice out of a list, numbers as people read them.
import type { ComponentChildren } from "preact";
import { decimals } from "../numbers";
import type { Column } from "./read";

interface ButtonProps {
  test: string;
  label: string;
  text: ComponentChildren;
  primary?: boolean;
  pressed?: boolean;
  /** why it is disabled; absent: it is not */
  why?: string | false | null;
  onClick: () => void;
}

/** aria-disabled instead of disabled: it can still be focused and hovered, and shows why. */
export function Button({ test, label, text, primary = false, pressed, why, onClick }: ButtonProps) {
  return (
    <button
      type="button"
      class={primary ? "isi-button isi-primary" : "isi-button"}
      data-testid={test}
      title={why ? `${label}: ${why}` : label}
      aria-label={label}
      aria-pressed={pressed}
      aria-disabled={why ? true : undefined}
      onClick={() => {
        if (!why) onClick();
      }}
    >
      {text}
    </button>
  );
}

interface ChoiceProps {
  test: string;
  label: string;
  value: string;
  options: { value: string; text: string }[];
  why?: string | false;
  onChoose: (value: string) => void;
}

export function Choice({ test, label, value, options, why, onChoose }: ChoiceProps) {
  return (
    <label class="isi-choice">
      <span class="isi-muted">{label}</span>
      <select data-testid={test} value={value} disabled={Boolean(why)} title={why || undefined} onChange={(event) => onChoose(event.currentTarget.value)}>
        {options.map((option) => (
          <option key={option.value} value={option.value} selected={option.value === value}>
            {option.text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** With its unit, if it has one. */
export const named = ({ label, unit }: Column): string => (unit ? `${label} (${unit})` : label);

export const signed = (x: number): string => (Math.abs(x) < 0.005 ? "0.00" : `${x < 0 ? "−" : "+"}${decimals(Math.abs(x))}`);

/** Two digits that count. */
export const pace = (rate: number): string => (rate >= 10 ? rate.toFixed(0) : String(Number(rate.toPrecision(2))));

export const pvalue = (p: number): string => (p < 0.001 ? "p < .001" : `p ${p.toFixed(p < 0.1 ? 3 : 2).replace(/^0/, "")}`);
