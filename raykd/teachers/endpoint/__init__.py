"""A teacher behind an address: what is asked of it, how, and what its answers mean."""
