"""Architectures of Transformers: their classes, sizes and layout, and probes of small copies."""
