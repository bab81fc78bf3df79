// What a key means in a shortcut, on any keyboard layout.
//
// Latin layouts (QWERTY, AZERTY, QWERTZ, Dvorak, ...): the letter or sign that is typed, wherever its key is. Other scripts (Cyrillic, Greek, Hebrew,
// Arabic, Korean, ...) have no such letter: there it is the key's place, named after the US layout, as the systems' own shortcuts do it.

/** Signs by their place on the US layout, plain and with Shift. */
const PLACES: Record<string, [string, string]> = {
  BracketLeft: ["[", "{"],
  BracketRight: ["]", "}"],
  Backslash: ["\\", "|"],
  Equal: ["=", "+"],
  Minus: ["-", "_"],
  Slash: ["/", "?"],
};

/** Signs that are shortcuts of their own, wherever they are typed. */
const SIGNS = "[]\\?=+-";

/** The key as a shortcut names it: a lower-case letter, a digit, a sign, or the name of a key such as "Escape". */
export function meant({ key, code, shiftKey }: KeyboardEvent): string {
  if (Array.from(key).length !== 1) return key;
  // The keys of the digits type other signs on French and Czech keyboards, and the digit with Shift.
  const digit = shiftKey ? undefined : /^Digit(\d)$/.exec(code)?.[1];
  if (digit && !/^[0-9a-z]$/i.test(key) && !SIGNS.includes(key)) return digit;
  const foreign = /[\p{L}\p{M}\p{Nd}]/u.test(key) && !/[\p{Script=Latin}0-9]/u.test(key);
  if (!foreign) return key.toLowerCase();
  const place = /^(?:Key|Digit)(\w)$/.exec(code)?.[1];
  return place?.toLowerCase() ?? PLACES[code]?.[shiftKey ? 1 : 0] ?? key.toLowerCase();
}

/** Keys that an input method takes to compose a text: nobody else's, Escape and Enter too. 229 says so where `isComposing` has ended already. */
// eslint-disable-next-line @typescript-eslint/no-deprecated
export const composing = (event: KeyboardEvent): boolean => event.isComposing || event.keyCode === 229;

/** The modifiers that make a shortcut; those that only type a sign (AltGr, which Windows reports as Ctrl+Alt, and Option on a Mac) do not count. */
export function modifiers(event: KeyboardEvent): { command: boolean; alt: boolean } {
  const graph = event.getModifierState("AltGraph");
  const command = (event.ctrlKey || event.metaKey) && !graph;
  const sign = /^[^\p{L}\p{N}\s]$/u.test(event.key);
  return { command, alt: event.altKey && !graph && (command || !sign) };
}
