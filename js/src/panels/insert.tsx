// A picture for an edit: a file, or the picture of another observation. To be inserted, or as a texture.
import { live } from "../live";
import { useRef } from "preact/hooks";
import { middlePlace } from "../objects";
import type { KeptPicture } from "../protocol";
import { answersOf, askPicture } from "../state/kernel";
import { ignore } from "../state/requests";
import type { Popover as Name } from "../state/screen";
import { acceptPart } from "../upload";
import { useView, type View } from "../view";
import { Choices } from "./choices";
import { useThumbnails } from "./observations";
import { Button, Popover } from "./parts";
import { Thumbnail } from "./thumbnail";

const ROW = 48;
const PICTURE = 42;

/** The button that opens the choice, and the choice. */
export const PictureButton = live(function PictureButton({ name, label, text, take }: { name: "insert" | "texture"; label: string; text?: string; take: (view: View, picture: KeptPicture) => void }) {
  const { screen } = useView();
  return (
    <div class="isi-anchor">
      <Button test={name} label={label} {...(text && { text })} kind={text ? "plain" : "bare"} icon={name === "insert" ? "insert" : "open"} expanded={screen.popover.value === name} onClick={() => screen.toggle(name)} />
      {screen.popover.value === name && <PictureChoice name={name} take={take} />}
    </div>
  );
});

const PictureChoice = live(function PictureChoice({ name, take }: { name: Exclude<Name, null>; take: (view: View, picture: KeptPicture) => void }) {
  const view = useView();
  const { screen, store } = view;
  const ask = useThumbnails(store);
  const chooser = useRef<HTMLInputElement>(null);
  const pictures = answersOf(store).thumbnails.value;
  const rows = store.observations.value;
  const finish = (picture: Promise<KeptPicture | null>): void => {
    screen.popover.value = null;
    picture.then((found) => {
      if (found) take(view, found);
    }, ignore);
  };
  return (
    <Popover test={`${name}-panel`} label="Choose a picture" classes="isi-picking isi-observations">
      <div class="isi-row">
        <input
          ref={chooser}
          type="file"
          accept="image/*"
          hidden
          data-testid={`${name}-file`}
          onChange={(event) => {
            const file = event.currentTarget.files?.[0];
            event.currentTarget.value = "";
            if (file) finish(acceptPart(file, store));
          }}
        />
        <Button test={`${name}-open`} label="Choose an image file" icon="open" text="File" onClick={() => chooser.current?.click()} />
        {rows.length > 0 && <span class="isi-muted">or the picture of an observation:</span>}
      </div>
      {rows.length > 0 && (
        <Choices
          test={`${name}-of`}
          label="Search observations"
          placeholder="Search question, truth, level or number"
          none="No observation has all of these words."
          height={ROW}
          drawn={(keys) => ask(keys.map(Number))}
          rows={rows.map(({ index, id, question, level, answer }) => ({
            key: String(index),
            text: `${index} ${id} ${question} ${answer ?? ""} ${level ?? ""}`,
            chosen: index === store.index.value,
            view: () => (
              <>
                <span class="isi-muted isi-index">{index}</span>
                <Thumbnail data={pictures.get(index) ?? null} size={PICTURE} alt="" />
                <span class="isi-grow isi-two" dir="auto">
                  {question}
                </span>
              </>
            ),
          }))}
          choose={(key) => finish(askPicture(store, Number(key)))}
        />
      )}
    </Popover>
  );
});

/** Puts a picture into the middle, at most half as large as the one that is shown. */
export function insert({ screen, store }: View, picture: KeptPicture): void {
  const image = store.image.value;
  if (!image) return;
  screen.setTool("select");
  screen.add({ op: "insert", image: picture.image, place: middlePlace(picture, image), source: null });
}
