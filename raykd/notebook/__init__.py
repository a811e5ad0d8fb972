"""Sweeps from Python and in notebooks: a run as tables, verdicts, models and figures."""

from raykd.notebook.kernel import in_notebook, without_advice

if in_notebook():  # before the libraries are imported that give some
    without_advice()
