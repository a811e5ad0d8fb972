"""What an arm can turn into: its combinations, the outputs they read, and why a pair is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raykd import registry
from raykd.params import Scalar, build, describe
from raykd.spec.domains import Domain
from raykd.spec.schema import ArmSpec, SweepSpec
from raykd.training.settings import RowSettings

if TYPE_CHECKING:
    from raykd.losses.targets import Divergence
    from raykd.methods.base import DistillationContext, Method, TeacherAnalysis
    from raykd.models.signals.base import OutputSpec

MAX_COMBINATIONS = 4096
SMALL = 128
"""Whole numbers of a domain that are all asked for, at most."""
_WITHIN = 0.01
"""How far from its ends a domain is looked at where the ends themselves do not count."""


def combinations(arm: ArmSpec, *, ends: bool = True) -> Iterator[Mapping[str, Scalar]]:
    """Parameter sets an arm can reach: enough of them to see all that its trials may need.

    Every choice is met with every other. Numbers are moved together: all at their high end, all at
    the low one, all in the middle, and each one apart from the others, so that a term of weight
    ``x``, ``1 - x`` or a product of such is switched on in one of them. Small domains of whole
    numbers, which may be numbers of layers, take every value with the others in the middle. A
    conditional domain is left out where its condition does not hold. At most `MAX_COMBINATIONS` are
    given.

    Args:
        arm: The arm.
        ends: Whether numbers are taken at the ends of their domains; else just within, for what
            must hold for trials: a weight is hardly ever exactly 0.
    """
    listed, moved = _plan(arm)
    points = _points([arm.domains[name] for name in moved], ends)
    choices = itertools.product(*(arm.domains[name].choices for name in listed))
    drawn = ((*chosen, *point) for chosen in choices for point in points)
    seen: set[tuple[tuple[str, str], ...]] = set()
    for values in itertools.islice(drawn, MAX_COMBINATIONS):
        named = dict(zip([*listed, *moved], values, strict=True))
        named_values = _without_inactive({**arm.fixed, **named}, arm.domains)
        # 1 and True are equal, and not the same value.
        key = tuple((name, repr(value)) for name, value in sorted(named_values.items()))
        if key not in seen:
            seen.add(key)
            yield named_values


def _plan(arm: ArmSpec) -> tuple[list[str], list[str]]:
    """Parameters with choices, and those that are numbers."""
    listed = [name for name, domain in arm.domains.items() if domain.kind == "choice"]
    return listed, [name for name in arm.domains if name not in listed]


def _listed(domain: Domain) -> tuple[Scalar, ...]:
    """All values of a small domain of whole numbers."""
    low, high = _bounds(domain)
    if domain.kind not in ("int", "logint") or high - low >= SMALL:
        return ()
    return tuple(range(int(low), int(high) + 1))


def _bounds(domain: Domain) -> tuple[float, float]:
    assert domain.low is not None
    assert domain.high is not None
    return domain.low, domain.high


def _points(domains: Sequence[Domain], ends: bool) -> list[tuple[Scalar, ...]]:
    """Values of domains that are moved together, and each apart from the others."""
    if not domains:
        return [()]
    edge = 0.0 if ends else _WITHIN
    low, middle, high = ([_at(d, share) for d in domains] for share in (edge, 0.5, 1 - edge))
    points = [high, low, middle]
    for k, domain in enumerate(domains):
        if len(domains) > 1:
            points += [[*high[:k], low[k], *high[k + 1 :]], [*low[:k], high[k], *low[k + 1 :]]]
        points += [[*middle[:k], value, *middle[k + 1 :]] for value in _listed(domain)]
    return [tuple(point) for point in points]


def _at(domain: Domain, share: float) -> Scalar:
    """The value so far up a domain; a value that a trial may have."""
    low, high = _bounds(domain)
    if share in (0.0, 1.0):
        value = high if share else low
    elif domain.kind in ("loguniform", "logint") and low > 0:
        value = low * (high / low) ** share
    else:
        value = low + share * (high - low)
    value = min(max(value, low), high)
    if domain.step is not None:
        value = min(low + domain.step * round((value - low) / domain.step), high)
    return round(value) if domain.kind in ("int", "logint") else value


def _without_inactive(
    values: dict[str, Scalar], domains: Mapping[str, Domain]
) -> Mapping[str, Scalar]:
    """Drop what is switched off, until nothing depends on something dropped."""
    while True:
        off = [n for n in values if n in domains and not domains[n].active(values)]
        if not off:
            return values
        values = {name: value for name, value in values.items() if name not in off}


def is_complete(arm: ArmSpec) -> bool:
    """Whether `combinations` is not cut off."""
    listed, moved = _plan(arm)
    points = len(_points([arm.domains[name] for name in moved], True))
    return points * math.prod(len(arm.domains[n].choices) for n in listed) <= MAX_COMBINATIONS


def parameters(method: str, values: Mapping[str, Scalar]) -> Any:  # the method's own Params
    """The method's ``Params`` for one combination.

    Raises:
        SpecError: If the values do not go together.
    """
    return build(registry.params_of("methods", method), own_parameters(values))


def own_parameters(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The parameters of the method among those of an arm."""
    shared = {info.name for info in describe(RowSettings)}
    return {name: value for name, value in values.items() if name not in shared}


def built(
    arm: ArmSpec, context: DistillationContext, *, ends: bool = True
) -> Iterator[Method[Any]]:
    """The method of an arm, once per combination."""
    method = registry.load("methods", arm.method)
    for values in combinations(arm, ends=ends):
        yield method(parameters(arm.method, values), context)


