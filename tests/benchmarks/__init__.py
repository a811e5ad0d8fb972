"""Benchmarks: each module has a `main` that prints a ratio against a baseline run next to it."""
