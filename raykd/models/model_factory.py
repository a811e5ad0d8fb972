"""Builds models: from given weights, or from a configuration and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from raykd.models.base import ModelDims, RandomInitConfig
from raykd.models.families.base import family_named
from raykd.models.inference import frozen
from raykd.models.load import build_model, model_dims, positions_of
from raykd.models.weights import ModelState, parameter_count, restore, without_memory


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFactory:
    """Builds a model any number of times, the same one for the same seed.

    Attributes:
        kind: Kind of task; chooses the head.
        num_labels: Width of the logits.
        dims: Its sizes.
        state: Initial weights; what they lack (a fresh head) is drawn from the seed. Without them
            and `random_init` nothing can be built.
        random_init: Sizes of a model with random weights, when there is no `state`.
        labels: Names of the classes, in the order of the logits.
        pad: The token that pads in a model with random weights, None where another one stands in.
    """

    kind: str
    num_labels: int
    dims: ModelDims
    state: ModelState | None = None
    random_init: RandomInitConfig | None = None
    labels: tuple[str, ...] = ()
    pad: int | None = 0

    def positions(self) -> int:
        """Most tokens that it can read; `sys.maxsize` where positions are relative."""
        known = self.state or self.random_init
        assert known is not None
        return positions_of(known)

    def parameters(self) -> int:
        """How many weights it has; nothing is built."""
        if self.state is not None:
            return parameter_count(self.state)
        return sum(p.numel() for p in self.without_memory().parameters())

    def without_memory(self) -> nn.Module:
        """The model on the meta device: its parts and their shapes."""
        if self.state is not None:
            return without_memory(self.state)
        with torch.device("meta"):
            return self.build(0)

    def build(self, seed: int) -> nn.Module:
        """A new model with weights of its own, in float32."""
        if self.state is not None:
            return restore(self.state, seed=seed, dtype=torch.float32)
        assert self.random_init is not None
        return build_model(
            self.random_init,
            vocabulary=self.dims.vocabulary,
            kind=self.kind,
            num_labels=self.num_labels,
            seed=seed,
            labels=self.labels,
            pad=self.pad,
        )

    def frozen(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A read-only model in evaluation mode, without gradients.

        It shares the weights of `state` that are of the type requested: many processes of a node
        hold them once, as long as they stay on the CPU. Writing to them would change all of them.

        Args:
            dtype: Type of its weights.
        """
        if self.state is None:
            model = self.build(0).to(dtype)
        else:
            model = restore(self.state, shared=True, dtype=dtype)
        return frozen(model)


def factory_from_state(
    state: ModelState, kind: str, num_labels: int, labels: tuple[str, ...] = ()
) -> ModelFactory:
    """The factory of a model with these initial weights."""
    return ModelFactory(
        kind=kind, num_labels=num_labels, dims=model_dims(state), state=state, labels=labels
    )


def factory_from_random_init(
    random_init: RandomInitConfig,
    *,
    vocabulary: int,
    kind: str,
    num_labels: int,
    labels: tuple[str, ...] = (),
    pad: int | None = 0,
) -> ModelFactory:
    """The factory of a model with random weights."""
    family = family_named(random_init.family)
    config = family.config(random_init, vocabulary, kind, num_labels, labels, pad)
    return ModelFactory(
        kind=kind,
        num_labels=num_labels,
        dims=model_dims(config),
        random_init=random_init,
        labels=labels,
        pad=pad,
    )
