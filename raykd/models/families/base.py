"""What raykd knows of an architecture: `ModelFamily`, derived from Transformers, and additions.

Every architecture with a head for a task is a family of its own. A file of this package adds what
cannot be derived, and calls it ``FAMILY``; a module outside the package may do the same, and is
then named with dots.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raykd import registry
from raykd.data.task_kinds import TEXT_KINDS, task_kind
from raykd.errors import SpecError
from raykd.models.architectures import classes
from raykd.models.architectures.layout import LABELS, Layout, find_layout
from raykd.models.architectures.sizes import check_heads, lowered, size_names, standard_name
from raykd.models.base import ModelDims, RandomInitConfig
from raykd.models.prunable_units import KEPT_UNITS, PrunableUnits
from raykd.models.task_head import kind_of, with_task

OUTSIDE = "model_family"
"""Entry of a configuration that names the module of a family outside the package."""

_DECODER: Mapping[str, Any] = {"bos_token_id": 0, "eos_token_id": 0}
_ENCODER_DECODER: Mapping[str, Any] = {"eos_token_id": 1, "decoder_start_token_id": 0}


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """How models of one architecture are configured, built and taken apart.

    Only the first attribute is needed; the others add what Transformers does not say.

    Attributes:
        model_type: ``model_type`` in a model folder's ``config.json``.
        name: Name in YAML; also the file's, the model type where there is none.
        is_checked: Whether the tests of the package check all that is promised of it; the other
            ones are probed before they are used, see `raykd.models.architectures.probe`.
        constants: Further entries of the configuration of a model with random weights.
        block_types: Entry of the configuration that lists the type of every block, for families
            that need `with_types`.
        types_cycle: Types of the blocks of a model with random weights, from the first one on,
            over and over.
        with_types: Entries of the configuration that say the types of all blocks, where they are
            not one list of them.
        numbered_by: Switches of the configuration that let a block compute something that depends
            on its number.
        reserved_positions: Position embeddings that no token uses, at least.
        pair_mask: Part whose ``get_attention_mask`` hides all positions from padding, which then
            looks at all of them alike, padding too; empty: padding looks at the tokens.
        units: Where heads and neurons are; None for families whose blocks cannot be taken apart.
        adapt: Changes a model that was just made, in place, where the library's lacks something.
    """

    model_type: str
    name: str = ""
    is_checked: bool = False
    constants: Mapping[str, Any] = field(default_factory=dict)
    block_types: str = ""
    types_cycle: tuple[str, ...] = ()
    with_types: Callable[[Sequence[str]], Mapping[str, Any]] = lambda types: {}
    numbered_by: tuple[str, ...] = ()
    reserved_positions: int = 0
    pair_mask: str = ""
    units: PrunableUnits | None = None
    adapt: Callable[[Any], None] = lambda model: None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.model_type)

    def config_class(self) -> Any:  # a PreTrainedConfig subclass
        """The configuration class."""
        return classes.config_class(self.model_type)

    @functools.cached_property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of task that it has a head for."""
        return classes.heads(self.model_type)

    @functools.cached_property
    def fields(self) -> Mapping[str, tuple[str, ...]]:
        """Names in the configuration for each size of a `RandomInitConfig`."""
        return size_names(self.config_class())

    @functools.cached_property
    def layout(self) -> Layout:
        """Where its parts are."""
        with classes.refusing(self.name):
            return find_layout(self.model_type, self._small)

    def _small(self, kind: str, layers: int, pad: int = 0) -> Any:
        sizes = RandomInitConfig(
            family=self.name, layers=layers, hidden=16, heads=2, intermediate=24, max_positions=32,
            dropout=0.0,
        )  # fmt: skip
        outputs = task_kind(kind).head_outputs(LABELS)
        return with_task(self._configured(sizes, 40, pad, 32), kind, outputs)

    @property
    def base_prefix(self) -> str:
        """Prefix of the body's weights; bare checkpoints lack it."""
        return self.layout.base

    @property
    def layer_prefix(self) -> str:
        """Prefix of the weights of a block, before its number; empty where there is no one list."""
        return self.layout.blocks

    @property
    def head_prefixes(self) -> tuple[str, ...]:
        """Prefixes of the weights of all heads."""
        return self.layout.heads

    @property
    def optional_prefixes(self) -> tuple[str, ...]:
        """Further weights that a checkpoint may lack."""
        return self.layout.optional

    @property
    def classifier(self) -> str:
        """The layer whose outputs are the classes, in models with a head for classes."""
        return self.layout.classifier

    @property
    def is_decoder(self) -> bool:
        """Whether tokens see those before them only, so that the last one speaks for a text."""
        return any(k.generates and k.is_joined for k in map(task_kind, self.kinds))

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether one part reads a prompt, and another one writes the response."""
        return any(k.generates and not k.is_joined for k in map(task_kind, self.kinds))

    @property
    def specials(self) -> tuple[str, ...]:
        """Special tokens of its own tokenizer: padding first, the end last; none of word pieces."""
        if self.is_decoder:
            return ("<|endoftext|>",)
        return ("<pad>", "</s>") if self.is_encoder_decoder else ()

    def head_class(self, kind: str) -> Any:  # a PreTrainedModel subclass
        """The model class for a kind of task.

        Raises:
            SpecError: The family has no head for it.
        """
        if kind not in self.kinds:
            serves = f"{' and '.join(self.kinds)}, not {kind}" if self.kinds else "no kind of task"
            raise SpecError(
                f"model family '{self.name}' serves {serves}",
                hint="choose a model of another family; teacher and student do the same",
            )
        return classes.head_class(self.model_type, kind)

    def config(
        self,
        random_init: RandomInitConfig,
        vocabulary: int,
        kind: str,
        num_labels: int,
        labels: Sequence[str] = (),
        pad: int | None = 0,
    ) -> Any:
        """The configuration of a model with random weights.

        The spread of the initial weights is ``hidden ** -0.5`` instead of the library's fixed 0.02,
        which suits a width of 768 and lets narrow models hardly learn at all. There are as many
        key-value heads as heads.

        Args:
            random_init: Its sizes.
            vocabulary: Token ids of the tokenizer.
            kind: Kind of task.
            num_labels: Width of the logits.
            labels: Names of the classes.
            pad: The token that pads, None where another one stands in for it.

        Raises:
            SpecError: The heads do not divide the width, or no such model can be configured.
        """
        check_heads(random_init, self.config_class(), self.name)
        positions = random_init.max_positions + self._unused(pad)
        with classes.refusing(self.name):
            config = self._configured(random_init, vocabulary, pad, positions)
        return with_task(config, kind, num_labels, labels)

    def _configured(
        self, random_init: RandomInitConfig, vocabulary: int, pad: int | None, positions: int
    ) -> Any:
        sizes = {
            "layers": random_init.layers,
            "hidden": random_init.hidden,
            "heads": random_init.heads,
            "intermediate": random_init.intermediate or 4 * random_init.hidden,
            "positions": positions,
            "dropout": random_init.dropout,
            "head": random_init.hidden // random_init.heads,
            "spread": random_init.hidden**-0.5,
        }
        entries = {
            "initializer_range": sizes["spread"],
            **{name: sizes[size] for size, names in self.fields.items() for name in names},
            **lowered(self.config_class(), vocabulary, positions),
            **self._tokens(),
            **self.constants,
            **self.typed(self.types_of(random_init.layers)),
            "vocab_size": vocabulary,
            "pad_token_id": pad,
        }
        config = self.config_class()(**entries)
        if pad is not None and self.is_encoder_decoder:
            config.decoder_start_token_id = pad
        if "." in self.name:
            setattr(config, OUTSIDE, self.name)
        return config

    def _tokens(self) -> Mapping[str, Any]:
        """The special tokens of a tokenizer that was trained for it."""
        if self.is_decoder:
            return _DECODER
        return _ENCODER_DECODER if self.is_encoder_decoder else {}

    def types_of(self, layers: int) -> tuple[str, ...]:
        """Types of the blocks of a model with random weights; none where all are alike."""
        cycle = self.types_cycle
        return tuple(cycle[k % len(cycle)] for k in range(layers)) if cycle else ()

    def typed(self, types: Sequence[str]) -> Mapping[str, Any]:
        """Entries of a configuration with blocks of these types."""
        return self.with_types(types) if self.block_types else {}

    def text_kind(self) -> str:
        """How it generates text, one of `raykd.data.task_kinds.TEXT_KINDS`; else empty."""
        return next((kind for kind in TEXT_KINDS if kind in self.kinds), "")

    def layers_field(self) -> str:
        """Name of the number of blocks in the configuration."""
        return standard_name(self.config_class(), "num_hidden_layers")

    def takes_token_types(self, config: Any) -> bool:
        """Whether the two texts of a pair are marked: there are embeddings of several types."""
        return (getattr(config, "type_vocab_size", None) or 0) > 1 and classes.takes(
            self.head_class(kind_of(vars(config))), "token_type_ids"
        )

    def is_head(self, tensor: str) -> bool:
        """Whether a weight of a model belongs to the head."""
        if base := self.base_prefix:
            return not tensor.startswith(base)
        return tensor.startswith(self.head_prefixes)

    def may_lack(self, tensor: str) -> bool:
        """Whether a checkpoint may lack this weight; it is then drawn at random."""
        return self.is_head(tensor) or tensor.startswith(self.optional_prefixes)

    def dims(self, config: Any, lacks: tuple[tuple[str, str], ...] = ()) -> ModelDims:
        """The dimensions that methods may depend on.

        Args:
            config: Of the model.
            lacks: Signals that it cannot give, each with the reason.
        """
        return ModelDims(
            family=self.name,
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            heads=getattr(config, "num_attention_heads", 0),
            vocabulary=config.vocab_size,
            intermediate=getattr(config, self.fields["intermediate"][0]) if self.units else None,
            uneven=hasattr(config, KEPT_UNITS),
            positions=self.positions(config),
            lacks=lacks,
        )

    def positions(self, config: Any) -> int | None:
        """Most tokens of a row; None where positions are relative."""
        named = [getattr(config, name) for name in self.fields.get("positions", ())]
        if not named:
            return None
        least: int = min(named)
        return least - self._unused(config.pad_token_id)

    def max_length(self, config: Any) -> int:
        """Most tokens of a row; there is no end to it where positions are relative."""
        positions = self.positions(config)
        return sys.maxsize if positions is None else positions

    def _unused(self, pad: int | None) -> int:
        """Positions that no token has: where they count from the padding token, those up to it."""
        begin = (pad or 0) if self.layout.counts_from_pad else self.layout.position_padding
        return 0 if begin is None else max(self.reserved_positions, begin + 1)


def family_named(name: str) -> ModelFamily:
    """The family of a name in YAML: that of a file here, of a module elsewhere, or a model type.

    Raises:
        UnknownName: There is none; the message suggests near ones.
        SpecError: A module of the user's cannot be imported.
    """
    if "." in name or name in registry.names("families"):
        family: ModelFamily = registry.load("families", name)
        return replace(family, name=name) if "." in name else family
    if model_type := classes.model_type_of(name):
        return family_of(model_type)
    raise registry.unknown("families", name, registry.model_types())


def family_of(config: Any) -> ModelFamily:
    """The family of a model.

    Args:
        config: Its configuration, as an object or as plain data, or its ``model_type``.

    Raises:
        SpecError: There is no such architecture, or it is one that brings code of its own.
    """
    if isinstance(config, str):
        return _by_type(config)
    plain = config if isinstance(config, Mapping) else vars(config)
    if outside := plain.get(OUTSIDE):
        return _outside(outside)
    if plain.get("auto_map") and not classes.is_known(str(plain.get("model_type"))):
        raise SpecError(
            f"a '{plain.get('model_type')}' brings code of its own (auto_map in its config.json), "
            "which is never run, and Transformers has no such architecture",
            hint="choose a model whose type is a part of Transformers",
        )
    return _by_type(plain["model_type"] if isinstance(config, Mapping) else config.model_type)


@functools.cache
def _by_type(model_type: str) -> ModelFamily:
    for name in registry.names("families"):
        family: ModelFamily = registry.load("families", name)
        if family.model_type == model_type:
            return family
    if not classes.is_known(model_type):
        raise classes.unknown(model_type)
    return ModelFamily(model_type=model_type)


@functools.cache
def _outside(name: str) -> ModelFamily:
    return family_named(name)
