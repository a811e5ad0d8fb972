"""One trial, and the slots that trials are leased to."""
