// The font of texts on the picture: the kernel's own once it has been fetched, a similar one until then.
export const fontName = "isi DejaVu Sans";
export const FONT = `"${fontName}", "DejaVu Sans", Verdana, "Bitstream Vera Sans", sans-serif`;
