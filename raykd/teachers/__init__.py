"""Preparing a teacher once and serving it to every trial."""
