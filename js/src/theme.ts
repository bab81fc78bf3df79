// Light or dark, as the surroundings say: JupyterLab and Notebook set an attribute, VS Code and marimo a class; else the system's wish.

export function watchTheme(root: HTMLElement, signal: AbortSignal): void {
  const body = root.ownerDocument.body;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const update = (): void => {
    const jupyter = body.getAttribute("data-jp-theme-light");
    const classes = `${body.className} ${root.ownerDocument.documentElement.className}`;
    let dark = system.matches;
    if (jupyter !== null) dark = jupyter === "false";
    else if (/\b(vscode-dark|vscode-high-contrast|dark|dark-theme)\b/.test(classes)) dark = true;
    else if (/\b(vscode-light|light|light-theme)\b/.test(classes)) dark = false;
    root.dataset.theme = dark ? "dark" : "light";
  };
  update();
  const observer = new MutationObserver(update);
  observer.observe(body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light"] });
  observer.observe(root.ownerDocument.documentElement, { attributes: true, attributeFilter: ["class"] });
  system.addEventListener("change", update, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
}
