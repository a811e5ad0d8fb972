"""``python -m raykd`` is the ``raykd`` command."""

from raykd.cli.main import run

run()
