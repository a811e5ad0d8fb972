"""Text generation: from prompts to token ids, with a key-value cache.

Axes: B row, P prompt position, S generated position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.data.base import NO_LABEL, Array, Batch
from raykd.data.prompts import joined_row
from raykd.losses.policy import mixed_probabilities
from raykd.models.architectures.classes import takes
from raykd.models.families.base import family_of
from raykd.models.inference import no_gradient
from raykd.models.sharding import gather_outer, run_on, runs_together


@dataclass(frozen=True, kw_only=True, slots=True)
class TextEnds:
    """Tokens around texts.

    Attributes:
        end: The token that ends a text.
        pad: The token that pads.
    """

    end: int
    pad: int


NO_TEXT = TextEnds(end=0, pad=0)
"""Of a model that writes none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationSettings:
    """How text is generated.

    Attributes:
        max_new_tokens: Maximum number of tokens; a row without an end token is cut there.
        end: The token that ends a text.
        pad: The token that pads.
        sample: Draw from the distribution instead of taking the most likely token.
        temperature: Softens the distribution that is drawn from.
        no_repeat_ngram_size: Word sequences of this length occur at most once; 0 = any.
        vocabulary: Only token ids below this are generated; None = any that the model has.
        positions: Most tokens of a prompt and what is written after it that its readers have
            positions for; None = any. Those of the model that writes count by themselves.
    """

    max_new_tokens: int
    end: int
    pad: int
    sample: bool = False
    temperature: float = 1.0
    no_repeat_ngram_size: int = 0
    vocabulary: int | None = None
    positions: int | None = None


def padded_prompts(
    prompts: Sequence[Array], pad: int, device: torch.device, *, left: bool
) -> tuple[Tensor, Tensor]:
    """Prompts of one length and their mask, int64 ``[B, P]``.

    The mask says what is padding, also where the token that pads ends texts, too.

    Args:
        prompts: Token ids.
        pad: The token that pads.
        device: Of the result.
        left: Whether they end at the same position, or begin there.
    """
    longest = max(len(ids) for ids in prompts)
    ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        begin = longest - len(prompt) if left else 0
        ids[row, begin : begin + len(prompt)] = torch.from_numpy(prompt.astype("int64"))
        mask[row, begin : begin + len(prompt)] = 1
    return ids.to(device), mask.to(device)


def _pads_left(config: Any) -> bool:
    """Whether prompts end at the same position; an encoder that counts positions begins there."""
    return not config.is_encoder_decoder or family_of(config).positions(config) is None


def generate(
    model: Any,
    prompts: Sequence[Array],
    generation: GenerationSettings,
    teacher: Any = None,
    share: float = 0.0,
) -> Tensor:
    """What a model generates after prompts, without dropout, int64 ``[B, S]``.

    Rows that ended are filled with padding. Draws come from the generator of the device.

    Args:
        model: A ``PreTrainedModel`` that generates text; its mode is left as it was.
        prompts: Token ids, at least one each.
        generation: How.
        teacher: A model that is drawn from, too, if `generation` samples.
        share: Of the teacher in what is drawn from.
    """
    ids, mask = padded_prompts(
        prompts, generation.pad, next(model.parameters()).device, left=_pads_left(model.config)
    )
    drawn: dict[str, Any] = {}
    if generation.sample:
        drawn = {"temperature": generation.temperature, "top_k": 0, "top_p": 1.0}
    processors: list[Any] = []
    if generation.vocabulary is not None:
        processors.append(_VocabularyLimit(generation.vocabulary))
    readers = [model]
    if teacher is not None and share > 0:
        # The mixture is softened as a whole, so that it must not be softened again.
        processors.append(_TeacherMixture(teacher, mask, share, generation))
        drawn |= {"temperature": 1.0}
        readers.append(teacher)
    gather_outer(model)  # an encoder is run by itself, before the model is
    positions = family_of(model.config).positions(model.config)
    with no_gradient(model), _plain_generation(model), run_on(model, positions):
        sequences: Tensor = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=_bounded(readers, ids.shape[1], generation),
            logits_processor=processors,
            do_sample=generation.sample,
            eos_token_id=generation.end,
            pad_token_id=generation.pad,
            no_repeat_ngram_size=generation.no_repeat_ngram_size or None,
            use_cache=True,
            synced_gpus=runs_together(model),
            **drawn,
        )
    # A decoder repeats the prompt, an encoder-decoder begins with a token that starts.
    return sequences[:, 1:] if model.config.is_encoder_decoder else sequences[:, ids.shape[1] :]


@contextmanager
def _plain_generation(model: Any) -> Iterator[None]:
    """Without what a configuration sets: beams, lengths, tokens that are forced.

    A saved model has it as its generation config, see `raykd.models.weights.save`.
    """
    own = model.generation_config
    begin = {n: getattr(own, n) for n in ("bos_token_id", "decoder_start_token_id")}
    model.generation_config = type(own)(**begin)
    try:
        yield
    finally:
        model.generation_config = own


def until_end(generated: Tensor, end: int) -> list[Array]:
    """The tokens of each row of ``[B, L]`` before the one that ends it, or all of them."""
    rows: list[Array] = []
    for row in generated.cpu().numpy():
        ends = (row == end).nonzero()[0]
        rows.append(row[: ends[0]] if len(ends) else row)
    return rows


def max_generated(prompt: int, generation: GenerationSettings) -> int:
    """Maximum number of tokens after a prompt of so many that its readers allow; at least one."""
    if generation.positions is None:
        return generation.max_new_tokens
    return max(1, min(generation.max_new_tokens, generation.positions - prompt))


