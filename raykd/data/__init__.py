"""Tasks: their rows by role, tokenized datasets, batches, and metrics."""
