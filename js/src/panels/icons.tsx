// Line icons on a 16 px grid, drawn for this tool; they take the colour of the text around them.
import type { JSX } from "preact";

const PATHS: Record<string, JSX.Element> = {
  select: <path d="M4 2.5v10l2.7-2.6 1.8 3.9 1.7-.8-1.8-3.8h3.7z" />,
  box: <rect x="2.5" y="3.5" width="11" height="9" />,
  ellipse: <ellipse cx="8" cy="8" rx="5.8" ry="4.6" />,
  line: <path d="M3 13 13 3" />,
  arrow: <path d="M3 13 13 3M7.5 3H13v5.5" />,
  text: <path d="M3.5 5V3h9v2M8 3v10M6 13h4" />,
  noise: (
    <g fill="currentColor" stroke="none">
      <path d="M3 3h2v2H3zM9 2h2v2H9zM6 6h2v2H6zM11 7h2v2h-2zM2 9h2v2H2zM8 10h2v2H8zM5 12h2v2H5zM12 12h2v2h-2zM12 3.500h1.500v1.500H12z" />
    </g>
  ),
  undo: <path d="M6 3 3 6l3 3M3 6h6.500a3.500 3.500 0 0 1 0 7H6" />,
  redo: <path d="m10 3 3 3-3 3M13 6H6.500a3.500 3.500 0 0 0 0 7H10" />,
  trash: <path d="M3 4.500h10M6.500 4V2.500h3V4M4.500 4.500l.6 9h5.800l.6-9M6.800 7v4M9.200 7v4" />,
  gear: <path d="M2 4.500h6M11 4.500h3M2 11.500h3M8 11.500h6M9.500 2.800v3.400M6.500 9.800v3.400" />,
  open: <path d="M8 10.500V2.800M4.800 5.800 8 2.600l3.200 3.200M2.800 10v3.200h10.400V10" />,
  help: <path d="M5.800 6a2.200 2.200 0 1 1 3.100 2c-.6.3-.9.7-.9 1.400M8 11.800v.2" />,
  full: <path d="M2.500 6V2.500H6M10 2.500h3.500V6M13.500 10v3.500H10M6 13.500H2.500V10" />,
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  down: <path d="m4 6 4 4 4-4" />,
  right: <path d="m6 4 4 4-4 4" />,
  code: <path d="M5.500 4.500 2 8l3.500 3.500M10.500 4.500 14 8l-3.500 3.500" />,
  dice: <path d="M2.800 2.800h10.400v10.400H2.800zM5.500 5.500h.01M10.500 5.500h.01M8 8h.01M5.500 10.500h.01M10.500 10.500h.01" />,
  right_answer: <path d="m3 8.500 3.300 3.300L13 5" />,
  wrong_answer: <path d="m4 4 8 8M12 4l-8 8" />,
  warning: <path d="M8 2.500 14 13H2zM8 6.500v3M8 11.200v.1" />,
  search: <path d="M10.200 10.200 13.500 13.500M11.500 7a4.500 4.500 0 1 1-9 0 4.500 4.500 0 0 1 9 0z" />,
};

export function Icon({ name }: { name: string }) {
  return (
    <svg class="isi-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      {PATHS[name] ?? <circle cx="8" cy="8" r="3" />}
    </svg>
  );
}
