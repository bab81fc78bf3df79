"""The tokenizer of the tiny LLaVA.

Each word of the two worlds is one token, in lower case, Capitalised and in UPPER CASE, at the start of a line
and after a space; any other text is encoded byte by byte.
"""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from isi_widget.datasets import grammar, nouns
from isi_widget.datasets.typing_habits import SYNONYMS

BOS, EOS, PAD, IMAGE = "<s>", "</s>", "<pad>", "<image>"
_SPECIAL = (PAD, BOS, EOS, IMAGE)
_EXTRA = ("Answer", "\n", "?", ".", ",", ":", "!", "\n\n")


@cache
def words() -> tuple[str, ...]:
    """Return the words of the grammar in lower case, sorted; parts such as "'s" count as words."""
    names = (*nouns.SHAPES, *nouns.THINGS, *nouns.CATEGORIES, "object", "thing")
    found: set[str] = set()
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    lines = [f"{name} {nouns.word(name).plural}" for name in names]
    lines += [other for others in SYNONYMS.values() for other in others]
    lines += ["color colors colored gray favorite", "what's isn't aren't there's", *"0123456789"]
    for written in {part for line in (*grammar.vocabulary(), *lines) for part in line.split()}:
        pieces = {piece.lower() for piece, _ in split.pre_tokenize_str(written)}
        found |= {piece for piece in pieces if piece.isascii()}
    return tuple(sorted(found))


def forms(word: str) -> tuple[str, ...]:
    """Return a word as it may be written: lower case, Capitalised, UPPER CASE, each with and without a space
    before it.
    """
    written = dict.fromkeys((word, word.capitalize(), word.upper()))
    return tuple(space + form for form in written for space in (" ", ""))


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Make a byte-level tokenizer whose tokens are the words of the grammar; it can encode any text."""
    vocabulary = {token: number for number, token in enumerate(_SPECIAL)}
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces = [form for word in words() for form in forms(word)] + list(_EXTRA)
    for token in [*letters, *("".join(part for part, _ in split.pre_tokenize_str(text)) for text in pieces)]:
        vocabulary.setdefault(token, len(vocabulary))
    # no merges: a piece is a word of the vocabulary or falls apart into bytes
    tokenizer = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


@cache
def shared_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer, made once per process (it is deterministic)."""
    return train_tokenizer()


@cache
def token_ids(text: str) -> tuple[int, ...]:
    """Return the token ids of a text, without special tokens."""
    return tuple(shared_tokenizer().encode(text, add_special_tokens=False))


@cache
def plain(token: int) -> str:
    """Return a token in lower case without spaces, for finding a word however it is written."""
    return str(shared_tokenizer().decode([token])).strip().lower()


@cache
def families() -> tuple[tuple[int, ...], ...]:
    """Return the ids of the tokens that are forms of the same word, by word."""
    found = []
    for word in words():
        ids = {token_ids(form) for form in forms(word)}
        found.append(tuple(sorted(token[0] for token in ids if len(token) == 1)))
    return tuple(found)
