"""Ray: connection, nodes and the slots on them, job submission; cluster files, rules and cost."""

from raykd.home_folder import stand_in

stand_in()  # before Ray is imported
