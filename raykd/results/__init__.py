"""Records of a sweep: storage, statistics, caveats and the verdict."""
