"""Evaluates confirmed students of a run with an evaluation harness, and brings the scores back."""
