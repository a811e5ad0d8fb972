"""Models: families, checkpoints, tokenizers, teacher-student pairs, pruning, signals."""
