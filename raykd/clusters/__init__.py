"""Cluster files: what Ray would make of them, what is wrong with them, what they hold and cost."""
