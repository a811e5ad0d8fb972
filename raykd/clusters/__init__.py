"""Ray: connecting, nodes and the slots on them, job submission; cluster files, rules and cost."""
