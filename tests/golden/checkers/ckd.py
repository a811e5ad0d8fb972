"""Checks ``ckd_*.npz``: relations, soft targets, feature baselines, totals and layer matching.

Keys are read by pattern::

    <kind>[@<strategy>]__<term>[@<strategy>]    kind: value, value64 or grad
    total_intended__<task>  total_as_shipped__<task>
    <nT>to<nS>__<strategy>__teacher|student

The strategy is emb+skip where none is named. Everything else must be one of the inputs. A
``value64`` is recomputed from inputs in float64.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.errors import RaykdError
from raykd.losses import features
from raykd.losses.gram import Gram, layer_gram, word_gram
from raykd.losses.layers import match_layers
from raykd.losses.logits import scaled_mse, soft_cross_entropy
from raykd.losses.relations import pair_relation, triple_relation, window_relation
from tests.golden.ckd_published import PUBLISHED, WINDOW, Published
from tests.golden.comparison import (
    Array,
    Comparison,
    Unknown,
    compare_gradient,
    compare_indices,
    compare_value,
    compare_zeros,
)

RTOL = 1e-5
RTOL_SIMILARITY = 5e-5  # a difference of nearly equal logarithms
ATOL_GRADIENT = 1e-5
ATOL_ZERO = 1e-6

_MODEL_OUTPUTS = ("hidden", "logits", "attentions")
_INPUTS = frozenset(
    {"attention_mask", "labels"}
    | {f"{side}_{name}" for side in ("teacher", "student") for name in _MODEL_OUTPUTS}
)
_LOSS = "l1loss|l2loss|smoothl1"
_NUMBER = re.compile(
    r"(?P<kind>value|value64|grad)(?:@(?P<before>[^@]+?))?__(?P<term>[^@]+?)(?:@(?P<after>[^@]+))?"
)
_TOTAL = re.compile(r"total_(?P<how>intended|as_shipped)__(?P<task>.+)")
_MATCHING = re.compile(r"(?P<teacher>\d+)to(?P<student>\d+)__(?P<strategy>.+)__(?P<side>.+)")
_PAIR = re.compile(
    rf"(?P<items>wr|ltr)dist_(?P<distance>cos|l2)_(?P<loss>kldiv|{_LOSS})(?P<norm>_distnorm)?"
)
_ANGLE = re.compile(rf"(?P<items>wr|ltr)angle(?:_window(?P<window>\d+))?_(?P<loss>{_LOSS})")
_SOFT = re.compile(r"(?P<name>kd|kdreg)_T(?P<temperature>\d+(?:\.\d+)?)")
_FEATURES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "pkd_cls": features.pkd_cls,
    "pkd_all": features.pkd_all,
    "tiny_hidden": features.tiny_hidden,
    "tiny_embed": features.tiny_hidden,
    "tiny_attention": features.tiny_attention,
}


class Inputs:
    """The tensors of one file in one precision; the student's ones collect gradients."""

    def __init__(self, arrays: Mapping[str, Array], dtype: torch.dtype) -> None:
        self._tensors: dict[str, Tensor] = {}
        for name in _INPUTS & arrays.keys():
            tensor = torch.from_numpy(np.array(arrays[name]))
            self._tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
            if name.startswith("student_"):
                self._tensors[name].requires_grad_()

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def gradients(self) -> dict[str, Array]:
        """Of every student tensor that was reached."""
        actual = {n: t.grad for n, t in self._tensors.items() if t.grad is not None}
        return {name: grad.numpy() for name, grad in actual.items()}

    def matched(self, strategy: str, *, maps: str = "hidden") -> tuple[list[Tensor], list[Tensor]]:
        """The paired layers of student and teacher."""
        student, teacher = self[f"student_{maps}"], self[f"teacher_{maps}"]
        embeddings = 0 if maps == "attentions" else 1
        pairs = match_layers(strategy, len(teacher) - embeddings, len(student) - embeddings)
        return [student[k] for k in pairs.student], [teacher[k] for k in pairs.teacher]

    def grams(self, items: str, strategy: str, context_padding: int = 0) -> tuple[Gram, Gram]:
        """Inner products of both sides; `items` is ``wr`` or ``ltr``."""
        mask = self["attention_mask"]
        student, teacher = self.matched(strategy)
        if items == "ltr":
            return layer_gram(student, mask), layer_gram(teacher, mask)
        return word_gram(student, mask, context_padding=context_padding), word_gram(
            teacher, mask, context_padding=context_padding
        )


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    for key, golden in arrays.items():
        if key in _INPUTS:
            continue
        try:
            yield _check_key(key, golden, arrays)
        except KeyError as exc:
            yield Unknown(key, f"needs {exc}, which the file does not have")
        except (LookupError, RaykdError, RuntimeError, TypeError, ValueError) as exc:
            yield Unknown(key, str(exc))


