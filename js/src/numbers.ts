// Numbers as people read them. Pure.

export const decimals = (x: number, digits = 2): string => x.toFixed(digits);

export const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Small numbers as what they are, and short: never 0.00, nor a row of zeros. */
export const probability = (p: number): string => (p >= 0.01 || p === 0 ? decimals(p) : p >= 0.001 ? p.toPrecision(1) : p.toExponential(0));
