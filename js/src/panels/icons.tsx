// Line icons on a 16 px grid, drawn for this tool; they take the colour of the text around them.

const PATHS: Record<string, string> = {
  select: "M4 2.5v10l2.7-2.6 1.8 3.9 1.7-.8-1.8-3.8h3.7z",
  box: "M2.5 3.5h11v9h-11z",
  ellipse: "M2.2 8a5.8 4.6 0 1 0 11.6 0a5.8 4.6 0 1 0-11.6 0",
  line: "M3 13 13 3",
  arrow: "M3 13 13 3M7.5 3H13v5.5",
  polygon: "M3 11.5 4.5 4l6-1.5 3 6-5 4.5z",
  freehand: "M5 12.5c-3-1-3-6 0-8.5s8-2 8.5 2-5 2.5-5 4.5 2 3.5-3.5 2z",
  blur: "M8 2.5c2.5 3 4 5 4 7a4 4 0 0 1-8 0c0-2 1.5-4 4-7zM6.2 9.5a2 2 0 0 0 1.8 2",
  pixelate: "M2.5 2.5h11v11h-11zM2.5 6.2h11M2.5 9.8h11M6.2 2.5v11M9.8 2.5v11",
  erase: "m6.5 13-4-4 6.5-6.5 4.5 4.5L7.5 13zM5.5 6l4.5 4.5M7.5 13H13",
  patch: "M2.5 2.5h7v7h-7zM6.5 11.5v2h7v-7h-2",
  picker: "m3 13 .7-2.7 5-5 2 2-5 5zM8 4.5 11.5 8M9.5 6l2-2.5a1.4 1.4 0 0 1 2 2L11 7.5",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  eye: "M1.8 8C4 4.5 12 4.5 14.2 8 12 11.5 4 11.5 1.8 8zM6.2 8a1.8 1.8 0 1 0 3.6 0 1.8 1.8 0 1 0-3.6 0",
  hidden: "M1.8 8C4 4.5 12 4.5 14.2 8 12 11.5 4 11.5 1.8 8zM3 13 13 3",
  lock: "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
  unlock: "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 4.8-.8",
  copy: "M5.5 5.5h8v8h-8zM5.5 10.5h-3v-8h8v3",
  text: "M3.5 5V3h9v2M8 3v10M6 13h4",
  noise: "M4 4h.01M10 3h.01M13 5.5h.01M7 7h.01M11.5 8.5h.01M3 10h.01M8.5 11h.01M5.5 13.5h.01M13 12.5h.01",
  undo: "M6 3 3 6l3 3M3 6h6.5a3.5 3.5 0 0 1 0 7H6",
  redo: "m10 3 3 3-3 3M13 6H6.5a3.5 3.5 0 0 0 0 7H10",
  trash: "M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5l.6 9h5.8l.6-9M6.8 7v4M9.2 7v4",
  gear: "M2 4.5h6M11 4.5h3M2 11.5h3M8 11.5h6M9.5 2.8v3.4M6.5 9.8v3.4",
  open: "M8 10.5V2.8M4.8 5.8 8 2.6l3.2 3.2M2.8 10v3.2h10.4V10",
  help: "M5.8 6a2.2 2.2 0 1 1 3.1 2c-.6.3-.9.7-.9 1.4M8 11.8v.2",
  full: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  close: "m4 4 8 8M12 4l-8 8",
  down: "m4 6 4 4 4-4",
  next: "m6 4 4 4-4 4",
  back: "m10 4-4 4 4 4",
  camera: "M2.5 5h2.7l1.2-1.8h3.2L10.8 5h2.7v7.8h-11zM5.6 8.7a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0-4.8 0",
  code: "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5",
  dice: "M2.8 2.8h10.4v10.4H2.8zM5.5 5.5h.01M10.5 5.5h.01M8 8h.01M5.5 10.5h.01M10.5 10.5h.01",
  right: "m3 8.5 3.3 3.3L13 5",
  agrees: "M3.5 6h9M3.5 10h9",
  differs: "M3.5 6h9M3.5 10h9M10.5 3l-5 10",
  warning: "M8 2.5 14 13H2zM8 6.5v3M8 11.2v.1",
  pin: "M5.5 2.5h5L9.5 7l2.5 2.5H4L6.5 7zM8 9.5v4",
  search: "M10.2 10.2 13.5 13.5M11.5 7a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0z",
};

export function Icon({ name }: { name: string }) {
  return (
    <svg class="isi-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name === "wrong" ? "close" : name] ?? "M5 8a3 3 0 1 0 6 0a3 3 0 1 0-6 0"} />
    </svg>
  );
}
