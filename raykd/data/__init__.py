"""Tasks, their rows, tokenised arrays and batches."""
