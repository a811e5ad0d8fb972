"""What a model family must state: one `ModelFamily` per file, called ``FAMILY``.

Classes are named by module and imported when first needed: importing one family takes a third of
the time of the library's automatic classes, which know all of them.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raykd import registry
from raykd.data.task_kinds import TEXT_KINDS, kind_of_problem, task_kind
from raykd.errors import SpecError
from raykd.models.base import ModelDims, RandomInitConfig

TASK_KIND = "task_kind"
"""Entry of a configuration that names the kind of task where the library has no word for it."""


KEPT_UNITS = "kept_units"
"""Entry of a configuration for a model whose blocks have lost heads or neurons: how many of them
each block has left, ``{"heads": [...], "neurons": [...]}``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrunableUnits:
    """The prunable units of a block, its heads and neurons: names of its submodules.

    Attributes:
        attention: What is called with the input of the block and gives a tuple that begins with
            the heads' outputs (projected, if `attention_output` is a part of it).
        query: Projection to the heads' queries.
        key: Projection to their keys.
        value: Projection to their values.
        attention_output: Projection of the heads' outputs, side by side, back to the hidden width.
        attention_norm: Normalisation after the attention.
        feed_forward_in: Projection to the neurons.
        feed_forward_out: Projection of their activations back to the hidden width.
        feed_forward_norm: Normalisation after the feed-forward part.
    """

    attention: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    feed_forward_in: str
    feed_forward_out: str
    feed_forward_norm: str


STANDARD_FIELDS: Mapping[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers",),
    "hidden": ("hidden_size",),
    "heads": ("num_attention_heads",),
    "intermediate": ("intermediate_size",),
    "positions": ("max_position_embeddings",),
}
"""The names of most configurations in transformers, for `ModelFamily.fields`."""


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """How models of one architecture are configured, built and taken apart.

    Attributes:
        name: Name in YAML; also the file's.
        model_type: ``model_type`` in a model folder's ``config.json``.
        config_path: Module and name of the configuration class, ``module:Class``.
        head_path: Module and name of the class with a head, by kind of task.
        base_prefix: Prefix of the encoder's weights; bare checkpoints lack it.
        layer_prefix: Prefix of the weights of a block, before its number.
        head_prefixes: Prefixes of the head's weights.
        optional_prefixes: Further weights that a checkpoint may lack.
        fields: Names in the configuration for each size of a `RandomInitConfig`.
        constants: Further entries of the configuration of a model with random weights.
        takes_token_types: Whether the two texts of a pair are marked.
        reserved_positions: Position embeddings that no token uses.
        token_head: Parts that turn hidden states of tokens into scores of the vocabulary, applied
            one after the other; empty when the family has none.
        classifier: The layer whose outputs are the classes, in models with a head for classes.
        block_types: Entry of the configuration that names the type of every block, for families
            whose blocks differ; empty for the others.
        types_cycle: Types of the blocks of a model with random weights, from the first one on,
            over and over.
        with_types: Entries of the configuration that say the types of all blocks.
        numbered_by: Switches of the configuration that let a block compute something that depends
            on its number.
        specials: Special tokens of a tokenizer trained for it: the first one pads, the last one
            ends a text; empty for word pieces.
        pair_mask: Part whose ``get_attention_mask`` hides all positions from padding, which then
            looks at all of them alike, padding too; empty: padding looks at the tokens.
        units: Where heads and neurons are; None for families whose blocks cannot be taken apart.
    """

    name: str
    model_type: str
    config_path: str
    head_path: Mapping[str, str]
    base_prefix: str
    layer_prefix: str
    head_prefixes: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    optional_prefixes: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    takes_token_types: bool = False
    token_head: tuple[str, ...] = ()
    classifier: str = "classifier"
    block_types: str = ""
    types_cycle: tuple[str, ...] = ()
    with_types: Callable[[Sequence[str]], Mapping[str, Any]] = lambda types: {}
    numbered_by: tuple[str, ...] = ()
    specials: tuple[str, ...] = ()
    reserved_positions: int = 0
    pair_mask: str = ""
    units: PrunableUnits | None = None

    def config_class(self) -> Any:  # a PreTrainedConfig subclass
        """The configuration class."""
        return _imported(self.config_path)

    def head_class(self, kind: str) -> Any:  # a PreTrainedModel subclass
        """The model class for a kind of task.

        Raises:
            SpecError: The family has no head for it.
        """
        if kind not in self.head_path:
            raise SpecError(
                f"model family '{self.name}' serves {' and '.join(self.head_path)}, not {kind}",
                hint="choose a model of another family; teacher and student do the same",
            )
        return _imported(self.head_path[kind])

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
        which suits a width of 768 and lets narrow models hardly learn at all.

        Args:
            random_init: Its sizes.
            vocabulary: Token ids of the tokenizer.
            kind: Kind of task.
            num_labels: Width of the logits.
            labels: Names of the classes.
            pad: The token that pads, None where another one stands in for it.

        Raises:
            SpecError: The heads do not divide the width.
        """
        if random_init.hidden % random_init.heads:
            raise SpecError(
                f"hidden: {random_init.hidden} cannot be split over heads: {random_init.heads}",
                hint="choose heads that divide hidden",
            )
        sizes = {
            "layers": random_init.layers,
            "hidden": random_init.hidden,
            "heads": random_init.heads,
            "intermediate": random_init.intermediate or 4 * random_init.hidden,
            "positions": random_init.max_positions + self._unused(pad),
            "dropout": random_init.dropout,
            "head": random_init.hidden // random_init.heads,
        }
        named = {name: sizes[size] for size, names in self.fields.items() for name in names}
        config = self.config_class()(
            **named,
            **self.constants,
            **self.typed(self.types_of(random_init.layers)),
            vocab_size=vocabulary,
            initializer_range=random_init.hidden**-0.5,
            pad_token_id=pad,
        )
        if pad is not None and "decoder_start_token_id" in self.constants:
            config.decoder_start_token_id = pad
        return with_task(config, kind, num_labels, labels)

    def types_of(self, layers: int) -> tuple[str, ...]:
        """Types of the blocks of a model with random weights; none where all are alike."""
        cycle = self.types_cycle
        return tuple(cycle[k % len(cycle)] for k in range(layers)) if cycle else ()

    def typed(self, types: Sequence[str]) -> Mapping[str, Any]:
        """Entries of a configuration with blocks of these types."""
        return self.with_types(types) if self.block_types else {}

    def text_kind(self) -> str:
        """How it writes text, one of `raykd.data.task_kinds.TEXT_KINDS`; empty when it does not."""
        return next((kind for kind in TEXT_KINDS if kind in self.head_path), "")

    def layers_field(self) -> str:
        """Name of the number of blocks in the configuration."""
        return self.fields["layers"][0]

    def is_head(self, tensor: str) -> bool:
        """Whether a weight belongs to the head."""
        return tensor.startswith(self.head_prefixes)

    def may_lack(self, tensor: str) -> bool:
        """Whether a checkpoint may lack this weight; it is then drawn at random."""
        return tensor.startswith(self.head_prefixes + self.optional_prefixes)

    def dims(self, config: Any) -> ModelDims:
        """The dimensions that methods may depend on."""
        return ModelDims(
            family=self.name,
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            heads=config.num_attention_heads,
            vocabulary=config.vocab_size,
            intermediate=getattr(config, self.fields["intermediate"][0]) if self.units else None,
            uneven=hasattr(config, KEPT_UNITS),
            positions=self.max_length(config) if "positions" in self.fields else None,
        )

    def max_length(self, config: Any) -> int:
        """Most tokens of a row; there is no end to it where positions are relative."""
        if "positions" not in self.fields:
            return sys.maxsize
        positions: int = config.max_position_embeddings
        return positions - self._unused(config.pad_token_id)

    def _unused(self, pad: int | None) -> int:
        """Positions that no token has: where they count from the padding token, those up to it."""
        return max(self.reserved_positions, (pad or 0) + 1) if self.reserved_positions else 0


def with_task(config: Any, kind: str, num_labels: int, labels: Sequence[str] = ()) -> Any:
    """Write the task's head into a configuration, and return it.

    Args:
        config: The configuration.
        kind: Kind of task.
        num_labels: Width of the logits.
        labels: Names of the classes, in the order of the logits. Only classes have names; without
            them a model for classes keeps its own, where it has as many.
    """
    config.num_labels = num_labels
    names = list(labels) if task_kind(kind).has_class_names else _unnamed(num_labels)
    if names:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: k for k, name in enumerate(names)}
    setattr(config, TASK_KIND, kind)
    if problem_type := task_kind(kind).problem_type:
        config.problem_type = problem_type
    return config


def _unnamed(count: int) -> list[str]:
    """The library's names of outputs that have none."""
    return [f"LABEL_{k}" for k in range(count)]


