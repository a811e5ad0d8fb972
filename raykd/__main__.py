"""``python -m raykd`` is the ``raykd`` command."""

import sys

from raykd.cli.main import main

sys.exit(main())
