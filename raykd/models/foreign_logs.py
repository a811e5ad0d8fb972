"""What other libraries log while they are imported, and nobody who runs a sweep can use."""

from __future__ import annotations

import logging


def quiet_bitsandbytes() -> None:
    """Leave out a warning of bitsandbytes, which PEFT imports where it is installed.

    On a CPU it says that a product of matrices of 4 bits has no fast kernel. Nothing here
    multiplies those.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
