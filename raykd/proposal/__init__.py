"""Proposals: a search space for data of the user's, by what it holds and what fits the machine."""
