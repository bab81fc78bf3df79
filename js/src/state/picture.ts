// Decoding of previews: bytes from a trait become something that a canvas can draw. The newest wins; nothing is shown half decoded.
import type { Signal } from "@preact/signals-core";
import type { Preview, Rectangle } from "../protocol";

export interface Picture {
  source: CanvasImageSource;
  /** size of what arrived, and of the original image that all coordinates refer to */
  width: number;
  height: number;
  image: { width: number; height: number };
  key: string;
}

/** A part of the picture, decoded. */
export interface Detail {
  source: CanvasImageSource;
  region: Rectangle;
  /** of the picture that it is a part of */
  key: string;
}

export class PictureLoader {
  private turn = 0;

  constructor(private readonly target: Signal<Picture | null>) {}

  async load(preview: Preview | null, then: () => void = () => undefined): Promise<void> {
    const turn = ++this.turn;
    if (!preview) {
      this.target.value = null;
      return;
    }
    const source = await decode(preview.data);
    if (turn !== this.turn || !source) return;
    const { width, height, image_width, image_height, key } = preview;
    this.target.value = { source, width, height, image: { width: image_width, height: image_height }, key };
    then();
  }

  close(): void {
    this.turn += 1;
  }
}

export async function decode(data: Uint8Array<ArrayBuffer>): Promise<CanvasImageSource | null> {
  const blob = new Blob([data]);
  try {
    return await createImageBitmap(blob);
  } catch {
    return null; // not an image: the last picture stays
  }
}
