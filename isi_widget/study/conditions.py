"""Ready-made sets of conditions, and a small runner that turns them into curves: `isi.conditions`.

The sets are those of the literature:

- `degradation`: down-scaling, blur, JPEG and noise of growing strength, as curves and not as points;
- `interference`: an irrelevant image beside a question whose answer is in the text, and an irrelevant text
  beside a question about the image; the measure is the rate of changed answers (modality interference);
- `dilution`: relevant text that does not answer, of growing length, before the question (cross-modal
  dilution).

Of the last two only abstracts were read: which images and texts are used here is stated at each. Every
condition works in `isi.run_study`, `isi.averages(vlm, data, condition=...)` and `isi.compare`. `run` is for a
quick look: it keeps nothing on disk; a study does (`isi_widget.study.running`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget import checks
from isi_widget.concepts.pair import stimulus_of
from isi_widget.errors import Cancelled, InputError
from isi_widget.stimulus import Blur, Downscale, GaussianNoise, Jpeg, Stimulus
from isi_widget.study.condition import PLAIN, Condition, condition
from isi_widget.text.correctness import is_correct
from isi_widget.text.wording import normalised
from isi_widget.trial import run_trial
from isi_widget.uncertainty.bootstrap import LEADING, NAMES
from isi_widget.uncertainty.shares import RESAMPLES, wilson
from isi_widget.vlm.protocol import check_vlm_like

if TYPE_CHECKING:
    import pandas as pd

    from isi_widget.vlm.protocol import VLMLike

#: Kinds of degradation with their levels, from weak to strong.
DEGRADATIONS: dict[str, tuple[float, ...]] = {
    "downscale": (128, 96, 64, 48, 32),
    "blur": (2, 4, 8, 16, 32),
    "jpeg": (50, 20, 10, 5, 1),
    "noise": (0.1, 0.2, 0.3, 0.5, 0.8),
}
#: Sentences about any picture that answer no question about its content.
SENTENCES = (
    "The next question is about this picture.",
    "It is one picture of a larger collection.",
    "Please look at the whole picture with care.",
    "Some parts of it may be easier to see than others.",
    "People have looked at this picture before.",
    "It is shown here as it was made.",
    "Look at the middle and at the edges, too.",
    "Pictures like this one are used in teaching.",
    "There is enough time to look at it twice.",
    "The question was asked by someone who sees the same picture.",
    "Nothing in this text gives the answer away.",
    "The size of the picture is not important.",
    "Everything that matters can be seen in it.",
    "A short answer is enough.",
    "The picture was saved without any loss.",
    "This text could also be shorter.",
)


def plain() -> Condition:
    """Return the condition that changes nothing."""
    return Condition(PLAIN)


def degradation(
    *kinds: str,
    downscale: Sequence[float] = DEGRADATIONS["downscale"],
    blur: Sequence[float] = DEGRADATIONS["blur"],
    jpeg: Sequence[float] = DEGRADATIONS["jpeg"],
    noise: Sequence[float] = DEGRADATIONS["noise"],
    seed: int = 0,
) -> list[Condition]:
    """Return the plain condition and degraded pictures of growing strength.

    Parameters
    ----------
    kinds : any of "downscale", "blur", "jpeg" and "noise"; none given (default): all.
    downscale : longer sides of the reduced pictures, pixels.
    blur : standard deviations, pixels.
    jpeg : qualities, 1 to 95.
    noise : standard deviations on an intensity scale of 0 to 1.
    seed : seed of the noise; default 0.
    """
    levels = {"downscale": downscale, "blur": blur, "jpeg": jpeg, "noise": noise}
    for kind in kinds:
        checks.one_of(kind, "degradation: kinds", tuple(levels))
    checks.integer(seed, "degradation: seed", low=0)
    found = [plain()]
    for kind in kinds or levels:
        for level in _several(levels[kind], f"degradation: {kind}"):
            values = {"sigma": level, "seed": seed} if kind == "noise" else {_FIELDS[kind]: level}
            _EFFECTS[kind](**values)  # refuses a wrong strength here, not in the middle of a run
            begun = condition(f"{kind} {level:g}", level=level, group=kind, parameter=next(iter(values)))
            found.append(getattr(begun, kind)(**values))
    return found


_FIELDS = {"downscale": "size", "blur": "radius", "jpeg": "quality"}
_EFFECTS: dict[str, Callable[..., object]] = {
    "downscale": Downscale,
    "blur": Blur,
    "jpeg": Jpeg,
    "noise": GaussianNoise,
}


def _several(values: Any, name: str) -> tuple[Any, ...]:
    """Return the values of a list, or refuse what is none."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of numbers, such as (2, 4); got {checks.shown(values)}.")
    return tuple(values)


