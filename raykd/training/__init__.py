"""One training loop in plain PyTorch."""
