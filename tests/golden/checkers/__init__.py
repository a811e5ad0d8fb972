"""One checker per family of golden files; the module's name is the beginning of the file names.

A checker defines ``check(path) -> Iterator[Comparison | Unknown]``: it recomputes every number of a
file through the public losses.
"""