def interference(seed: int = 0) -> list[Condition]:
    """Return questions to one modality with and without an irrelevant input of the other.

    "text question" has the preset context "complementary", which answers the question, and the natural image;
    beside it the image of another observation. "image question" has no context; beside it the preset context
    "irrelevant", or a context of another observation. The observations need these presets.

    Parameters
    ----------
    seed : seed of the random images and contexts, which differ between observations; default 0.
    """
    checks.integer(seed, "interference: seed", low=0)
    text, image = "text question", "image question"

    def context(name: str, group: str, preset: str) -> Condition:
        return condition(name, group=group, baseline=group).with_context(preset=preset)

    beside_text = context(f"{text}, irrelevant image", text, "complementary").apply(random_image, seed=seed)
    beside_image = condition(f"{image}, context of another", group=image, baseline=image)
    return [
        context(text, text, "complementary"),
        beside_text,
        context(image, image, "empty"),
        context(f"{image}, irrelevant context", image, "irrelevant"),
        beside_image.apply(random_context, seed=seed),
    ]


def dilution(
    sentences: Sequence[int] = (1, 2, 4, 8, 16), *, texts: Sequence[str] = SENTENCES
) -> list[Condition]:
    """Return the plain condition and contexts of growing length that do not answer.

    Parameters
    ----------
    sentences : numbers of sentences before the question; a longer text begins with the shorter ones.
    texts : the sentences, which follow the context of the stimulus; default `SENTENCES`, which fit any
        picture.
    """
    given = tuple(checks.text(text, "dilution: texts") for text in texts)
    most = len(given)
    found = [plain()]
    for number in _several(sentences, "dilution: sentences"):
        count = checks.integer(number, "dilution: sentences", low=1, high=most)
        begun = condition(
            f"{count} sentence{'' if count == 1 else 's'}",
            level=count,
            group="dilution",
            parameter="sentences",
        )
        texts_of_it = {} if given == SENTENCES else {"texts": given[:count]}
        found.append(begun.apply(diluted, sentences=count, **texts_of_it))
    return found


def diluted(stimulus: Stimulus, sentences: int, texts: Sequence[str] = SENTENCES) -> Stimulus:
    """Return a stimulus with sentences after its context."""
    return stimulus.with_context(" ".join(filter(None, (stimulus.current_context, *texts[:sentences]))))


def random_image(stimulus: Stimulus, seed: int = 0) -> Stimulus:
    """Show the image of another observation, chosen by the seed and the stimulus."""
    return stimulus.with_image(preset="random", seed=_own_seed(stimulus, seed))


def random_context(stimulus: Stimulus, seed: int = 0) -> Stimulus:
    """Give a context of another observation, chosen by the seed and the stimulus."""
    return stimulus.with_context(preset="random", seed=_own_seed(stimulus, seed))


def _own_seed(stimulus: Stimulus, seed: int) -> int:
    """Return a seed of this stimulus, so that not all observations get the same image."""
    text = f"{stimulus.image.sha256} {stimulus.question} {seed}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


