"""Sweeps that are killed at random instants and resumed, compared with one that was left alone."""
