// Small helpers of the editor for operations and other records. Pure.
import { isDrawing } from "./document";
import type { Operation } from "./protocol";

/** Whether a drawing is not to be moved or deleted by hand: locked, or not even seen. */
export const isKept = (op: Operation | undefined): boolean => op !== undefined && isDrawing(op) && (op.locked ?? op.hidden ?? false);

/** A record without some of its keys. */
export function omit<T extends object, K extends keyof T>(record: T, ...keys: K[]): Omit<T, K> {
  const rest = { ...record };
  for (const key of keys) Reflect.deleteProperty(rest, key);
  return rest;
}
