"""Hands a confirmed student on: a folder that others open, with a card that says where it is from.

It reads run folders through `raykd.results` and knows neither models nor the cluster: the files of
a student are those that its trial saved.
"""
