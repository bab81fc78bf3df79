// Small parts that the panels share: buttons that say why they are disabled, toggles, tips, pop-overs, numbers.
import { live } from "../live";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { float } from "../float";
import { observeSize, useView } from "../view";
import { identifier } from "../state/store";
import { Icon } from "./icons";

export { decimals, plural, probability } from "../numbers";

interface ButtonProps {
  test: string;
  label: string;
  icon?: string;
  /** shown as text beside the icon; without it the label is the tip */
  text?: ComponentChildren;
  pressed?: boolean;
  /** why it is disabled; absent: it is not */
  why?: string | false | null | undefined;
  kind?: "plain" | "primary" | "bare";
  expanded?: boolean;
  onClick: () => void;
}

export function Button({ test, label, icon, text, pressed, why, kind = "plain", expanded, onClick }: ButtonProps) {
  // aria-disabled instead of disabled: it can still be focused and hovered, and shows why.
  return (
    <button
      type="button"
      class={`isi-button isi-${kind}`}
      data-testid={test}
      title={why ? `${label}: ${why}` : text === undefined || label !== text ? label : undefined}
      aria-label={text === undefined ? label : undefined}
      aria-pressed={pressed}
      aria-disabled={why ? true : undefined}
      aria-expanded={expanded}
      onClick={() => {
        if (!why) onClick();
      }}
    >
      {icon && <Icon name={icon} />}
      {text !== undefined && <span>{text}</span>}
    </button>
  );
}

interface TipProps {
  test: string;
  term: ComponentChildren;
  /** absent: a dotted line under the term says that there is more to read */
  classes?: string;
  style?: Record<string, string>;
  /** the name of a mark without text */
  label?: string;
  children: ComponentChildren;
}

/** A term, or a mark, whose explanation shows on hover and focus. */
export function Tip({ test, term, classes = "", style, label, children }: TipProps) {
  const { root } = useView();
  const id = useMemo(() => `isi-${identifier()}`, []);
  const bubble = useRef<HTMLSpanElement>(null);
  const show = (event: Event): void => {
    if (bubble.current) float(bubble.current, event.currentTarget as Element, root, true);
  };
  return (
    <span class={`isi-tip ${classes}`} style={style} tabIndex={0} role={label ? "img" : undefined} aria-label={label} aria-describedby={id} data-testid={test} onPointerEnter={show} onFocus={show}>
      {term && <span class={classes ? undefined : "isi-term"}>{term}</span>}
      <span ref={bubble} class="isi-bubble" popover="manual" role="tooltip" id={id}>
        {children}
      </span>
    </span>
  );
}

interface PopoverProps {
  test: string;
  label: string;
  children: ComponentChildren;
  classes?: string;
  /** it is large: it may hide the button that opened it */
  cover?: boolean;
}

/** A panel over the rest, beside the button that it stands next to in the document; a press outside of it or Escape closes it. */
export const Popover = live(function Popover({ test, label, children, classes = "", cover = false }: PopoverProps) {
  const { screen, root } = useView();
  const panel = useRef<HTMLDivElement>(null);
  const focused = (): Element | null => (root.getRootNode() as Document | ShadowRoot).activeElement;
  // What opened it: read while it is drawn, since a field inside takes the focus before effects run.
  const opener = useMemo(focused, []);
  useLayoutEffect(() => {
    const element = panel.current;
    const anchor = element?.parentElement === root ? root.querySelector('.isi-header [aria-expanded="true"]') : element?.parentElement;
    if (!element || !anchor) return undefined;
    const view = root.ownerDocument.defaultView;
    let [width, height] = [0, 0];
    const place = (event?: Event): void => {
      // What scrolls inside of it moves nothing.
      if (event?.target instanceof Node && element.contains(event.target)) return;
      float(element, anchor, root, false, cover);
      [width, height] = [element.offsetWidth, element.offsetHeight];
    };
    // Not for a part of a pixel that the placing itself has changed: it would go on for ever.
    const grown = (): void => {
      if (Math.abs(element.offsetWidth - width) > 1 || Math.abs(element.offsetHeight - height) > 1) place();
    };
    place();
    // At once: a key pressed as soon as the list is seen must not go to the button that opened it.
    element.querySelector<HTMLElement>("[autofocus]")?.focus({ preventScroll: true });
    const stop = observeSize(element, grown);
    view?.addEventListener("scroll", place, true);
    view?.addEventListener("resize", place);
    return () => {
      stop();
      view?.removeEventListener("scroll", place, true);
      view?.removeEventListener("resize", place);
    };
  }, []);
  // Not after the next paint: a panel that is closed by then would keep the focus from its button.
  useLayoutEffect(() => {
    const outside = (event: PointerEvent): void => {
      const path = event.composedPath();
      const inside = path.some((node) => node === panel.current || (node instanceof Element && node.getAttribute("aria-expanded") === "true"));
      if (!inside) screen.popover.value = null;
    };
    const scope = root.ownerDocument;
    scope.addEventListener("pointerdown", outside, true);
    return () => {
      scope.removeEventListener("pointerdown", outside, true);
      // Keys still work in the probe after the focused element is removed.
      const active = focused();
      if (!active || active === scope.body || panel.current?.contains(active)) (root.contains(opener) ? (opener as HTMLElement) : root).focus({ preventScroll: true });
    };
  }, []);
  return (
    <div ref={panel} class={`isi-popover ${classes}`} popover="manual" role="dialog" aria-label={label} data-testid={test}>
      {children}
    </div>
  );
});

interface SectionProps {
  title: ComponentChildren;
  test: string;
  aside?: ComponentChildren;
  /** before there is a result: one line on what it will show and why one would want it */
  teach: string | false;
  /** a new result is coming in: meanwhile the section is at least as high as it was */
  busy?: boolean;
  children: ComponentChildren;
}

export function Section({ title, test, aside, teach, busy = false, children }: SectionProps) {
  const element = useRef<HTMLElement>(null);
  const height = useRef(0);
  if (!busy) height.current = 0;
  else height.current ||= element.current?.offsetHeight ?? 0;
  return (
    <section class="isi-section" data-testid={test} ref={element} aria-busy={busy} style={{ minHeight: height.current ? `${height.current}px` : "" }}>
      <header>
        <h3>{title}</h3>
        <div class="isi-aside">{aside}</div>
      </header>
      {teach ? <p class="isi-teach">{teach}</p> : children}
    </section>
  );
}
