"""Vocabulary caches: what is recorded of the teacher's distributions in place of all logits."""
