// A small picture from bytes; its object URL lives as long as it is shown.
import { useEffect, useState } from "preact/hooks";

export function Thumbnail({ data, size, alt }: { data: Uint8Array<ArrayBuffer> | null; size: number; alt: string }) {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    if (!data?.byteLength) {
      setUrl(null);
      return undefined;
    }
    const made = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [data]);
  return (
    <span class="isi-thumbnail" style={{ width: `${size}px`, height: `${size}px` }}>
      {url && <img src={url} alt={alt} draggable={false} />}
    </span>
  );
}