def _check_key(key: str, golden: Array, arrays: Mapping[str, Array]) -> Comparison | Unknown:
    if m := _MATCHING.fullmatch(key):
        if m["side"] not in ("teacher", "student"):
            return Unknown(key, f"there is no side '{m['side']}'")
        pairs = match_layers(m["strategy"], int(m["teacher"]), int(m["student"]))
        own = pairs.teacher if m["side"] == "teacher" else pairs.student
        return compare_indices(key, own, golden)
    if m := _TOTAL.fullmatch(key):
        if m["task"] not in PUBLISHED:
            return Unknown(key, f"no published setting for the task '{m['task']}'")
        row = PUBLISHED[m["task"]]
        row = row if m["how"] == "intended" else row.as_shipped()
        got = _total(Inputs(arrays, torch.float32), row)
        return compare_value(key, got.item(), golden, RTOL_SIMILARITY)
    m = _NUMBER.fullmatch(key)
    if not m or (m["before"] and m["after"]):
        return Unknown(key, "follows no documented pattern")
    inputs = Inputs(arrays, torch.float64 if m["kind"] == "value64" else torch.float32)
    term, strategy = m["term"], m["before"] or m["after"] or "emb+skip"
    got = _term(inputs, term, strategy)
    if got is None:
        return Unknown(key, f"there is no term '{term}'")
    result = got.detach().numpy()
    if m["kind"] == "grad":
        got.backward()
        (result,) = inputs.gradients().values()
        result = result[:, :1] if term.startswith("kdreg") else result
    if _is_always_zero(inputs, term, strategy):
        return compare_zeros(key, result, golden, ATOL_ZERO)
    if m["kind"] == "grad":
        return compare_gradient(key, result, golden, ATOL_GRADIENT)
    rtol = RTOL_SIMILARITY if "_cos_" in term else RTOL
    return compare_value(key, result.item(), golden, rtol)


def _is_always_zero(inputs: Inputs, term: str, strategy: str) -> bool:
    """Two layers have no angle but 0 and 1, and one distance: no distribution, normalised to 1."""
    shapeless = "_cos_" in term or term.endswith("_distnorm") or term.startswith("ltrangle")
    return term.startswith("ltr") and shapeless and len(inputs.matched(strategy)[0]) < 3


def _term(inputs: Inputs, term: str, strategy: str) -> Tensor | None:
    """One term through the public losses, or None for a name that does not exist."""
    if m := _PAIR.fullmatch(term):
        student_gram, teacher_gram = inputs.grams(m["items"], strategy)
        norm = m["norm"] is not None
        return pair_relation(
            student_gram, teacher_gram, distance=m["distance"], lossfunc=m["loss"], distnorm=norm
        )
    if m := _ANGLE.fullmatch(term):
        if m["window"] is None:
            return triple_relation(*inputs.grams(m["items"], strategy), lossfunc=m["loss"])
        if m["items"] == "ltr":
            return None
        window = int(m["window"])
        student_gram, teacher_gram = inputs.grams("wr", strategy, context_padding=window // 2)
        return window_relation(student_gram, teacher_gram, window=window, lossfunc=m["loss"])
    if m := _SOFT.fullmatch(term):
        return _soft(inputs, float(m["temperature"]), regression=m["name"] == "kdreg")
    if term == "ce":
        return F.cross_entropy(inputs["student_logits"], inputs["labels"])
    if term in _FEATURES:
        maps = "attentions" if term == "tiny_attention" else "hidden"
        student, teacher = inputs.matched(strategy, maps=maps)
        return _FEATURES[term](torch.stack(student, dim=1), torch.stack(teacher, dim=1))
    return None


def _soft(inputs: Inputs, temperature: float, *, regression: bool) -> Tensor:
    student, teacher = inputs["student_logits"], inputs["teacher_logits"]
    if regression:
        return scaled_mse(student[:, :1], teacher[:, :1], temperature=temperature).mean()
    return soft_cross_entropy(student, teacher, temperature=temperature).mean()


def _total(inputs: Inputs, row: Published) -> Tensor:
    words = inputs.grams("wr", "emb+skip", context_padding=WINDOW // 2)
    tokens = inputs.grams("ltr", "emb+skip")
    return (
        _soft(inputs, row.temperature, regression=row.regression)
        + row.wrdist * pair_relation(*words)
        + row.wrangle * window_relation(*words, window=WINDOW)
        + row.ltrdist * pair_relation(*tokens)
        + row.ltrangle * triple_relation(*tokens)
    )
