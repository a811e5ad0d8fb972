"""Loading, building and cutting models."""
