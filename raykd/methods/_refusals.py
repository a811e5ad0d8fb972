"""Reasons why a method cannot compare a given teacher and student."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raykd.data.base import PLAIN
from raykd.models.signals.aligned_tokens import AlignedTokens
from raykd.models.signals.base import CONTEXT
from raykd.models.signals.unrecorded import needs_running_model

if TYPE_CHECKING:
    from raykd.methods.base import DistillationContext
    from raykd.models.signals.base import OutputSpec


def kind_refusal(context: DistillationContext, kinds: tuple[str, ...]) -> str:
    """Why a method that serves some kinds of task does not serve this one, or empty.

    Args:
        context: Teacher, student and task.
        kinds: Names of the kinds.
    """
    if context.kind in kinds:
        return ""
    refused = f"serves {' and '.join(kinds)} tasks, not {context.kind}"
    if not context.task_kind.reads_apart:
        return refused
    return (
        f"{refused}: a model reads the two texts of a row one by one\n"
        "choose a method on the vectors of texts (embedding_cosine), or on similarities (kd)"
    )


def pair_refusal(
    context: DistillationContext, needs: OutputSpec, view: str, *, derives: bool
) -> str:
    """The reason in the user's words, or empty; a second line says what to do.

    Args:
        context: Teacher, student and task.
        needs: What is read from the teacher.
        view: Name of the view of the rows that the student learns from.
        derives: Whether teachers are derived from the teacher.
    """
    if context.holds is not None and (reason := _not_held(context.holds, needs, derives=derives)):
        return reason
    if not context.same_tokens and (reason := _other_tokens(context, needs, derives=derives)):
        return reason
    positions, kind = bool(needs.by_position), context.task_kind
    views = context.teacher_views
    if (
        views
        and PLAIN not in views
        and view not in views
        and (positions or (needs.cacheable and needs_running_model(needs)))
    ):
        what = "the hidden states of" if positions else "what the teacher says of"
        return (
            f"reads {what} the student's own prompts, but the teacher was fine-tuned on prompts "
            f"that begin with '{views[0]}: '\n"
            "leave out teacher.finetune.explain, or this method"
        )
    if positions and kind.generates and not kind.is_joined:
        return (
            "reads hidden states, and a model with an encoder and a decoder has two kinds of them\n"
            "choose a decoder such as GPT-2, or a method on tokens (kd)"
        )
    for side, sizes in (("teacher", context.teacher), ("student", context.student)):
        for signal in needs:
            if reason := signal.refusal(sizes):
                return reason.format(side=side)
        if needs.context_padding and (reason := sizes.lack(CONTEXT)):
            return (
                f"reads hidden states of padding, and in a {side} of the family '{sizes.family}' "
                f"{reason}\nchoose another model, or a method that reads tokens only"
            )
    return ""


def _not_held(holds: tuple[str, ...], needs: OutputSpec, *, derives: bool) -> str:
    """Why outputs that were made elsewhere will not do, or empty."""
    needed = [signal.title for signal in needs if signal.of_teacher and signal.kind not in holds]
    if needs_running_model(needs):
        needed = needed or ["the running model"]
    if not needed and not derives:
        return ""
    what = (
        f"reads {needed[0]} of the teacher" if needed else "derives other teachers from the model"
    )
    there = {"logits": "logits (kd)", "generations": "responses (seqkd)"}
    others = " or ".join(there[kind] for kind in holds)
    return (
        f"{what}, and of this teacher there are {' and '.join(holds) or 'no outputs'} only\n"
        f"name a model with teacher.checkpoint, or choose a method on {others}"
    )


def _other_tokens(context: DistillationContext, needs: OutputSpec, *, derives: bool) -> str:
    """Why models that split text differently will not do, or empty."""
    pair = (
        f"teacher '{context.teacher_name}' and student '{context.student_name}' split text "
        f"differently (vocabularies of {context.teacher.vocabulary:,} and "
        f"{context.student.vocabulary:,})"
    )
    kind = context.task_kind
    hint = "choose a student with the teacher's tokenizer"
    if kind.generates:
        hint += ", or a method that crosses tokenizers (uld, uld_aligned, gold, seqkd)"
    elif kind.labels_of == "row":
        hint += f", or a method on {kind.outputs} (kd)"
    if needs.by_position:
        return f"compares hidden states, but {pair}, so positions do not correspond\n{hint}"
    is_aligned = any(isinstance(signal, AlignedTokens) for signal in needs)
    if needs.cacheable and kind.labels_of != "row" and not is_aligned:
        return f"compares {kind.outputs}, but {pair}\n{hint}"
    if needs_running_model(needs):
        return f"lets the teacher read text of the student, but {pair}\n{hint}"
    if derives:
        return f"derives a teacher from what both models read, but {pair}\n{hint}"
    return ""
