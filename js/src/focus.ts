// The focus stays in the probe when what had it goes away (a deleted row, a closed list), and no key pressed there is the notebook's.

/** Milliseconds. */
const PAUSE = 50;

export function keepFocus(root: HTMLElement, signal: AbortSignal): void {
  /** The user has put the focus in here, and has not put it elsewhere. */
  let here = false;
  const home = (): Document | ShadowRoot => root.getRootNode() as Document | ShadowRoot;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** A moment later: what goes away may know better where the focus belongs. */
  const look = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const active = home().activeElement;
      if (here && root.isConnected && !(active && root.contains(active))) root.focus({ preventScroll: true });
    }, PAUSE);
  };
  root.addEventListener(
    "focusin",
    ({ target }) => {
      here = true;
      // JupyterLab's shortcuts are bound to whatever has the focus in a notebook: only its own attribute on that very element keeps them off.
      (target as Element).setAttribute("data-lm-suppress-shortcuts", "true");
    },
    { signal },
  );
  root.addEventListener(
    "focusout",
    ({ relatedTarget }) => {
      if (relatedTarget === null) look();
      else here = root.contains(relatedTarget as Node);
    },
    { signal },
  );
  root.ownerDocument.addEventListener(
    "pointerdown",
    (event) => {
      if (!event.composedPath().includes(root)) here = false;
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