def kind_of(config: Mapping[str, Any]) -> str:
    """The kind of task that `with_task` wrote into a configuration."""
    if TASK_KIND in config:
        return str(config[TASK_KIND])
    return kind_of_problem(config.get("problem_type")).name


@functools.cache
def family_of(model_type: str) -> ModelFamily:
    """The family of a ``model_type``.

    Raises:
        SpecError: There is none; the message names those there are.
    """
    found: dict[str, ModelFamily] = {}
    for name in registry.names("families"):
        family: ModelFamily = registry.load("families", name)
        found[family.model_type] = family
    if model_type not in found:
        raise SpecError(
            f"models of type '{model_type}' are not supported (supported: {', '.join(found)})",
            hint=_other_type(model_type, list(found)),
        )
    return found[model_type]


def _other_type(model_type: str, supported: list[str]) -> str:
    """What to do about a type: a near name is meant only where there is no such architecture."""
    from transformers.models.auto import configuration_auto

    known: Mapping[str, str] = vars(configuration_auto)["CONFIG_MAPPING_NAMES"]
    near = registry.suggestion(model_type, supported)
    if near and model_type not in known:
        return near
    return "choose a model of one of these types: another architecture has other weights"


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def declared_ties(model: Any) -> dict[str, str]:
    """Weights that are others under a second name unless they are given, and which ones."""
    return dict(model.all_tied_weights_keys)


def tied_names(model: Any) -> frozenset[str]:
    """Weights of a model that are others under a second name, e.g. an output matrix.

    What counts is the model, not its configuration: the output matrix of a T5 may be one of its
    own, whatever the configuration says.
    """
    return frozenset(
        name
        for name, source in declared_ties(model).items()
        if model.get_parameter(name) is model.get_parameter(source)
    )
