"""A teacher behind an address: its questions, how they are sent, and what the answers mean."""
