"""What is recorded of a teacher's distributions over a vocabulary, in place of all scores."""
