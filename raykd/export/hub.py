"""Puts an exported student on the model hub: a new repository, private by default.

What goes wrong there is one message each: no token, no network, a name that is taken or is none, no
right to write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from raykd import hub
from raykd.errors import RaykdError, SetupError, SpecError, Unreachable
from raykd.models.weight_files import read_json

ANSWERS = {
    401: (
        "the hub does not know the token",
        "hf auth login, or set HF_TOKEN to one that may write",
    ),
    403: ("the token may not write there", "use one with write access to the name's owner"),
    429: ("the hub asks to wait: too many requests", "try again in some minutes"),
}
"""What an answer of the hub means, and what to do."""


def check_name(name: str) -> None:
    """Refuse what is no name of a repository, before anything is written.

    Raises:
        SpecError: It is none.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as exc:
        raise SpecError(
            f"'{name}' is not a name on the hub: {str(exc).splitlines()[0]}",
            hint="--push-to-hub OWNER/NAME, of letters, digits, '-', '_' and '.'",
        ) from exc


def check_access(name: str) -> None:
    """Refuse to continue without a free name, a token or a network, before anything is written.

    Raises:
        SpecError: The name is none, or taken.
        SetupError: There is no token, or the hub refuses it.
        Unreachable: The hub does not answer.
    """
    from huggingface_hub import HfApi, constants, get_token

    check_name(name)
    if get_token() is None:
        raise SetupError(
            "there is no token for the hub", hint="hf auth login, or set HF_TOKEN to one"
        )
    if not hub.reachable():
        raise Unreachable(
            f"cannot reach the hub ({constants.ENDPOINT}), or HF_HUB_OFFLINE is set",
            hint="export without --push-to-hub, and upload the folder later: hf upload",
        )
    api = HfApi()
    with _refusals("nothing was written", name):
        whole = name if "/" in name else f"{api.whoami()['name']}/{name}"
        if api.repo_exists(whole):
            raise SpecError(
                f"there is '{whole}' on the hub already, and nothing of it is replaced",
                hint="choose another name, or delete that one",
            )


def check_base(folder: Path) -> None:
    """Refuse an adapter of a model that only this machine has, before anything is written.

    Its folder would be published, and nobody else could open the adapter.

    Raises:
        SpecError: The model that it belongs to is named by an absolute path.
    """
    path = folder / "adapter_config.json"
    if not path.is_file():
        return
    base = read_json(path).get("base_model_name_or_path")
    if isinstance(base, str) and (PurePosixPath(base).is_absolute() or "\\" in base):
        raise SpecError(
            f"the student is an adapter of the model in '{base}', a folder that only this machine "
            "has: nobody could open it from the hub",
            hint="run the search space with student: {lora: {save: merged}}, or name the model as "
            "the hub does",
        )


def push(folder: Path, name: str, *, is_private: bool = True) -> str:
    """Make the repository and put the files of a folder there, as one commit.

    Args:
        folder: What is uploaded.
        name: Of the repository, ``owner/name`` or ``name``.
        is_private: Whether only its owner sees it.

    Returns:
        The address of the repository.

    Raises:
        SpecError: There is one of that name.
        SetupError: The hub refuses the token or the files, or cannot be reached any more.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _refusals(f"the hub did not make '{name}'", name):
        made = api.create_repo(name, private=is_private, exist_ok=False)
    # The repository is there by now, and stays where the rest fails.
    with _refusals(f"{made} was made, but the files did not get there", made.repo_id):
        api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, commit_message="A student, by raykd"
        )
    return str(made)


@contextlib.contextmanager
def _refusals(what: str, name: str) -> Iterator[None]:
    """Turns whatever the client of the hub raises into one message."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    try:
        yield
    except RaykdError:
        raise
    except GatedRepoError as exc:
        raise SetupError(
            f"{what}: it is gated", hint=f"ask for access on the page of {name}, or take another"
        ) from exc
    except HfHubHTTPError as exc:
        raise _refused(what, name, exc.response.status_code, exc.server_message or "") from exc
    except Exception as exc:  # whatever its HTTP client raises, which changes with its version
        raise SetupError(
            f"{what}: {type(exc).__name__}: {str(exc).partition(chr(10))[0]}",
            hint="what is exported can be uploaded later: hf upload",
        ) from exc


def _refused(what: str, name: str, status: int, reply: str) -> RaykdError:
    if status == 409:
        return SpecError(
            f"there is '{name}' on the hub already, and nothing of it is replaced",
            hint="the folder is exported; upload it under another name: hf upload",
        )
    message, hint = ANSWERS.get(status, (f"the hub answered {status}", "try again later"))
    return SetupError(f"{what}: {message}{f' ({reply})' if reply else ''}", hint=hint)
