// The notebook that a widget stands in: putting a cell below its own. JupyterLab and Notebook hand it to widgets; elsewhere there is none.
// Part of the editor.
const VIEW = "application/vnd.jupyter.widget-view+json";

interface Cell {
  toJSON(): { outputs?: { data?: Record<string, { model_id?: string } | undefined> }[] };
}
/** The used part of JupyterLab's shared model of a notebook. */
interface Notebook {
  cells: Cell[];
  insertCell(index: number, cell: { cell_type: "code"; source: string; metadata: object }): unknown;
}
interface Manager {
  context?: { model?: { readOnly?: boolean; sharedModel?: Partial<Notebook> } };
}

/** Puts code into a new cell below the one whose output the widget is; null where that cannot be. */
export function cellBelow([manager, id]: [manager: unknown, id: unknown]): ((source: string) => void) | null {
  const model = (manager as Manager | undefined)?.context?.model;
  const { cells, insertCell } = model?.sharedModel ?? {};
  if (!cells || !insertCell || model?.readOnly) return null;
  const at = !id ? -1 : cells.findIndex((cell) => cell.toJSON().outputs?.some(({ data }) => data?.[VIEW]?.model_id === id));
  return at < 0 ? null : (source) => insertCell.call(model?.sharedModel, at + 1, { cell_type: "code", source, metadata: { trusted: true } });
}
