"""Search algorithms and schedulers, and the studies they work on."""
