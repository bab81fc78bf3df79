// A number against how many samples it is made of: a line of means with a band around it. Hand-made SVG that fills its box.
import type { CurveView } from "../protocol";
import { decimals } from "../numbers";

export function Curve({ curve: { samples, mean, low, high, scale, label, unit } }: { curve: CurveView }) {
  const first = samples[0] ?? 0;
  const last = samples.at(-1) ?? 1;
  const at = (values: number[]) => samples.map((n, i) => `${(100 * (n - first)) / (last - first || 1)} ${100 * (1 - Math.min(1, (values[i] ?? 0) / scale))}`);
  const end = mean.at(-1) ?? 0;
  return (
    <svg
      class="isi-curve"
      role="img"
      aria-label={`${label} by number of samples: ${decimals(mean[0] ?? 0)} of ${first}, ${decimals(end)} ${unit} of ${last}`}
      viewBox="0 0 100 100"
      preserveAspectRatio="none"
    >
      <line class="isi-axis" x1="0" x2="100" y1="100" y2="100" />
      <path class="isi-band" d={`M${[...at(low), ...at(high).reverse()].join("L")}Z`} />
      <path class="isi-line" d={`M${at(mean).join("L")}`} />
    </svg>
  );
}
