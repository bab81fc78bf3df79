// The selected mask over the picture: its outline, the stroke that is drawn, and beside it a bar with what can be done to it.
import { useLayoutEffect, useRef } from "preact/hooks";
import { reachOf } from "../edges";
import { clamp, toScreen } from "../geometry";
import { live } from "../live";
import { boxOf, outlinePath } from "../masks";
import { MaskEdge } from "../panels/maskedge";
import { Button } from "../panels/parts";
import { PictureButton } from "../panels/insert";
import type { Mask } from "../protocol";
import { complete, completeWith, giveUp, waitingOf, type Waiting } from "../state/second";
import { selectionOf } from "../state/selection";
import { useView } from "../view";
import { ACTIONS } from "./actions";
import { cornersOf, isGrabbed } from "./carrying";
import { coarse } from "./outlines";

/** Pixels between the bar and what it stands beside. */
const GAP = 6;

/** In the overlay: two lines of dashes, seen on any picture; where the edge is soft, a fainter one where it ends. */
export const MaskOutline = live(function MaskOutline() {
  const { screen } = useView();
  const selection = selectionOf(screen);
  const waiting = waitingOf(screen);
  const [mask, stroke, cursor, sought] = [selection.mask.value, selection.stroke.value, screen.cursor.value, selection.sought.value];
  const t = screen.transform.value;
  const brushing = selection.brushing;
  const place = `translate(${t.x} ${t.y}) scale(${t.scale})`;
  const [x, y] = cursor ? toScreen(t, cursor) : [0, 0];
  const path = mask && outlinePath(mask, coarse(t.scale));
  const rim = selection.rim.value;
  return (
    <g class="isi-selection" data-testid="selection" data-pixels={mask ? String(boxOf(mask).width) : ""}>
      {rim && <path class="isi-rim" data-testid="selection-rim" d={outlinePath(rim, coarse(t.scale))} transform={place} />}
      {waiting && <path class="isi-first" data-testid="first-outline" d={outlinePath(waiting.first, coarse(t.scale))} transform={place} />}
      {path && <path class="isi-ants isi-under" d={path} transform={place} />}
      {path && <path class="isi-ants" data-testid="selection-outline" d={path} transform={place} />}
      {mask && isGrabbed(screen) && cornersOf(boxOf(mask)).map((corner, i) => {
        const [cx, cy] = toScreen(t, corner);
        return <rect key={i} class="isi-handle" data-testid={`selection-corner-${i}`} x={cx - 3} y={cy - 3} width={6} height={6} rx={1} />;
      })}
      {sought && (
        <rect class="isi-sought" x={sought[0] * t.scale + t.x} y={sought[1] * t.scale + t.y} width={sought[2] * t.scale} height={sought[3] * t.scale} />
      )}
      {stroke && (
        <polyline
          class={stroke.object ? "isi-stroke" : "isi-stroke isi-not"}
          data-testid="stroke"
          // A dab is a line without length: two points of it.
          points={[...stroke.points, ...stroke.points.slice(-1)].map((p) => toScreen(t, p).join()).join(" ")}
          stroke-width={2 * stroke.radius * t.scale}
        />
      )}
      {brushing && cursor && <circle class="isi-ants isi-under" cx={x} cy={y} r={(selection.brush.value * t.scale) / 2} />}
      {brushing && cursor && <circle class="isi-ants" data-testid="brush-cursor" cx={x} cy={y} r={(selection.brush.value * t.scale) / 2} />}
    </g>
  );
});

/** What is waited for: the second thing of a swap, or where a texture comes from. */
const SecondThing = live(function SecondThing({ waiting: { what }, mask }: { waiting: Waiting; mask: Mask | null }) {
  const { screen } = useView();
  const swap = what === "swap";
  return (
    <>
      {mask ? (
        <Button test="second" label={swap ? "Swap the two things" : "Take the texture from here"} icon={what} text={swap ? "Swap the two" : "Use as texture"} kind="primary" onClick={() => complete(screen, mask)} />
      ) : (
        <span data-testid="second-hint">{swap ? "Now select the second thing." : "Now select where the texture is, or take"}</span>
      )}
      {!swap && !mask && <PictureButton name="texture" label="A texture of a file, or of another observation's picture" text="a picture" take={(_, picture) => completeWith(screen, picture.image)} />}
      <Button test="second-cancel" label="Give up (Esc)" icon="close" kind="bare" onClick={() => giveUp(screen)} />
    </>
  );
});

/** Below the selection where there is room, else above it, else along the lower edge of the stage; along the farther edge while a brush is in hand. */
export const MaskBar = live(function MaskBar() {
  const view = useView();
  const { screen } = view;
  const selection = selectionOf(screen);
  const bar = useRef<HTMLDivElement>(null);
  const mask = selection.mask.value;
  const searching = selection.searching.value;
  const note = selection.state.value?.note;
  const brushing = selection.brushing;
  const away = screen.marquee.value !== null || screen.live.value !== null || selection.stroke.value !== null;
  const box = mask ? reachOf(mask) : null;
  const [x, y, width, height] = box ? [box.x, box.y, box.width, box.height] : (selection.sought.value ?? [0, 0, 0, 0]);
  const t = screen.transform.value;
  const room = screen.viewport.value;
  useLayoutEffect(() => {
    const element = bar.current;
    if (!element) return;
    const [wide, high] = [element.offsetWidth, element.offsetHeight];
    const [[left, top], [right, bottom]] = [toScreen(t, [x, y]), toScreen(t, [x + width, y + height])];
    const last = room.height - high - GAP;
    const far = (top + bottom) / 2 < room.height / 2 ? last : GAP;
    const below = brushing ? far : bottom + GAP <= last ? Math.max(GAP, bottom + GAP) : top - high - GAP >= GAP ? Math.min(last, top - high - GAP) : last;
    element.style.left = `${Math.round(clamp((left + right - wide) / 2, GAP, Math.max(GAP, room.width - wide - GAP)))}px`;
    element.style.top = `${Math.round(below)}px`;
  });
  const waiting = waitingOf(screen);
  if (!mask && !searching && !waiting) return null;
  return (
    <div ref={bar} class={away && !searching ? "isi-maskbar isi-away" : "isi-maskbar"} role="toolbar" aria-label="What to do with the selection" data-testid="maskbar">
      <div class="isi-acts">
        {searching ? (
          <>
            <progress aria-label="Searching for the outline" data-testid="selection-progress" />
            <span>Searching …</span>
            <Button test="selection-stop" label="Stop searching (Esc)" icon="close" kind="bare" onClick={() => selection.stop()} />
          </>
        ) : waiting ? (
          <SecondThing waiting={waiting} mask={mask} />
        ) : (
          mask && (
            <>
              {ACTIONS.map(({ name, label, icon, why, act }) => (
                <Button key={name} test={`act-${name}`} label={label} icon={icon} kind="bare" why={why?.(view, mask)} onClick={() => act(view, mask)} />
              ))}
              <Button test="edge-toggle" label="Grow and feather the edge" icon="edge" kind="bare" expanded={selection.edging.value} onClick={() => (selection.edging.value = !selection.edging.value)} />
              <Button test="deselect" label="Select nothing (Esc)" icon="close" kind="bare" onClick={() => selection.clear()} />
            </>
          )
        )}
      </div>
      {mask && !searching && !waiting && selection.edging.value && <MaskEdge />}
      {!searching && note && waiting?.what !== "retexture" && (
        <p class="isi-masknote" data-testid="selection-note">
          {note}
        </p>
      )}
    </div>
  );
});
