"""Studies of the search, with their samplers and schedulers."""
