"""The wording of instructions, as Alpaca and MiniLLM give them to decoders."""

from __future__ import annotations

_TASK = "Below is an instruction that describes a task"
_REQUEST = "Write a response that appropriately completes the request."
_INSTRUCTION = "\n\n### Instruction:\n"
RESPONSE = "\n\n### Response:\n"


def before_instruction(*, with_context: bool) -> str:
    """What is read before the instruction."""
    with_input = ", paired with an input that provides further context" if with_context else ""
    return f"{_TASK}{with_input}. {_REQUEST}{_INSTRUCTION}"


def before_context(instruction: str) -> str:
    """What is read before the context, the instruction included."""
    return f"{before_instruction(with_context=True)}{instruction}\n\n### Input:\n"
