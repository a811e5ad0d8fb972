"""The HTML report, made from a run folder alone."""
