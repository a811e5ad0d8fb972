"""Training in plain PyTorch: the loop, evaluation, states and devices."""