def union_of_outputs(
    spec: SweepSpec, context: DistillationContext, *, transformed: bool = False
) -> OutputSpec:
    """Everything that some trial of the sweep may read from the teacher of a task.

    An arm with more combinations than can be listed counts with all that its method may ever read.

    Args:
        spec: The sweep.
        context: Teacher, student and task.
        transformed: Whether methods that read hidden states through feature transforms only get
            those.
    """
    from raykd.models.signals.base import OutputSpec
    from raykd.models.signals.features import Transformed
    from raykd.models.signals.hidden_states import HiddenState

    union = OutputSpec()
    for arm in spec.methods.values():
        for method in built(arm, context):
            output_spec, feature_transforms = method.teacher_outputs(), method.feature_transforms()
            if transformed and feature_transforms:
                kept = output_spec.without(HiddenState)
                output_spec = kept.union(
                    OutputSpec(*(Transformed(of) for of in feature_transforms))
                )
            union = union.union(_served(output_spec))
        if not is_complete(arm):
            union = union.union(_served(registry.load("methods", arm.method).requires))
    return union


def _served(output_spec: OutputSpec) -> OutputSpec:
    """What one method reads, with the weights where cached outputs cannot serve it."""
    from raykd.models.signals.base import OutputSpec
    from raykd.models.signals.running_model import RunningModel
    from raykd.models.signals.unrecorded import needs_running_model

    running = RunningModel() if needs_running_model(output_spec) else None
    return output_spec.without(RunningModel).union(OutputSpec(running))


def vocabulary_needs(
    spec: SweepSpec, context: DistillationContext
) -> tuple[tuple[tuple[str, Divergence], ...], bool]:
    """What trials may need of the teacher's distributions over a vocabulary.

    Returns:
        Divergences, each with its arm; and whether some trial reads the scores themselves.
    """
    from raykd.models.signals.logits import Logits

    needs: dict[tuple[str, Divergence], None] = {}
    reads = False
    for name, arm in spec.methods.items():
        for method in built(arm, context):
            needed = method.divergences()
            needs |= dict.fromkeys((name, of) for of in needed)
            reads = reads or (Logits() in method.teacher_outputs() and not needed)
    return tuple(needs), reads


def teacher_analyses(spec: SweepSpec, context: DistillationContext) -> tuple[TeacherAnalysis, ...]:
    """Every distinct way in which some trial may derive teachers, in the order of the arms."""
    analyses: dict[TeacherAnalysis, None] = {}
    for arm in spec.methods.values():
        for method in built(arm, context):
            analysis = method.teacher_analysis()
            if analysis is not None:
                analyses[analysis] = None
    return tuple(analyses)


def refusals(spec: SweepSpec, context: DistillationContext) -> list[tuple[str, str]]:
    """Arms that cannot work on this pair and task, each with the reason in the user's words."""
    refused: list[tuple[str, str]] = []
    for name, arm in spec.methods.items():
        reason = next((r for m in built(arm, context, ends=False) if (r := m.refusal())), "")
        reason = reason or _endless(arm, context)
        if reason:
            refused.append((name, reason))
    return refused


def unused(arm: ArmSpec, context: DistillationContext) -> Mapping[str, str]:
    """Parameters that an arm sets or searches and no trial of it depends on, with the reason."""
    method = registry.load("methods", arm.method)
    left = dict.fromkeys((*arm.fixed, *arm.domains), "")
    for values in combinations(arm, ends=False):
        made = method(parameters(arm.method, values), context)
        reasons = {**made.unused(), **_unused_rows(made)}
        left = {
            n: reasons.get(n, why) for n, why in left.items() if n in reasons or n not in values
        }
        if not left:
            break
    return {name: why for name, why in left.items() if why}


def use_of_unlabelled(arm: ArmSpec, context: DistillationContext) -> str:
    """Whether trials of an arm learn from rows without a label: ``yes``, ``no`` or ``some``."""
    method = registry.load("methods", arm.method)
    uses = {
        bool(values.get("unlabelled", RowSettings().unlabelled))
        and method(parameters(arm.method, values), context).learns_without_labels()
        for values in combinations(arm, ends=False)
    }
    return "some" if len(uses) > 1 else "yes" if uses.pop() else "no"


def _unused_rows(method: Method[Any]) -> Mapping[str, str]:
    """What the settings of every arm do not change, with the reason."""
    if not method.context.unlabelled:
        return {"unlabelled": "there are no rows without a label (data.unlabelled)"}
    if not method.learns_without_labels():
        return {"unlabelled": "it learns of labels alone, and such rows are left out for it"}
    return {}


def _endless(arm: ArmSpec, context: DistillationContext) -> str:
    """That every trial would derive teachers in a way of its own, or empty.

    How teachers are derived is found out once, before the search, for values that can be listed.
    """
    _, moved = _plan(arm)
    method = registry.load("methods", arm.method)
    if all(m.teacher_analysis() is None for m in built(arm, context)):
        return ""
    for values in combinations(arm, ends=False):
        for name in (name for name in moved if name in values):
            domain = arm.domains[name]
            ways = {
                method(parameters(arm.method, {**values, name: end}), context).teacher_analysis()
                for end in _bounds_of(domain)
            }
            if len(ways) > 1:
                return (
                    f"looks at the teacher once for every value of '{name}', which is searched in "
                    f"{domain.describe()}\nsearch it as {{choice: [...]}} of a few values"
                )
    return ""


def _bounds_of(domain: Domain) -> tuple[Scalar, Scalar]:
    return _at(domain, _WITHIN), _at(domain, 1 - _WITHIN)
