"""Sets up tasks from a search space: settings, rows, models, teachers, checked for every arm."""

from raykd.home_folder import stand_in

stand_in()  # before Transformers is imported
