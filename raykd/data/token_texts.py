"""The text that each token of a tokenizer stands for within a text, as text and as bytes."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from raykd.data.plain_tokenizer import PlainTokenizer


@dataclass(frozen=True, eq=False)
class TokenTexts:
    """Tokens by their texts.

    Attributes:
        tokens: The tokenizer.
        texts: What each token adds to a text, by id.
        names: What the tokenizer's files call each token, such as ``Ġthe``, to its id.
    """

    tokens: PlainTokenizer
    texts: Mapping[int, str] = field(init=False)
    names: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        from tokenizers import Tokenizer

        engine = Tokenizer.from_str(self.tokens.tokenizer)
        names = engine.get_vocab(with_added_tokens=True)
        # A token alone may lose the blank that it begins with: it is read after another one.
        anchor = engine.encode("a", add_special_tokens=False).ids
        before = engine.decode(anchor, skip_special_tokens=False)
        ids = list(names.values())
        after = engine.decode_batch([[*anchor, k] for k in ids], skip_special_tokens=False)
        texts = {k: text[len(before) :] for k, text in zip(ids, after, strict=True)}
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "texts", texts)

    @functools.cached_property
    def _by_text(self) -> dict[str, int]:
        """Texts that one token alone stands for."""
        counts = Counter(self.texts.values())
        return {text: k for k, text in self.texts.items() if counts[text] == 1}

    def id_of(self, token: str | int) -> int | None:
        """The id of a token that is given by its text, its name or its id; None for no token."""
        if isinstance(token, int):
            return token if token in self.texts else None
        return self._by_text.get(token, self.names.get(token))


def token_bytes(tokens: PlainTokenizer) -> dict[int, bytes]:
    """The bytes that each token adds to a text, by id; none for special tokens.

    Tokens of byte-level tokenizers may be parts of characters; those of others are texts, or single
    bytes such as ``<0x0A>``.
    """
    from tokenizers import Tokenizer

    engine = Tokenizer.from_str(tokens.tokenizer)
    added = engine.get_added_tokens_decoder()
    plain = '"ByteLevel"' in json.dumps(json.loads(tokens.tokenizer).get("decoder"))
    texts = {}
    for name, number in engine.get_vocab(with_added_tokens=True).items():
        if number in added:
            texts[number] = b"" if added[number].special else name.encode()
        elif plain:
            texts[number] = b"".join(_OF_LETTER.get(c) or c.encode() for c in name)
        elif single := _SINGLE.fullmatch(name):
            texts[number] = bytes.fromhex(single[1])
        else:
            texts[number] = name.replace("\u2581", " ").encode()
    return texts


def known_bytes(tokens: PlainTokenizer) -> dict[int, bytes | None]:
    """As `token_bytes`; None for the token that stands for whatever the tokenizer has none for."""
    texts: dict[int, bytes | None] = {**token_bytes(tokens)}
    plain = json.loads(tokens.tokenizer)
    unknown = plain["model"].get("unk_id")
    if unknown is None:
        name = plain["model"].get("unk_token")
        added = {token["content"]: token["id"] for token in plain.get("added_tokens") or ()}
        unknown = added.get(name, plain["model"]["vocab"].get(name)) if name else None
    # That which ends texts is none, though some files call it so.
    if unknown in texts and unknown != tokens.end:
        texts[unknown] = None
    return texts


_SINGLE = re.compile(r"<0x([0-9A-F]{2})>")
"""How tokenizers with a fallback to bytes call one."""


def _letters() -> dict[str, bytes]:
    """The letters that stand for bytes in byte-level tokenizers, as GPT-2 chose them."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    letters = {chr(byte): byte for byte in visible}
    letters |= {chr(256 + k): byte for k, byte in enumerate(hidden)}
    return {letter: bytes([byte]) for letter, byte in letters.items()}


_OF_LETTER = _letters()
