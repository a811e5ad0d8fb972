"""The settings of training and of an adapter (LoRA), as files give them; free of heavy imports."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from raykd.errors import Problem, SetupError
from raykd.params import param

FLOAT32_PRODUCTS = "highest"
"""How float32 matrices are multiplied (`torch.set_float32_matmul_precision`): in float32, without
TF32. For speed there is bf16, which has as few bits and is recorded with every trial."""
AUTO = "auto"
"""What a setting is called that is decided where the training runs."""
FULL = "full"
"""A sharding: of everything."""
COLLECTIVE_TIMEOUT_S = 4 * 3600
"""Ranks wait this long for each other: one prepares or scores a teacher alone."""
STATE_EVERY_S = 60.0
"""Least time between two saved states of a training."""
IN_PARTS = ("adamw", "sgd")
"""Optimizers that move a part of a matrix as they would in the whole."""
FLASH = "flash_attention_2"
"""An attention that needs a package and a GPU."""
ADAMW_8BIT = "adamw_8bit"
"""An optimizer that needs a package."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """How a model is trained; the same loop serves teachers and students."""

    epochs: int = param(3, low=1, help="Passes over the training rows.")
    batch_size: int = param(
        32, low=1, help="Rows per optimizer step over all workers together, however many there are."
    )
    micro_batch: int | str = param(
        AUTO,
        low=1,
        choices=(AUTO,),
        help="Most rows of a forward and backward pass on each worker; gradients of the passes of "
        "a step are added up. auto = the whole batch, half as many each time memory runs out.",
    )
    sharding: str = param(
        "none",
        choices=("none", FULL),
        help="full = every worker of a trial keeps a part of weights, gradients and moments, and "
        "gathers a block of the model as it runs (FSDP2), so that students need not fit on a "
        "device; none = every worker keeps all of them. The same result, within rounding.",
    )
    gradient_checkpointing: bool = param(
        False,
        help="Compute the inside of every block again in the backward pass in place of keeping it: "
        "less memory, the same gradient, about a third more time.",
    )
    attention: str = param(
        AUTO,
        choices=(AUTO, "sdpa", "eager", FLASH),
        help="Implementation of attention; auto = the fastest that the device has of sdpa and one "
        "with cheaper dropout on a CPU. Methods that read attention maps always use eager.",
    )
    compile: bool | str = param(
        AUTO,
        choices=(AUTO,),
        help="Compile the student's blocks (torch.compile), once for all trials of a slot. auto = "
        "not compiled: on a GPU only trainings of thousands of steps gain, on a CPU hardly any.",
    )
    optimizer: str = param(
        "adamw",
        choices=("adamw", ADAMW_8BIT, "adafactor", "sgd", "muon"),
        help="adamw_8bit keeps what it remembers of large matrices in 8 bits (extra "
        "raykd[bitsandbytes]); sgd has a momentum of 0.9; muon moves the matrices of the blocks, "
        "adamw the rest. The same lr means something else for each, but for the two adamw.",
    )
    lr: float = param(5e-5, low=0.0, open=True, help="Peak learning rate.")
    warmup_ratio: float = param(
        0.1, low=0.0, high=1.0, help="Share of the steps over which the rate rises from 0."
    )
    schedule: str = param(
        "linear", choices=("linear", "constant"), help="Shape of the rate after warm-up."
    )
    weight_decay: float = param(
        0.01,
        low=0.0,
        help="Decay per step, times the rate; biases and normalisation weights are left out.",
    )
    adam_epsilon: float = param(1e-8, low=0.0, open=True, help="Epsilon of adamw.")
    max_grad_norm: float | None = param(
        1.0, low=0.0, open=True, help="Gradients are clipped to this norm; null = no clipping."
    )
    precision: str = param(
        "auto",
        choices=("auto", "fp32", "bf16"),
        help="auto = bf16 autocast where the device has it, else fp32.",
    )
    dropout: float | None = param(
        None, low=0.0, high=0.9, help="Dropout of the model; null = the model's own."
    )
    length_grouping: bool = param(
        True, help="Batch rows of similar length (order of batches is shuffled), to pad less."
    )
    packing: bool | str = param(
        AUTO,
        choices=(AUTO,),
        help="Let short texts share a row in the forward passes of decoders that write text, as "
        "wide as the longest row; losses and gradients are the same. auto = where length_grouping "
        "is false and the model can; grouped rows leave little padding.",
    )
    evals_per_epoch: int = param(
        1, low=1, help="Evaluations on the validation split in each epoch."
    )
    eval_batch_size: int = param(128, low=1, help="Rows per evaluation batch.")

    @property
    def packs(self) -> bool:
        """Whether texts share rows, where the model can."""
        return self.packing is True or (self.packing == AUTO and not self.length_grouping)


def check_attention(name: object, *, gpus: bool = True, key: str = "train.attention") -> None:
    """Refuse an attention whose package is not installed, or that the devices cannot compute.

    Args:
        name: Of the attention.
        gpus: Whether trials have GPUs; it is taken for granted where that is not known yet.
        key: Its place in the file.

    Raises:
        SetupError: With the reason.
    """
    if name != FLASH:
        return
    message, hint = "", f"set {key} to auto or sdpa"
    if not gpus:
        message = f"{FLASH} runs on GPUs only, and trials have none"
    elif importlib.util.find_spec("flash_attn") is None:
        message = f"{FLASH} needs the package flash-attn, which is not installed"
        hint = f"install it (pip install flash-attn), or {hint}"
    if message:
        problem = Problem(path=key, message=message, hint=hint)
        raise SetupError(message, hint=hint, problems=[problem])


def check_optimizer(name: object, key: str = "train.optimizer") -> None:
    """Refuse an optimizer whose package is not installed.

    Args:
        name: Of the optimizer.
        key: Its place in the file.

    Raises:
        SetupError: With the reason.
    """
    if name == ADAMW_8BIT and importlib.util.find_spec("bitsandbytes") is None:
        raise SetupError(
            f"{key} is {ADAMW_8BIT}, and package bitsandbytes is not installed",
            hint=f"pip install 'raykd[bitsandbytes]', or set {key} to adamw",
        ).at(key)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSettings:
    """What an arm learns from; parameters of every arm besides those of its method."""

    unlabelled: bool = param(
        True,
        help="Learn from the rows of data.unlabelled, too; the task loss counts rows with a label.",
    )
    teacher: str = param(
        "", help="The one of teachers that the arm learns from; empty = the first, or the only one."
    )


LORA = "lora_"
"""What the names of a section ``student.lora`` begin with where they stand next to those above."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraSettings:
    """The adapter that a student trains in place of its weights."""

    lora_rank: int = param(8, low=1, help="Rank of the two matrices next to each layer.")
    lora_alpha: float = param(
        16.0, low=0.0, open=True, help="The output of an adapter is multiplied by alpha / rank."
    )
    lora_dropout: float = param(0.0, low=0.0, high=0.9, help="Dropout on the input of an adapter.")


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeSettings:
    """How much of the student that a file names is trained."""

    keep_layers: int | None = param(
        None, low=1, help="Blocks of it that stay, spread evenly, the last among them; null = all."
    )
    keep_heads: int | None = param(
        None,
        low=1,
        help="Attention heads of a block; width and neurons shrink with them. Only of a student "
        "with random weights; null = all.",
    )
