"""Sweeps from Python and in notebooks: a run as tables, verdicts, models and figures."""
