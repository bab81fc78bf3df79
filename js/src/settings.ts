// The settings of a run as isi_widget.Settings has them: settings.json is made of it by docs/make_settings.py. Pure; part of the editor.
import type { Settings, SettingValue } from "./protocol";
import schema from "./settings.json";

export interface Setting {
  name: string;
  kind: "integer" | "number" | "flag" | "choice";
  label: string;
  /** one sentence on what it is */
  help: string;
  unit: string;
  minimum: number | null;
  maximum: number | null;
  /** the minimum itself is too small */
  exclusive: boolean;
  step: number | null;
  choices: { value: string; help: string }[];
  default: SettingValue;
  /** it matters only while another setting has this value */
  when: { name: string; value: SettingValue } | null;
}

export const SCHEMA = schema as Setting[];
export const DEFAULTS: Settings = Object.fromEntries(SCHEMA.map((setting) => [setting.name, setting.default]));

/** What is set, with the defaults of what an older kernel does not send. */
export const complete = (settings: Settings): Settings => ({ ...DEFAULTS, ...settings });

/** The settings that differ from their defaults. */
export const changed = (settings: Settings): string[] => Object.keys(DEFAULTS).filter((name) => settings[name] !== DEFAULTS[name]);

export const matters = ({ when }: Setting, settings: Settings): boolean => when === null || settings[when.name] === when.value;

/** The smallest and the largest number that a field takes: whole numbers up to what a browser counts exactly. */
export function limits({ minimum, maximum, exclusive, step }: Setting): { low?: number; high?: number; step: number } {
  const by = step ?? 1;
  return {
    ...(minimum !== null && { low: exclusive ? minimum + by : minimum }),
    ...(maximum !== null && { high: Math.min(maximum, Number.MAX_SAFE_INTEGER) }),
    step: by,
  };
}
