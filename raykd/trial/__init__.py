"""One trial; the coordinator, the slots that trials are leased to, and their workers."""
