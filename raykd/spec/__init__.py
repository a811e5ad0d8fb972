"""The search-space file: reading, checking, and what it means."""
