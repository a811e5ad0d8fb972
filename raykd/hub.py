"""Reaching the model and data hub: is there a network, and what to say when there is none.

Both data and models need this; it knows the hub's client, no model and no task.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from pathlib import Path

from raykd.errors import Unreachable

PROBE_SECONDS = 3.0
"""Longest wait for the hub to answer before it counts as unreachable."""


def reachable() -> bool:
    """Whether the hub answers within `PROBE_SECONDS`; False at once in offline mode."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return False
    answered = threading.Event()
    # In a thread, because looking up a host name takes no time limit.
    probe = threading.Thread(target=_probe, args=(constants.ENDPOINT, answered), daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    return answered.is_set()


def _probe(address: str, answered: threading.Event) -> None:
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
            answered.set()
    except urllib.error.HTTPError:
        answered.set()  # refused is still an answer
    except OSError:
        return


def model_cache() -> Path:
    """Folder where downloaded models are kept."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def unreachable(name: str, cache: Path, instead: str) -> Unreachable:
    """The error for something that is neither on disk nor within reach.

    Args:
        name: What the user named, e.g. ``google-bert/bert-base-uncased``.
        cache: The folder that was searched.
        instead: What can be set instead, e.g. ``set teacher.model to a folder``.
    """
    return Unreachable(
        f"cannot reach {name}: no network, and not in the local cache ({cache})",
        hint=f"download once with network, or {instead}",
    )