# ---- running
def run(
    vlm: VLMLike,
    data: Iterable[Any],
    conditions: Iterable[Condition],
    *,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Run every observation under every condition.

    Parameters
    ----------
    vlm : the model.
    data : observations or stimuli.
    conditions : conditions, with different names.
    progress : called as progress("trials", done, total).
    cancel : polled between trials and tokens; once it returns True, `Cancelled` is raised.
    settings : as for `run_trial`, such as samples=10, seed=0 or method="enumerated".

    Returns
    -------
    One row per observation and condition: condition, group, level, baseline, observation (its index), truth,
    answer, correct, and each entropy, nats (NaN where it did not fit into memory). `correct` holds the answer
    against the true answer of the original input, also where the image or the context was replaced.

    Raises
    ------
    InputError
        Without observations or conditions, for equal names, or if a condition cannot be applied or run; the
        error has a note that names condition and observation.
    Cancelled
        `cancel` returned True.
    """
    import pandas as pd

    check_vlm_like(vlm, "conditions.run needs")
    every, chosen = [stimulus_of(item, "data: an item") for item in data], list(conditions)
    for item in chosen:
        if not isinstance(item, Condition):
            raise InputError(f"conditions must be Condition objects; got {type(item).__name__}.")
    names = [item.name for item in chosen]
    if not every or not names or len(set(names)) != len(names):
        raise InputError(
            f"conditions.run needs observations, and conditions with different names; got {len(every)} "
            f"observations and the conditions {names!r:.300}."
        )
    rows: list[dict[str, Any]] = []
    for index, stimulus in enumerate(every):
        for shown_as in chosen:
            if cancel is not None and cancel():
                raise Cancelled
            if progress is not None:
                progress("trials", len(rows), len(every) * len(chosen))
            try:
                shown = shown_as(stimulus)
                trial = run_trial(vlm, shown, measures=("answer", "uncertainty"), cancel=cancel, **settings)
            except Exception as error:
                error.add_note(f"at the condition {shown_as.name!r} of observation {index}")
                raise
            assert trial.answer is not None
            uncertainty = trial.uncertainty  # None where the samples did not fit into memory
            rows.append(
                {
                    "condition": shown_as.name,
                    "group": shown_as.group,
                    "level": math.nan if shown_as.level is None else float(shown_as.level),
                    "baseline": shown_as.baseline,
                    "observation": index,
                    "question": shown.current_question,
                    "truth": stimulus.true_answer,
                    "answer": trial.answer.text,
                    "correct": is_correct(trial.answer.text, stimulus.true_answer, stimulus.question),
                    **{name: getattr(uncertainty, name) if uncertainty else math.nan for name in NAMES},
                }
            )
    if progress is not None:
        progress("trials", len(rows), len(rows))
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame, *, entropy: str = LEADING, seed: int = 0) -> pd.DataFrame:
    """Summarise the rows of `run` by condition, in their order.

    Parameters
    ----------
    rows : the frame of `run`.
    entropy : column that is averaged; default the Bayesian semantic entropy.
    seed : seed of the bootstrap; default 0.

    Returns
    -------
    One row per condition: n; accuracy with Wilson's 95 % interval, over the answers that can be judged; mean
    entropy with 95 % percentiles of a bootstrap over observations; share of answers that differ in wording
    from those of the baseline condition, with Wilson's interval (NaN without that condition).
    """
    import pandas as pd

    checks.one_of(entropy, "summary: entropy", NAMES)
    said = {
        (row.condition, row.observation): normalised(row.answer, row.question) for row in rows.itertuples()
    }
    known = set(rows["condition"])
    found = []
    for name, group in rows.groupby("condition", sort=False):
        judged = [bool(value) for value in group["correct"] if value is not None]
        low, high = wilson(sum(judged), len(judged))
        values = group[entropy].dropna().to_numpy(dtype=np.float64)
        entropy_low, entropy_high = _mean_interval(values, seed)
        baseline = group["baseline"].iloc[0]
        changed = (
            [said[name, index] != said[baseline, index] for index in group["observation"]]
            if baseline in known
            else []
        )
        changed_low, changed_high = wilson(sum(changed), len(changed))
        found.append(
            {
                "condition": name,
                "group": group["group"].iloc[0],
                "level": group["level"].iloc[0],
                "n": len(group),
                "accuracy": np.mean(judged) if judged else math.nan,
                "accuracy_low": low,
                "accuracy_high": high,
                "entropy": values.mean() if values.size else math.nan,
                "entropy_low": entropy_low,
                "entropy_high": entropy_high,
                "changed": np.mean(changed) if changed else math.nan,
                "changed_low": changed_low,
                "changed_high": changed_high,
            }
        )
    return pd.DataFrame(found)


def sweep(
    vlm: VLMLike, data: Iterable[Any], conditions: Iterable[Condition], **settings: Any
) -> pd.DataFrame:
    """Run every observation under every condition, and summarise: `summary(run(...))`.

    The curve of a group is `frame[frame["group"] == "blur"].plot(x="level", y="accuracy")`.
    """
    return summary(run(vlm, data, conditions, **settings))


def _mean_interval(values: Any, seed: int) -> tuple[float, float]:
    if not values.size:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
