// Line icons on a 16 px grid, drawn for this tool; they take the colour of the text around them. The editor adds its own (toolicons.ts).

export const PATHS: Record<string, string> = {
  close: "m4 4 8 8M12 4l-8 8",
  down: "m4 6 4 4 4-4",
  next: "m6 4 4 4-4 4",
  code: "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5",
  right: "m3 8.5 3.3 3.3L13 5",
  agrees: "M3.5 6h9M3.5 10h9",
  differs: "M3.5 6h9M3.5 10h9M10.5 3l-5 10",
  warning: "M8 2.5 14 13H2zM8 6.5v3M8 11.2v.1",
  pin: "M5.5 2.5h5L9.5 7l2.5 2.5H4L6.5 7zM8 9.5v4",
};

export function Icon({ name }: { name: string }) {
  return (
    <svg class="isi-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name === "wrong" ? "close" : name] ?? "M5 8a3 3 0 1 0 6 0a3 3 0 1 0-6 0"} />
    </svg>
  );
}
