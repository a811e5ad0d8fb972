"""What the four terms of CKD cost, against one student step.

`python -m tests.benchmarks.ckd_terms`. Batch 32, length 128, width 768, 12 to 6 layers (7 matched
pairs), window 21, float32. A student step is forward and backward of a BERT with random weights;
the terms are forward and backward for the student's hidden states, the teacher's inner products
included. Measured in CPU-seconds of one thread, which a busy machine disturbs least; best of
several runs. On a GPU, by the clock. Hidden states are LayerNormed with a few large dimensions,
like BERT's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

from raykd.losses.gram import layer_gram, word_gram
from raykd.losses.relations import pair_relation, triple_relation, window_relation

ROWS, LENGTH, WIDTH, PAIRS, WINDOW = 32, 128, 768, 7, 21


def cpu_seconds(run: Callable[[], object], repeats: int) -> float:
    """Least CPU time of all threads over some runs; on a GPU, time of the clock."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    best = float("inf")
    for _ in range(repeats + 1):
        synchronize()
        start = clock()
        run()
        synchronize()
        best = min(best, clock() - start)
    return best


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def hidden_states(rng: torch.Generator, device: str) -> list[Tensor]:
    """Random LayerNormed vectors whose two outlier dimensions are the same everywhere."""
    states = torch.randn(PAIRS, ROWS, LENGTH, WIDTH, generator=rng)
    states[..., 7] += 8.0
    states[..., 300] -= 12.0
    return list(torch.nn.functional.layer_norm(states, (WIDTH,)).to(device).unbind(0))


def masks() -> dict[str, Tensor]:
    mixed = torch.linspace(12, LENGTH, ROWS).round()
    positions = torch.arange(LENGTH)
    return {
        "all 128 tokens": torch.ones(ROWS, LENGTH, dtype=torch.long),
        "12 to 128 tokens": (positions < mixed[:, None]).long(),
    }


def ckd_terms(student: list[Tensor], teacher: list[Tensor], mask: Tensor) -> Tensor:
    half = WINDOW // 2
    words = word_gram(student, mask, context_padding=half)
    tokens = layer_gram(student, mask)
    with torch.no_grad():
        teacher_words = word_gram(teacher, mask, context_padding=half)
        teacher_tokens = layer_gram(teacher, mask)
    return (
        pair_relation(words, teacher_words)
        + window_relation(words, teacher_words, window=WINDOW)
        + pair_relation(tokens, teacher_tokens)
        + triple_relation(tokens, teacher_tokens)
    )


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Threads that wait for each other on a busy machine spin, and spinning counts as CPU time.
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    config = BertConfig(num_hidden_layers=PAIRS - 1, hidden_size=WIDTH)
    torch.manual_seed(0)
    student = BertForSequenceClassification(config).to(device)
    ids = torch.randint(config.vocab_size, (ROWS, LENGTH), generator=rng).to(device)
    teacher_states = hidden_states(rng, device)
    student_states = [s.requires_grad_() for s in hidden_states(rng, device)]
    print(f"{torch.get_num_threads()} thread, {device}, torch {torch.__version__}")
    ratios = []
    for name, mask in masks().items():
        on_device = mask.to(device)

        def step(mask: Tensor = on_device) -> None:
            student.zero_grad(set_to_none=True)
            out = student(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            out.logits.logsumexp(dim=-1).sum().backward()

        def terms(mask: Tensor = on_device) -> None:
            for state in student_states:
                state.grad = None
            ckd_terms(student_states, teacher_states, mask).backward()

        base, extra = cpu_seconds(step, 2), cpu_seconds(terms, 4)
        ratios.append(extra / base)
        print(f"{name}: student step {base:.3f} s, ckd terms {extra:.3f} s, ratio {ratios[-1]:.3f}")
    print(f"ratio ckd terms / student step: {max(ratios):.3f}")


if __name__ == "__main__":
    main()
