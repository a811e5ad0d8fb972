"""Signals: what a method may read of a model or ask of a teacher, one file for each kind."""
