"""Kinds of task: one file per kind, which defines ``KIND``."""
