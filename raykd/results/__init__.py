"""Records of a sweep, their storage, statistics and caveats."""
