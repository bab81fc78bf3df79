// A picture from the camera, where there is one. It travels as a file does (upload.ts).
import { live, useSignal } from "../live";
import { useEffect, useRef } from "preact/hooks";
import { accept } from "../upload";
import { useView } from "../view";
import { Button, Popover } from "./parts";

/** Only of pages that may ask for it: of https and of this machine. */
const devices = (): MediaDevices | undefined => (navigator as Partial<Navigator>).mediaDevices;

export const CameraButton = live(function CameraButton() {
  const { screen } = useView();
  const there = useSignal(false);
  useEffect(() => {
    const found = devices();
    const look = (): void => void found?.enumerateDevices().then((all) => (there.value = all.some(({ kind }) => kind === "videoinput")), () => undefined);
    look();
    found?.addEventListener("devicechange", look);
    return () => found?.removeEventListener("devicechange", look);
  }, []);
  const open = screen.popover.value === "camera";
  if (!there.value) return null;
  return (
    <div class="isi-anchor">
      <Button test="camera" label="Take a picture with the camera" icon="camera" text="Camera" expanded={open} onClick={() => screen.toggle("camera")} />
      {open && <Camera />}
    </div>
  );
});

const Camera = live(function Camera() {
  const { screen, store } = useView();
  const video = useRef<HTMLVideoElement>(null);
  const ready = useSignal(false);
  useEffect(() => {
    let stream: MediaStream | null = null;
    let gone = false;
    const end = (): void => {
      gone = true;
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
    const begin = async (): Promise<void> => {
      try {
        const found = await devices()?.getUserMedia({ video: { width: { ideal: 1920 }, facingMode: "environment" } });
        stream = found ?? null;
        if (gone) end();
        if (!video.current || !stream) return;
        video.current.srcObject = stream;
        await video.current.play();
      } catch (error) {
        if (gone) return;
        screen.popover.value = null;
        const refused = error instanceof Error && error.name === "NotAllowedError";
        store.fail(refused ? "The browser did not allow the camera." : "The camera does not start: it may be in use elsewhere.", refused ? "Allow it for this page, beside the address, or open an image file." : "Close what uses it, or open an image file.");
      }
    };
    void begin();
    return end;
  }, []);
  const take = (): void => {
    const source = video.current;
    if (!source) return;
    const canvas = document.createElement("canvas");
    canvas.width = source.videoWidth;
    canvas.height = source.videoHeight;
    canvas.getContext("2d")?.drawImage(source, 0, 0);
    canvas.toBlob(
      (blob) => {
        if (blob) void accept(new File([blob], "camera.jpg", { type: blob.type }), store);
      },
      "image/jpeg",
      0.95,
    );
    screen.popover.value = null;
  };
  return (
    <Popover test="camera-panel" label="Camera" classes="isi-camera">
      <video ref={video} muted playsInline data-testid="camera-video" onLoadedData={() => (ready.value = true)} />
      <Button test="camera-take" label="Take the picture" text="Take the picture" kind="primary" why={!ready.value && "the camera is starting"} onClick={take} />
    </Popover>
  );
});
