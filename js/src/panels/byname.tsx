// A field for a model that no list has, by its name on the hub or its folder. Part of the editor.
import { composing } from "../keys";
import { useRef } from "preact/hooks";
import { Button } from "./parts";

interface ByNameProps {
  test: string;
  /** Of the field, for who does not see it. */
  label: string;
  placeholder: string;
  /** What the button says that it does. */
  help: string;
  load: (name: string) => void;
}

export function ByName({ test, label, placeholder, help, load }: ByNameProps) {
  const field = useRef<HTMLInputElement>(null);
  const take = (): void => {
    const name = field.current?.value.trim();
    if (name) load(name);
  };
  return (
    <div class="isi-search">
      <input
        ref={field}
        type="text"
        class="isi-grow"
        aria-label={label}
        placeholder={placeholder}
        data-testid={`${test}-other`}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !composing(event)) take();
        }}
      />
      <Button test={`${test}-load`} label={help} text="Load" onClick={take} />
    </div>
  );
}
