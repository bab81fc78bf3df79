// Numbers as people read them. Pure.

export const decimals = (x: number, digits = 2): string => x.toFixed(digits);

export const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Small numbers as what they are, and short: never 0.00, nor a row of zeros. */
export const probability = (p: number): string => (p >= 0.01 || p === 0 ? decimals(p) : p >= 0.001 ? p.toPrecision(1) : p.toExponential(0));

/** Whole seconds, minutes or hours, never less than a second. */
export function duration(seconds: number): string {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 100) return `${whole} s`;
  const minutes = Math.ceil(whole / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}
