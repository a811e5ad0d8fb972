"""What an arm can turn into: its combinations, the signals they read, and why a pair is refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raykd import registry
from raykd.params import Scalar, build
from raykd.spec.domains import Domain
from raykd.spec.schema import MethodSpec, SweepSpec

if TYPE_CHECKING:
    from raykd.losses.targets import Divergence
    from raykd.methods.base import Derivation, Method, Setting, Signals

MAX_COMBINATIONS = 4096


def combinations(arm: MethodSpec) -> Iterator[Mapping[str, Scalar]]:
    """The parameter sets an arm can reach, one per combination of choices.

    A numeric domain stands at its high end, where its term is switched on. A conditional domain is
    left out where its condition does not hold. At most `MAX_COMBINATIONS` are given.
    """
    names = list(arm.domains)
    options = [_ends(arm.domains[name]) for name in names]
    for drawn in itertools.islice(itertools.product(*options), MAX_COMBINATIONS):
        values = {**arm.fixed, **dict(zip(names, drawn, strict=True))}
        yield _without_inactive(values, arm.domains)


def _ends(domain: Domain) -> tuple[Scalar, ...]:
    if domain.kind == "choice":
        return domain.choices
    assert domain.high is not None
    return (int(domain.high) if domain.kind in ("int", "logint") else domain.high,)


def _without_inactive(
    values: dict[str, Scalar], domains: Mapping[str, Domain]
) -> Mapping[str, Scalar]:
    """Drop what is switched off, until nothing depends on something dropped."""
    while True:
        off = [n for n in values if n in domains and not domains[n].active(values)]
        if not off:
            return values
        values = {name: value for name, value in values.items() if name not in off}


def is_complete(arm: MethodSpec) -> bool:
    """Whether `combinations` gives all of them."""
    total = 1
    for domain in arm.domains.values():
        total *= len(_ends(domain))
    return total <= MAX_COMBINATIONS


def parameters(method: str, values: Mapping[str, Scalar]) -> Any:  # the method's own Params
    """The method's ``Params`` for one combination.

    Raises:
        SpecError: If the values do not go together.
    """
    return build(registry.params_of("methods", method), values)


def built(arm: MethodSpec, setting: Setting) -> Iterator[Method[Any]]:
    """The method of an arm, once per combination."""
    method = registry.load("methods", arm.method)
    for values in combinations(arm):
        yield method(parameters(arm.method, values), setting)


def union_signals(spec: SweepSpec, setting: Setting, *, reduced: bool = False) -> Signals:
    """Everything that some trial of the sweep may read from the teacher of a task.

    An arm with more combinations than can be listed counts with all that its method may ever read.

    Args:
        spec: The sweep.
        setting: The pair.
        reduced: Whether methods that read hidden states through reductions only get those.
    """
    from raykd.methods.base import Signals

    union = Signals()
    for arm in spec.methods.values():
        for method in built(arm, setting):
            signals, reductions = method.signals(), method.reductions()
            if reduced and reductions:
                signals = replace(signals, hidden_states=(), reductions=reductions)
            union = union.union(_served(signals))
        if not is_complete(arm):
            union = union.union(_served(registry.load("methods", arm.method).requires))
    return union


def _served(signals: Signals) -> Signals:
    """The signals of one method, with the weights where recorded outputs cannot serve it."""
    return replace(signals, weights=signals.live)


def vocabulary_needs(
    spec: SweepSpec, setting: Setting
) -> tuple[tuple[tuple[str, Divergence], ...], bool]:
    """What trials may need of the teacher's distributions over a vocabulary.

    Returns:
        Divergences, each with its label; and whether some trial reads the scores themselves.
    """
    found: dict[tuple[str, Divergence], None] = {}
    reads = False
    for label, arm in spec.methods.items():
        for method in built(arm, setting):
            needed = method.divergences()
            found |= dict.fromkeys((label, of) for of in needed)
            reads = reads or (method.signals().logits and not needed)
    return tuple(found), reads


def new_tokens(spec: SweepSpec, setting: Setting, given: int) -> dict[str, tuple[int, bool]]:
    """Arms that learn from text that is written, by label.

    Args:
        spec: The sweep.
        setting: The pair.
        given: Most tokens of a response that the teacher writes.

    Returns:
        Most tokens that are written after a prompt, and whether the student writes them.
    """
    found: dict[str, tuple[int, bool]] = {}
    for label, arm in spec.methods.items():
        for method in built(arm, setting):
            own = method.new_tokens()
            most = max(own, given if method.signals().generation else 0)
            if most > found.get(label, (0, False))[0]:
                found[label] = (most, own > 0)
    return found


def derivations(spec: SweepSpec, setting: Setting) -> tuple[Derivation, ...]:
    """Every distinct way in which some trial may derive teachers, in the order of the arms."""
    found: dict[Derivation, None] = {}
    for arm in spec.methods.values():
        for method in built(arm, setting):
            derivation = method.derivation()
            if derivation is not None:
                found[derivation] = None
    return tuple(found)


def refusals(spec: SweepSpec, setting: Setting) -> list[tuple[str, str]]:
    """Labels that cannot work on this pair and task, each with the reason in the user's words."""
    refused: list[tuple[str, str]] = []
    for label, arm in spec.methods.items():
        reason = next((r for r in (m.refusal() for m in built(arm, setting)) if r), "")
        if reason:
            refused.append((label, reason))
    return refused
