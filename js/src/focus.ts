// The focus stays in the probe when a program takes it, or when the element that had it goes away (a deleted row, a closed list): it returns to the very
// element that had it. A person who moves it, by pointer or key, is never held back. No key pressed in here is the notebook's.

/** Milliseconds in which what goes away may choose where the focus belongs. */
const PAUSE = 50;
/** Milliseconds after a key in which a move of the focus is taken as the person's. */
const BY_KEY = 500;
/** If a host takes the focus this often within this number of milliseconds, it keeps it: two programs must not fight. */
const OFTEN = 3;
const SPAN = 1000;

export function keepFocus(root: HTMLElement, signal: AbortSignal): void {
  const page = root.ownerDocument;
  /** The person has put the focus in here, and not elsewhere since. */
  let here = false;
  /** The element in here that had the focus last. */
  let held: HTMLElement = root;
  /** The last key that may move the focus, and whether it was pressed in here. */
  let key: { event: KeyboardEvent; inside: boolean } | null = null;
  let returns: number[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** What the page has handled moves nothing. */
  const byPerson = (): boolean => key !== null && !(key.inside && key.event.defaultPrevented) && performance.now() - key.event.timeStamp < BY_KEY;
  const active = (): Element | null => (root.getRootNode() as Document | ShadowRoot).activeElement;
  /** Whether the focus is on nothing, or on what the probe stands in (the cell or notebook of a host), which nobody types into. */
  const taken = (element: Element | null): boolean => element === null || (element !== root && element.contains(root));
  const restore = (): void => {
    const now = performance.now();
    returns = [...returns.filter((time) => now - time < SPAN), now];
    if (returns.length > OFTEN) {
      here = false;
      return;
    }
    if (root.contains(held)) held.focus({ preventScroll: true });
    if (!root.contains(active())) root.focus({ preventScroll: true });
  };
  const look = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (here && root.isConnected && taken(active()) && !byPerson()) restore();
    }, PAUSE);
  };

  root.addEventListener(
    "focusin",
    ({ target }) => {
      here = true;
      held = target as HTMLElement;
      // JupyterLab's shortcuts are bound to whatever has the focus in a notebook: only its own attribute on that very element keeps them off.
      held.setAttribute("data-lm-suppress-shortcuts", "true");
    },
    { signal },
  );
  root.addEventListener(
    "focusout",
    ({ relatedTarget }) => {
      if (relatedTarget === null) look();
    },
    { signal },
  );
  page.addEventListener(
    "focusin",
    (event) => {
      const path = event.composedPath();
      if (!here || path.includes(root)) return;
      if (taken(path[0] as Element) && !byPerson()) restore();
      else here = false;
    },
    { signal },
  );
  page.addEventListener(
    "pointerdown",
    (event) => {
      if (!event.composedPath().includes(root)) here = false;
    },
    { capture: true, signal },
  );
  page.addEventListener(
    "keydown",
    (event) => {
      const moves = ["Tab", "Escape", "F6"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey;
      // Any other key comes after that move: what it makes go away takes nothing along.
      key = moves ? { event, inside: event.composedPath().includes(root) } : null;
    },
    { capture: true, signal },
  );
  const observer = new MutationObserver(look);
  observer.observe(root, { childList: true, subtree: true });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    observer.disconnect();
  });
}
