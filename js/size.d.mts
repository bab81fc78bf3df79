export const LIMITS: Record<"widget.js" | "study.js", { bytes: number; gzip: number }>;
export function sizeOf(contents: Uint8Array): { bytes: number; gzip: number };
export function tooLarge(contents: Uint8Array, name: string): string[];
