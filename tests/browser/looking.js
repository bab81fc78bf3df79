// What the browser tests ask of a probe's root element: pure looks at the page, which change nothing but a marker of their own.
({
  /** axe-core's violations inside the root, one line each. */
  async violations(root) {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const found = await axe.run(root, { resultTypes: ['violations'], runOnly: { type: 'tag', values: tags } });
    return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 200)} ${n.failureSummary}`));
  },

  /** Names of everything that Tab should reach, in the order of the document; each is marked with its number. */
  stops(root) {
    return [root, ...root.querySelectorAll('button, input, textarea, select, a[href], [tabindex]')]
      .filter((e) => e.tabIndex >= 0 && e.getClientRects().length > 0)
      .map((e, i) => {
        e.dataset.stop = i;
        return e.dataset.testid ?? e.getAttribute('class');
      });
  },

  /** Where the focus is, and whether one sees it: a whole ring (on the root its border) on something not transparent. */
  focused(root) {
    const e = root.getRootNode().activeElement;
    if (!root.contains(e)) return null;
    let [ring, opacity] = [e, 1];
    for (let n = e; n !== root.parentElement; n = n.parentElement) opacity *= getComputedStyle(n).opacity;
    if (opacity < 0.4) [ring, opacity] = [e.parentElement, 1]; // a native control under a drawn one, which has the ring
    const style = getComputedStyle(ring);
    let seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
    const [r, by] = [ring.getBoundingClientRect(), parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset) - 0.5];
    for (let n = ring.parentElement; n !== root.parentElement; n = n.parentElement) {
      if (getComputedStyle(n).overflow === 'visible') continue;
      const c = n.getBoundingClientRect();
      if (r.left - by < c.left || r.right + by > c.right || r.top - by < c.top || r.bottom + by > c.bottom) seen = false;
    }
    return { stop: Number(e.dataset.stop), seen: seen || e === root, name: e.dataset.testid ?? e.getAttribute('class') };
  },

  /** Boxes and lines of text that stick out of the root to the left or right, as far as nothing cuts them off. */
  sticksOut(root) {
    const [frame, out] = [root.getBoundingClientRect(), []];
    const seen = (element, box) => {
      let { left, right } = box;
      for (let n = element; n !== root; n = n.parentElement) {
        const style = getComputedStyle(n);
        if (style.display === 'none' || style.visibility === 'hidden' || style.clipPath !== 'none') return null;
        if (style.overflowX === 'visible') continue;
        const clip = n.getBoundingClientRect();
        [left, right] = [Math.max(left, clip.left), Math.min(right, clip.right)];
      }
      return left < right ? [left, right] : null;
    };
    const look = (element, box, what) => {
      const found = box.width > 0 && box.height > 0 ? seen(element, box) : null;
      if (!found || (found[0] >= frame.left - 0.5 && found[1] <= frame.right + 0.5)) return;
      const [left, right] = found.map((x) => Math.round(x - frame.left));
      out.push(`${what} from ${left} to ${right} of ${Math.round(frame.width)}`);
    };
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) {
        const range = document.createRange();
        range.selectNodeContents(node);
        const what = `"${node.data.slice(0, 40)}"`;
        for (const box of range.getClientRects()) look(node.parentElement, box, what);
      } else if (!(node instanceof SVGElement) || node instanceof SVGSVGElement) {
        const what = `<${node.localName} class="${node.getAttribute('class')}"> ${node.dataset.testid ?? ''}`;
        look(node, node.getBoundingClientRect(), what);
      }
    }
    if (root.scrollWidth > root.clientWidth + 1) out.push(`the root scrolls: ${root.scrollWidth} > ${root.clientWidth}`);
    return out;
  },

  /** Controls and lines of text that lie on one another; while a pop-over is open, only those in it. */
  overlaps(root) {
    const over = root.querySelector('.isi-popover') ?? root;
    const shown = (e, box) => {
      let { left, top, right, bottom } = box;
      for (let n = e; n !== root.parentElement; n = n.parentElement) {
        if (getComputedStyle(n).overflow === 'visible') continue;
        const c = n.getBoundingClientRect();
        [left, top] = [Math.max(left, c.left), Math.max(top, c.top)];
        [right, bottom] = [Math.min(right, c.right), Math.min(bottom, c.bottom)];
      }
      return { left, top, right, bottom };
    };
    // Beside the text of a field, in its padding, something else may stand.
    const room = (e) => {
      const { left, top, right, bottom } = e.getBoundingClientRect();
      const { paddingLeft, paddingRight } = getComputedStyle(e);
      return e.matches('textarea') ? { left: left + parseFloat(paddingLeft), top, right: right - parseFloat(paddingRight), bottom } : { left, top, right, bottom };
    };
    const controls = [...over.querySelectorAll('button, input, textarea, select, label, .isi-tip')]
      .filter((e) => e.getClientRects().length > 0 && e.checkVisibility() && !e.closest('.isi-stage')) // closed details have boxes
      .map((e) => [e, room(e), e.dataset.testid ?? e.className]);
    const texts = [];
    const walker = document.createTreeWalker(over, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (!node.parentElement.checkVisibility() || node.parentElement.closest('.isi-stage, .isi-spoken, .isi-bubble, textarea, select')) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) texts.push([node.parentElement, box, `"${node.data.slice(0, 30)}"`]);
    }
    const all = [...controls, ...texts]
      .map(([e, box, name]) => [e, shown(e, box), name])
      .filter(([, r]) => r.right - r.left > 1 && r.bottom - r.top > 1);
    return all.flatMap(([a, p, name], i) =>
      all
        .slice(0, i)
        .filter(([b, q]) => {
          if (a.contains(b) || b.contains(a)) return false;
          const width = Math.min(p.right, q.right) - Math.max(p.left, q.left);
          return width > 1 && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 2;
        })
        .map(([, , other]) => `${name} lies on ${other}`),
    );
  },

  /** The direction of an element's text, and whether the text begins at that side. */
  direction(e) {
    const range = document.createRange();
    range.selectNodeContents(e);
    const [text, box] = [range.getBoundingClientRect(), e.getBoundingClientRect()];
    const { direction, paddingLeft, paddingRight } = getComputedStyle(e);
    const gap = direction === 'rtl' ? box.right - parseFloat(paddingRight) - text.right : text.left - box.left - parseFloat(paddingLeft);
    return [direction, e.matches('textarea') || gap < 12];
  },

  /** Pairs of parts, by their data-testid, that look alike. */
  alike(root, pairs) {
    const look = (name) => {
      const s = getComputedStyle(root.querySelector(`[data-testid="${name}"]`));
      return [s.backgroundColor, s.borderTopColor, s.borderTopWidth, s.outlineStyle, s.outlineColor, s.color].join();
    };
    return pairs.filter(([one, other]) => look(one) === look(other)).map(([one, other]) => `${one} is like ${other}`);
  },

  /** Animations that run. */
  moving(root) {
    return root.getAnimations({ subtree: true }).filter((a) => a.playState === 'running').length;
  },

  /** What is in the root and could only have come from markup in a text, or be the trace of it. */
  injected(root) {
    const bad = 'script, style, iframe, object, embed, link, base, form, a, [onerror], [onload], [onclick], [srcdoc]';
    const images = [...root.querySelectorAll('img')].filter((e) => !/^(blob:|data:image\/(jpeg|png);base64,)/.test(e.src));
    return [...root.querySelectorAll(bad), ...images].map((e) => e.outerHTML.slice(0, 120));
  },
})
