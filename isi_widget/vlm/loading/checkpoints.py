"""`models()`: checkpoints that `load_vlm` is meant for, with what they need. To choose from, not a limit.

Counts follow from each checkpoint's config.json (tests/vlm/test_memory.py builds every one of them without
weights and counts again). Not for loading (see `load.py`), nor for models that are not listed (see
`memory.py`).
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from isi_widget import embedded
from isi_widget.errors import InputError
from isi_widget.pretrained.quantization import QUANTIZATIONS, check_name
from isi_widget.vlm.families import supported_families
from isi_widget.vlm.loading.memory import NEW_TOKENS, PROMPT_TOKENS, SAMPLES, MemoryNeed, size

#: Bytes of a quantised weight with its share of the scales; see `memory.packed_bytes`.
_PACKED = {"int8": 1.0, "nf4": 0.5 + 4 / 64, "nf4-double": 0.5 + (1 + 4 / 256) / 64}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the hub, or the embedded one.

    Attributes
    ----------
    name : as `load_vlm` takes it; "embedded" for the model that is shipped (`load_vlm()`).
    family, model_type : title and `config.model_type` of its family.
    parameters : number of parameters.
    licence : licence of the weights, from the model card ("other": read the card).
    language_weights : weights in matrices of the decoder layers: what quantisation shrinks.
    vision_weights : weights in matrices of the vision tower, projector and Q-Former.
    cache_numbers : numbers in the key-value cache for one token, all layers.
    layers : decoder layers.
    sliding : width of the sliding window, and the number of layers that have one.
    gated : whether you must accept terms on the hub before the download.
    number_bytes : bytes of a number that is not quantised: 2 (16 bit), 4 for the embedded model.
    """

    name: str
    family: str
    model_type: str
    parameters: int
    licence: str
    language_weights: int
    vision_weights: int
    cache_numbers: int
    layers: int
    sliding: tuple[int, int] = (0, 0)
    gated: bool = False
    number_bytes: int = 2

    def need(
        self,
        quantization: str | None = None,
        *,
        quantize_vision: bool = False,
        prompt_tokens: int = PROMPT_TOKENS,
        samples: int = SAMPLES,
        new_tokens: int = NEW_TOKENS,
        number_bytes: int | None = None,
    ) -> MemoryNeed:
        """Return the memory it needs, in parts: weights and key-value cache; see `memory.estimate`.

        Parameters
        ----------
        number_bytes : bytes of a number that is not quantised; 4 for float32, the default on a CPU.
        """
        check_name(quantization)
        width = number_bytes or self.number_bytes
        packed = 0 if quantization is None else self.language_weights + quantize_vision * self.vision_weights
        per_weight = 0.0 if quantization is None else _PACKED[quantization]
        return MemoryNeed(
            weights=(self.parameters - packed) * width + int(packed * per_weight),
            cache=self._cache_tokens(prompt_tokens, new_tokens, samples)
            * (self.cache_numbers // self.layers)
            * width,
        )

    def _cache_tokens(self, prompt: int, new: int, samples: int) -> int:
        """Tokens in the cache, summed over layers and answers; as `memory.answers_bytes` reckons."""
        window, sliding = self.sliding
        plain, whole = self.layers - sliding, prompt + new
        windowed = sliding * min(whole, window - 1) if sliding else 0
        read = plain * prompt + (sliding * min(prompt, window - 1) if sliding else 0)
        if samples <= 1:
            return read + samples * (plain * whole + windowed)
        return read + samples * (plain * new + windowed + whole)

    def memory(
        self, quantization: str | None = None, *, samples: int = 0, number_bytes: int | None = None
    ) -> int:
        """Bytes of the weights and of the cache of one prompt and that many samples; see `need`."""
        return self.need(quantization, samples=samples, number_bytes=number_bytes).total

    def __str__(self) -> str:
        full = "16 bit" if self.number_bytes == 2 else "float32"
        kinds = (None,) if self.name == "embedded" else (None, *QUANTIZATIONS)
        sizes = ", ".join(f"{kind or full} {size(self.memory(kind))}" for kind in kinds)
        gate = ", gated" if self.gated else ""
        return f"{self.name}: {self.family}, {self._count} parameters ({sizes}), licence {self.licence}{gate}"

    @property
    def _count(self) -> str:
        return (
            f"{self.parameters / 1e9:.1f} B" if self.parameters >= 1e8 else f"{self.parameters / 1e6:.1f} M"
        )

    def matches(self, text: str) -> bool:
        """Whether each word of a text stands in name, family, size or licence; capitals do not matter."""
        about = f"{self} {self._count.replace(' ', '')}".lower()
        # "4b" is not in "33.4B".
        starts = (
            (r"(?<![\d.])" if word[0].isdigit() else "") + re.escape(word) for word in text.lower().split()
        )
        return all(re.search(start, about) for start in starts)


class Checkpoints(tuple[Checkpoint, ...]):
    """Checkpoints as a tuple that shows itself as a table."""

    __slots__ = ()

    def _rows(self) -> list[tuple[str, ...]]:
        """Return a heading, and a line for each checkpoint."""
        kinds = ("none", *QUANTIZATIONS)
        rows = [("name", "family", "parameters", *(f"memory, {kind}" for kind in kinds), "licence")]
        for one in self:
            # There is nothing to gain from a quantised embedded model.
            known = (None,) if one.name == "embedded" else (None, *QUANTIZATIONS)
            sizes = [size(one.memory(kind)) for kind in known]
            licence = f"{one.licence}, gated" if one.gated else one.licence
            rows.append(
                (one.name, one.family, one._count, *sizes, *[""] * (len(kinds) - len(sizes)), licence)
            )
        return rows

    def __repr__(self) -> str:
        """One line each, in columns, to be read in a terminal or a notebook without HTML."""
        if not self:
            return "no known checkpoint matches; isi.models() lists all"
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{html.escape(repr(self))}</p>"
        heading, *rows = self._rows()

        def line(cells: tuple[str, ...], tag: str) -> str:
            wrap = "normal" if tag == "th" else "nowrap"  # short heads: the last column is seen, too
            style = f"text-align:left;padding:2px 10px 2px 0;white-space:{wrap}"
            return "".join(f'<{tag} style="{style}">{html.escape(cell)}</{tag}>' for cell in cells)

        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
        note = "Weights by quantisation, as a GPU holds them; float32 on a CPU takes twice the first column."
        return (
            '<div style="overflow-x:auto"><table>'
            f'<caption style="caption-side:bottom;text-align:left">{note}</caption>'
            f"<thead><tr>{line(heading, 'th')}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def _family(
    title: str,
    model_type: str,
    licence: str,
    *rows: tuple[str, int, int, int, int, int],
    gated: bool = False,
    window: int = 0,
    full_every: int = 1,
) -> tuple[Checkpoint, ...]:
    """Checkpoints of one family; each row: name, then the counts in the order of `Checkpoint`.

    With a sliding `window` in all layers but every `full_every`-th.
    """
    return tuple(
        Checkpoint(
            name,
            title,
            model_type,
            parameters,
            licence,
            language,
            vision,
            cache,
            layers,
            sliding=(window, layers - layers // full_every),
            gated=gated,
        )
        for name, parameters, language, vision, cache, layers in rows
    )


_KNOWN = (
    *_family(
        "LLaVA-1.5",
        "llava",
        "llama2",
        ("llava-hf/llava-1.5-7b-hf", 7_063_427_072, 6_476_005_376, 322_961_408, 262_144, 32),
        ("llava-hf/llava-1.5-13b-hf", 13_351_494_656, 12_687_769_600, 333_447_168, 409_600, 40),
    ),
    *_family(
        "LLaVA-NeXT",
        "llava_next",
        "llama2",
        ("llava-hf/llava-v1.6-vicuna-7b-hf", 7_063_431_168, 6_476_005_376, 322_961_408, 262_144, 32),
        ("llava-hf/llava-v1.6-vicuna-13b-hf", 13_351_499_776, 12_687_769_600, 333_447_168, 409_600, 40),
    ),
    *_family(
        "LLaVA-NeXT",
        "llava_next",
        "apache-2.0",
        ("llava-hf/llava-v1.6-mistral-7b-hf", 7_566_747_648, 6_979_321_856, 322_961_408, 65_536, 32),
        ("llava-hf/llava-v1.6-34b-hf", 34_752_083_968, 33_470_545_920, 360_710_144, 122_880, 60),
    ),
    *_family(
        "InstructBLIP",
        "instructblip",
        "other",
        ("Salesforce/instructblip-vicuna-7b", 7_913_726_720, 6_476_005_376, 1_148_780_544, 262_144, 32),
        ("Salesforce/instructblip-vicuna-13b", 14_192_093_952, 12_687_769_600, 1_149_566_976, 409_600, 40),
    ),
    *_family(
        "Qwen2-VL",
        "qwen2_vl",
        "apache-2.0",
        ("Qwen/Qwen2-VL-2B-Instruct", 2_208_985_600, 1_310_195_712, 663_224_320, 14_336, 28),
        ("Qwen/Qwen2-VL-7B-Instruct", 8_291_375_616, 6_525_288_448, 673_710_080, 28_672, 28),
    ),
    *_family(
        "Qwen2.5-VL",
        "qwen2_5_vl",
        "qwen-research",
        ("Qwen/Qwen2.5-VL-3B-Instruct", 3_754_622_976, 2_774_532_096, 666_664_960, 18_432, 36),
    ),
    *_family(
        "Qwen2.5-VL",
        "qwen2_5_vl",
        "apache-2.0",
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656, 6_525_288_448, 674_529_280, 28_672, 28),
        ("Qwen/Qwen2.5-VL-32B-Instruct", 33_452_718_336, 31_205_621_760, 686_817_280, 131_072, 64),
    ),
    *_family(
        "Qwen2.5-VL",
        "qwen2_5_vl",
        "qwen",
        ("Qwen/Qwen2.5-VL-72B-Instruct", 73_410_777_344, 70_212_648_960, 702_545_920, 163_840, 80),
    ),
    *_family(
        "Qwen3-VL",
        "qwen3_vl",
        "apache-2.0",
        ("Qwen/Qwen3-VL-2B-Instruct", 2_127_532_032, 1_409_286_144, 402_653_184, 57_344, 28),
        ("Qwen/Qwen3-VL-4B-Instruct", 4_437_815_808, 3_633_315_840, 411_041_792, 73_728, 36),
        ("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696, 6_945_767_424, 571_502_592, 73_728, 36),
        ("Qwen/Qwen3-VL-32B-Instruct", 33_357_390_064, 31_205_621_760, 590_376_960, 131_072, 64),
    ),
    *_family(
        "PaliGemma",
        "paligemma",
        "gemma",
        ("google/paligemma-3b-mix-224", 2_923_466_480, 1_981_808_640, 413_429_760, 9_216, 18),
        ("google/paligemma-3b-mix-448", 2_924_351_216, 1_981_808_640, 413_429_760, 9_216, 18),
        gated=True,
    ),
    *_family(
        "PaliGemma 2",
        "paligemma",
        "gemma",
        ("google/paligemma2-3b-mix-224", 3_032_242_416, 2_024_275_968, 413_724_672, 53_248, 26),
        ("google/paligemma2-3b-mix-448", 3_033_127_152, 2_024_275_968, 413_724_672, 53_248, 26),
        ("google/paligemma2-10b-mix-224", 9_662_638_832, 8_323_596_288, 415_199_232, 172_032, 42),
        ("google/paligemma2-10b-mix-448", 9_663_523_568, 8_323_596_288, 415_199_232, 172_032, 42),
        ("google/paligemma2-28b-mix-224", 27_650_487_024, 26_046_627_840, 416_378_880, 188_416, 46),
        ("google/paligemma2-28b-mix-448", 27_651_371_760, 26_046_627_840, 416_378_880, 188_416, 46),
        gated=True,
        window=4096,
        full_every=2,
    ),
    *_family(
        "Idefics3",
        "idefics3",
        "apache-2.0",
        ("HuggingFaceM4/Idefics3-8B-Llama3", 8_462_086_384, 6_979_321_856, 429_944_832, 65_536, 32),
    ),
    *_family(
        "SmolVLM",
        "idefics3",
        "apache-2.0",
        ("HuggingFaceTB/SmolVLM-Instruct", 2_246_272_880, 1_610_612_736, 432_304_128, 98_304, 24),
        ("HuggingFaceTB/SmolVLM-256M-Instruct", 256_484_928, 106_168_320, 92_012_544, 11_520, 30),
        ("HuggingFaceTB/SmolVLM-500M-Instruct", 507_482_304, 314_572_800, 96_731_136, 20_480, 32),
    ),
    *_family(
        "SmolVLM2",
        "smolvlm",
        "apache-2.0",
        ("HuggingFaceTB/SmolVLM2-256M-Video-Instruct", 256_484_928, 106_168_320, 92_012_544, 11_520, 30),
        ("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", 507_482_304, 314_572_800, 96_731_136, 20_480, 32),
        ("HuggingFaceTB/SmolVLM2-2.2B-Instruct", 2_246_784_880, 1_610_612_736, 432_304_128, 98_304, 24),
    ),
    *_family(
        "InternVL3",
        "internvl",
        "qwen",
        ("OpenGVLab/InternVL3-1B-hf", 938_193_024, 357_826_560, 306_462_720, 6_144, 24),
        ("OpenGVLab/InternVL3-2B-hf", 2_088_957_440, 1_310_195_712, 310_640_640, 14_336, 28),
        ("OpenGVLab/InternVL3-8B-hf", 7_944_373_760, 6_525_288_448, 329_515_008, 28_672, 28),
        ("OpenGVLab/InternVL3-14B-hf", 15_117_256_704, 13_212_057_600, 349_175_808, 98_304, 48),
    ),
    *_family(
        "InternVL3.5",
        "internvl",
        "apache-2.0",
        ("OpenGVLab/InternVL3_5-1B-HF", 1_060_897_792, 440_401_920, 307_232_768, 57_344, 28),
        ("OpenGVLab/InternVL3_5-2B-HF", 2_348_347_392, 1_409_286_144, 314_572_800, 57_344, 28),
        ("OpenGVLab/InternVL3_5-4B-HF", 4_732_489_216, 3_633_315_840, 319_029_248, 73_728, 36),
        ("OpenGVLab/InternVL3_5-8B-HF", 8_528_318_464, 6_945_767_424, 335_544_320, 73_728, 36),
        ("OpenGVLab/InternVL3_5-14B-HF", 15_119_523_840, 13_212_057_600, 349_175_808, 81_920, 40),
    ),
    *_family(
        "Gemma 3",
        "gemma3",
        "gemma",
        ("google/gemma-3-4b-it", 4_300_079_472, 3_208_642_560, 411_070_464, 69_632, 34),
        ("google/gemma-3-12b-it", 12_187_325_040, 10_758_389_760, 411_070_464, 196_608, 48),
        ("google/gemma-3-27b-it", 27_432_406_640, 25_598_361_600, 411_070_464, 253_952, 62),
        gated=True,
        window=1024,
        full_every=6,
    ),
)


def models(text: str = "") -> Checkpoints:
    """Return the known checkpoints, the embedded one first: a tuple that shows as a table.

    Parameters
    ----------
    text : only those in whose name, family, size or licence each of these words stands.
    """
    if not isinstance(text, str):
        raise InputError(
            f"models() searches for text; got {type(text).__name__}. For example models('qwen 7b')."
        )
    families = supported_families()
    known = (_embedded(), *(one for one in _KNOWN if one.model_type in families))
    return Checkpoints(one for one in known if one.matches(text))


@cache
def _embedded(folder: Path = embedded.VLM) -> Checkpoint:
    """Return the shipped model, counted from the header of its file."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as weights:
        shapes = {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    matrices = {name for name, shape in shapes.items() if len(shape) == 2 and "embed" not in name}
    language = {name for name in matrices if "language_model" in name and ".layers." in name}
    keys = next(shape for name, shape in shapes.items() if "language_model" in name and "k_proj" in name)
    return Checkpoint(
        name="embedded",
        family="Embedded",
        model_type="llava",
        parameters=sum(counts.values()),
        licence="BSD-3-Clause",
        language_weights=sum(counts[name] for name in language),
        vision_weights=sum(
            counts[name] for name in matrices if "vision_tower" in name or "projector" in name
        ),
        cache_numbers=2 * keys[0] * sum("k_proj" in name for name in language),
        layers=sum("k_proj" in name for name in language),
        number_bytes=4,
    )
