"""Submits a sweep as a job of a cluster, follows it, and fetches its run folder."""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raykd.clusters.auth_token import read_token
from raykd.errors import SetupError
from raykd.results.event_log import Listener
from raykd.results.run_archive import unpack
from raykd.whole_file import whole_file

FILE = "search_space.yaml"
FOLDER = "runs"
"""Run folders of submitted sweeps, in the home folder of the head, which the cluster files share;
the folder of a job is temporary."""
FETCH_S = 120.0

READY_S = 60.0
"""The job server of a cluster that has just started may not take jobs before that."""

ASK_AGAIN_S = 1.0

NOT_READY = "No available agent"
"""In the answer of a job server that takes no jobs yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """A job that ended.

    Attributes:
        job: Its name.
        exit_code: What ``raykd sweep`` ended with there.
        run: The run folder, fetched, or None when there is none.
    """

    job: str
    exit_code: int
    run: Path | None


class Submission:
    """A connection to the job server of a cluster.

    Args:
        address: ``http://HOST:8265``, as ``ray dashboard`` makes it reachable.
        insecure: Whether to send the token without encryption to another machine.

    Raises:
        SetupError: The extra is not installed, the cluster does not answer, or it is reached
            without encryption.
    """

    def __init__(self, address: str, insecure: bool = False) -> None:
        self._address = address
        credentials = _credentials(address, insecure)
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        if importlib.util.find_spec("aiohttp") is None:  # the client would say so late
            raise SetupError(
                "--submit needs more of Ray than is installed",
                hint="pip install 'raykd[cluster]'",
            )
        try:
            self._client = JobSubmissionClient(address, headers=credentials)
        except AuthenticationError as exc:
            raise SetupError(
                f"the cluster at {address} asks for another token: {_first_line(exc)}",
                hint="copy the cluster's ~/.ray/auth_token here, or set RAY_AUTH_TOKEN",
            ) from exc
        except (ConnectionError, RuntimeError, ValueError) as exc:
            raise SetupError(
                f"the cluster at {address} does not answer: {_first_line(exc)}",
                hint="keep `ray dashboard CLUSTER.yaml` running next to this",
            ) from exc

    def send(self, text: str, arguments: Sequence[str], folder: str | None) -> str:
        """Start the sweep; returns the job's name.

        Args:
            text: The search space.
            arguments: Options of ``raykd sweep``.
            folder: Of run folders, on the head; None for one in the home folder.

        Raises:
            SetupError: The cluster does not take the job.
        """
        out = shlex.quote(folder) if folder else f'"$HOME/{FOLDER}"'
        command = f"python -m raykd sweep {FILE} --address auto --format json --out {out}"
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / FILE).write_text(text, encoding="utf-8")
            return self.start(f"{command} {shlex.join(arguments)}".strip(), {"working_dir": place})

    def start(self, entrypoint: str, runtime_env: dict[str, Any] | None = None) -> str:
        """Start a job; returns its name.

        Raises:
            SetupError: The cluster does not take it.
        """
        until = time.monotonic() + READY_S
        while True:
            try:
                job: str = self._client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env)
                return job
            except RuntimeError as exc:  # what the server answered, as Ray's client raises it
                if NOT_READY not in str(exc) or time.monotonic() > until:
                    raise SetupError(
                        f"the cluster at {self._address} does not take the job: {exc}",
                        hint="ray status, on its head, says whether it is well; where several "
                        "clusters share a machine, ray start --dashboard-agent-listen-port gives "
                        "each its own job server",
                    ) from exc
            time.sleep(ASK_AGAIN_S)

    def follow(self, job: str, listener: Listener, other: Callable[[str], None]) -> str:
        """Hand on every event until the job is over; returns its run folder there.

        Args:
            job: Its name.
            listener: Gets events.
            other: Gets lines that are none, such as errors.
        """
        run = ""

        def line(text: str) -> None:
            nonlocal run
            event = _event(text)
            if event is None:
                other(text)
                return
            run = str(event.get("run", run)) if event["event"] == "report_written" else run
            listener(event)

        asyncio.run(self._lines(job, line))
        return run

    async def _lines(self, job: str, line: Callable[[str], None]) -> None:
        rest = ""
        async for part in self._client.tail_job_logs(job):
            *whole, rest = (rest + part).split("\n")
            for text in whole:
                line(text)
        if rest:
            line(rest)

    def exit_code(self, job: str) -> int:
        """What the job ended with; waits until the server knows."""
        info = self._ended(job)
        code = info.driver_exit_code
        return int(code) if code is not None else (0 if info.status == "SUCCEEDED" else 1)

    def fetch(self, run: str, out: Path) -> Path:
        """Bring a run folder here; returns where it is."""
        job = self.start(f"python -m raykd.results.run_archive {shlex.quote(run)}")
        self._ended(job)
        return unpack(self._client.get_job_logs(job), out)

    def _ended(self, job: str) -> Any:
        until = time.monotonic() + FETCH_S
        while True:
            info = self._client.get_job_info(job)
            if info.status.is_terminal():
                return info
            if time.monotonic() > until:
                raise SetupError(
                    f"job {job} of {self._address} does not end",
                    hint=f"look at it: ray job status {job} --address {self._address}",
                )
            time.sleep(0.5)


def submit(
    address: str,
    text: str,
    arguments: Sequence[str],
    *,
    out: Path,
    report: Path,
    listener: Listener,
    note: Callable[[str], None],
    insecure: bool = False,
) -> Submitted:
    """Run a search space on a cluster, follow it, and bring its run folder and report here.

    Args:
        address: Of the job server.
        text: The search space.
        arguments: Options of ``raykd sweep``.
        out: Folder of run folders: here, and on the head when it is absolute.
        report: Where the report goes here.
        listener: Gets events.
        note: Gets lines that are none.
        insecure: Whether to send the token without encryption to another machine.

    Raises:
        SetupError: The cluster does not answer, or is reached without encryption, or what it sent
            cannot be written.
        KeyboardInterrupt: The user stopped following; the sweep continues.
    """
    submission = Submission(address, insecure)
    job = submission.send(text, arguments, str(out) if out.is_absolute() else None)
    note(f"job {job} of {address}")
    try:
        run = submission.follow(job, listener, note)
    except KeyboardInterrupt:
        note(
            f"no longer followed; it continues. To stop it: ray job stop {job} --address {address}"
        )
        raise
    code = submission.exit_code(job)
    if not run:
        return Submitted(job=job, exit_code=code, run=None)
    fetched = submission.fetch(run, out)
    page = fetched / "report.html"
    if page.is_file():
        report.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(report) as part:
            shutil.copyfile(page, part)
    return Submitted(job=job, exit_code=code, run=fetched)


def _credentials(address: str, insecure: bool) -> dict[str, str]:
    """The header with the token that clusters ask for.

    Raises:
        SetupError: It would travel where others can read it, and nobody asked for that.
    """
    token = read_token()
    if not token:
        return {}
    url = urlsplit(address)
    if url.scheme != "https" and not insecure and not _is_loopback(url.hostname or ""):
        raise SetupError(
            f"{address} is reached without encryption: whoever is on the way could read the token "
            "of the cluster, and run code there",
            hint="ray dashboard CLUSTER.yaml brings it to http://localhost:8265 through SSH; or "
            "send it all the same with --insecure",
        )
    return {"Authorization": f"Bearer {token}"}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _event(text: str) -> Mapping[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _first_line(exc: BaseException) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__