def _bounded(models: Sequence[Any], prompt: int, generation: GenerationSettings) -> int:
    """The same, for models that read all of it while it is generated, too."""
    sizes = [family_of(m.config).positions(m.config) for m in models]
    known = [size for size in (*sizes, generation.positions) if size is not None]
    return max_generated(prompt, replace(generation, positions=min(known, default=None)))


def joined_rows(prompts: Sequence[Array], generated: Tensor, end: int) -> list[tuple[Array, Array]]:
    """Token ids and labels for a decoder, of prompts with their generated text: see `joined_row`.

    A response goes as far as the token that ends it, which is one of its labels.

    Args:
        prompts: Token ids.
        generated: int64 ``[B, S]``.
        end: The token that ends a text.
    """
    pairs = zip(prompts, generated.cpu().numpy(), until_end(generated, end), strict=True)
    rows = []
    for prompt, row, own in pairs:
        whole = row[: len(own) + 1]
        rows.append(joined_row(prompt.astype("int64"), whole, len(prompt) + len(whole)))
    return rows


def separate_rows(
    prompts: Sequence[Array], generated: Tensor, end: int
) -> list[tuple[Array, Array]]:
    """Prompts, and the texts of ``[B, L]`` up to and including the end token, both token ids."""
    ends = until_end(generated, end)
    pairs = zip(prompts, generated.cpu().numpy(), ends, strict=True)
    return [(ids, row[: len(own) + 1]) for ids, row, own in pairs]


def prompts_of(batch: Batch, *, joined: bool) -> list[Array]:
    """The prompts of a batch as token ids.

    Args:
        batch: Prompts and responses.
        joined: Whether both are in `Batch.input_ids`, as a decoder reads them.
    """
    ids, mask, labels = (
        t.cpu().numpy() for t in (batch.input_ids, batch.attention_mask, batch.labels)
    )
    prompts = [row[m == 1] for row, m in zip(ids, mask, strict=True)]
    if not joined:
        return prompts
    # The first label is that of the prompt's last token; a row without any is a prompt as a whole.
    return [
        prompt[: int((own != NO_LABEL).argmax()) + 1] if (own != NO_LABEL).any() else prompt
        for prompt, own in zip(prompts, labels, strict=True)
    ]


def generated_batch(
    batch: Batch, generated: Tensor, generation: GenerationSettings, *, joined: bool
) -> Batch:
    """The batch with generated text in place of its responses.

    Args:
        batch: Prompts and responses.
        generated: int64 ``[B, S]``.
        generation: How it was generated.
        joined: See `prompts_of`.
    """
    if joined:
        rows = joined_rows(prompts_of(batch, joined=True), generated, generation.end)
    else:
        rows = separate_rows(prompts_of(batch, joined=False), generated, generation.end)
    ids = _padded([ids for ids, _ in rows], generation.pad)
    made = Batch(
        input_ids=ids,
        attention_mask=_padded([np.ones(len(ids), np.int64) for ids, _ in rows], 0),
        token_type_ids=torch.zeros_like(ids),
        labels=_padded([labels for _, labels in rows], NO_LABEL),
        index=batch.index,
    )
    return made.to(batch.input_ids.device)


def _padded(rows: Sequence[Array], value: int) -> Tensor:
    longest = max(len(row) for row in rows)
    out = torch.full((len(rows), longest), value, dtype=torch.long)
    for k, row in enumerate(rows):
        out[k, : len(row)] = torch.from_numpy(row.astype("int64"))
    return out


class _VocabularyLimit:
    """Limits generation to the first token ids: rows of the matrix beyond them are padding.

    Args:
        vocabulary: How many.
    """

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """The scores, minus infinity for all other ids."""
        return widened(scores[:, : self._vocabulary], scores.shape[1])


def widened(scores: Tensor, width: int) -> Tensor:
    """Scores ``[..., V]`` of more token ids, of which those beyond V have probability 0."""
    return F.pad(scores, (0, width - scores.shape[1]), value=-torch.inf)


class _TeacherMixture:
    """Draws from student and teacher together: each step also runs the teacher.

    Both distributions are over the token ids that both have and that are to be generated.

    Args:
        teacher: A model with the student's tokens.
        mask: Of the prompts, 1 = token, ``[B, P]``.
        share: Of the teacher.
        generation: The temperature softens both.
    """

    def __init__(
        self, teacher: Any, mask: Tensor, share: float, generation: GenerationSettings
    ) -> None:
        self._teacher = teacher
        self._mask = mask
        self._share = share
        self._generation = generation
        self._cache: Any = None

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Logarithms of the mixture, from the scores of the student."""
        new = ids if self._cache is None else ids[:, -1:]
        mask = torch.cat(
            [self._mask, self._mask.new_ones(len(ids), ids.shape[1] - self._mask.shape[1])], dim=1
        )
        places = (mask.cumsum(dim=1) - 1).clamp_min(0)[:, -new.shape[1] :]
        counted = {"position_ids": places} if takes(type(self._teacher), "position_ids") else {}
        out = self._teacher(
            input_ids=new, attention_mask=mask, cache=self._cache, use_cache=True, **counted
        )
        self._cache = out.cache
        teacher_logits = out.logits[:, -1]
        own = self._generation.vocabulary or scores.shape[1]
        shared = min(own, scores.shape[1], teacher_logits.shape[1])
        mixed = mixed_probabilities(
            scores[:, :shared], teacher_logits[:, :shared],
            alpha=self._share, temperature=self._generation.temperature,
        )  # fmt: skip
        return widened(mixed.log(), scores.shape[1])
