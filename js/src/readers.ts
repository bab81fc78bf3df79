// Readers are functions that take anything and give a value of one type, or null; none of them throws. These make readers of simple things, lists and
// records; what the kernel sends is read by read.ts and study/read.ts. Pure.
export type Reader<T> = (x: unknown) => T;
export type Dict = Record<string, unknown>;

export const isDict = (x: unknown): x is Dict => typeof x === "object" && x !== null && !Array.isArray(x);
export const isNumber = (x: unknown): x is number => typeof x === "number" && Number.isFinite(x);
export const present = <T>(x: T | null): x is T => x !== null;
export const tuple = (x: unknown, n: number): boolean => Array.isArray(x) && x.length === n && x.every(isNumber);

export const number: Reader<number | null> = (x) => (isNumber(x) ? x : null);
export const string: Reader<string | null> = (x) => (typeof x === "string" || isNumber(x) ? String(x) : null);
export const num = (otherwise: number): Reader<number> => (x) => number(x) ?? otherwise;
export const str = (otherwise: string): Reader<string> => (x) => string(x) ?? otherwise;
export const text = str("");
export const zero = num(0);
export const flag: Reader<boolean | null> = (x) => (typeof x === "boolean" ? x : null);
export const dict: Reader<Dict> = (x) => (isDict(x) ? x : {});
export const many = <T>(read: Reader<T | null>): Reader<T[]> => (x) => (Array.isArray(x) ? x.map((y) => read(y)).filter(present) : []);
export const strings = many((x) => (typeof x === "string" ? x : null));

export type Fields<T> = { [K in keyof T]-?: Reader<T[K]> };
const fields = <T>(spec: Fields<T>, x: Dict): T => {
  const result: Dict = {};
  for (const key in spec) result[key] = spec[key](x[key]);
  return result as T;
};
/** Null unless x is a record that `fit` accepts. */
export const shape = <T>(spec: Fields<T>, fit: (x: Dict) => boolean = () => true): Reader<T | null> => (x) => (isDict(x) && fit(x) ? fields(spec, x) : null);
/** Always a record: what is missing gets the fields' own defaults. */
export const filled = <T>(spec: Fields<T>): Reader<T> => (x) => fields(spec, dict(x));
