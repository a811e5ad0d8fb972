"""Weights & Biases: a run for each trial and one for the verdicts, in one group for each sweep."""

from __future__ import annotations

import contextlib
import netrc
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from raykd.errors import SetupError
from raykd.loggers.base import LoggedTrial, Logger, Memory, Scores, SweepEnd, TrialEnd
from raykd.params import Scalar, param

if TYPE_CHECKING:
    from wandb import Settings
    from wandb.sdk.wandb_run import Run

_SWEEP = "sweep"
"""The run of what belongs to no trial."""
_OTHER = re.compile(r"[^\w.-]")
"""What the id of a run may not hold."""
_LATE_S = 5.0
"""How long the run of a trial stays open after its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Where the runs go."""

    project: str = param("raykd", help="Name of the project.")
    entity: str | None = param(None, help="User or team; null = your own default.")
    mode: str = param(
        "auto",
        choices=("auto", "online", "offline"),
        help="offline = into the run folder, for `wandb sync`; auto = what WANDB_MODE says, "
        "else online. The key comes from WANDB_API_KEY or `wandb login`.",
    )


class WandbLogger(Logger[Params]):
    """Scores by step in the run of the trial; the verdicts in the summary of the run ``sweep``.

    A resumed sweep continues in the same runs, whose ids are kept in the run folder. W&B's own step
    counts what was logged, so that it drops what a driver that was killed had logged before.
    """

    needs = "wandb"
    extra = "wandb"

    @classmethod
    def check(cls, params: Params) -> None:
        """Refuse to go online without a key, which W&B would ask for at the terminal.

        Raises:
            SetupError: There is no package, or no key.
        """
        Logger.check.__func__(cls, params)  # type: ignore[attr-defined]
        if _mode(params) == "online" and not _has_key():
            raise SetupError(
                "logger 'wandb' has no key",
                hint="export WANDB_API_KEY=..., or wandb login, or {wandb: {mode: offline}}",
            )

    def connect(self, memory: Memory) -> None:
        """Continue the runs of an earlier driver, or begin new ones."""
        # It would advertise a tracer where a client of language models is imported, too.
        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")
        self._id = str(memory.get("id") or secrets.token_hex(4))
        self._runs: dict[str, Run] = {}
        self._ended: dict[str, tuple[float, int]] = {}
        self._logged = int(memory.get("logged", 0))
        if not memory:
            self._config(self._run(_SWEEP, _SWEEP), self.sweep.settings)

    def trial_started(self, trial: LoggedTrial) -> None:
        """A run with the parameters of the trial."""
        about: Mapping[str, Scalar] = {"task": trial.task, "arm": trial.arm, "stage": trial.stage,
                 "number": trial.number}  # fmt: skip
        self._ended.pop(trial.key, None)
        self._config(self._run_of(trial), {**about, **trial.params})

    def scores(self, scores: Scores) -> None:
        """Values at a step."""
        run = self._run(_SWEEP, _SWEEP) if scores.trial is None else self._run_of(scores.trial)
        if scores.trial is None:
            run.summary.update(dict(scores.values))
        else:
            run.log({**scores.values, "step": scores.step}, step=self._logged)
            self._logged += 1

    def trial_finished(self, end: TrialEnd) -> None:
        """Final metrics in the summary, and the end of the run."""
        run = self._run_of(end.trial)
        about = {"status": end.status, "seconds": end.seconds, "error": end.error}
        run.summary.update({**end.metrics, **about})
        self._ended[end.trial.key] = (time.monotonic(), int(end.status == "failed"))

    def sweep_finished(self, end: SweepEnd) -> None:
        """The verdicts."""
        verdicts = {f"verdict/{task}": text for task, text in end.verdicts.items()}
        self._run(_SWEEP, _SWEEP).summary.update({**verdicts, "status": end.status})

    def flush(self) -> None:
        """End the runs of trials that ended some time ago: their last steps may come late."""
        for key, (when, code) in tuple(self._ended.items()):
            if time.monotonic() - when > _LATE_S:
                self._finish(key, code)

    def close(self) -> None:
        """End all runs."""
        for key in tuple(self._runs):
            self._finish(key, self._ended.get(key, (0.0, 0))[1])

    def memory(self) -> Memory:
        """What the ids of the runs begin with, and how much was logged."""
        return {"id": self._id, "logged": self._logged}

    @property
    def place(self) -> str:
        """The group of the runs, or the folder of those that are offline."""
        if _mode(self.params) == "offline":
            return f"{self.sweep.folder} (wandb sync sends it)"
        whose = f"{self.params.entity}/" if self.params.entity else ""
        return f"project {whose}{self.params.project}, group {self.sweep.run}"

    @staticmethod
    def _config(run: Any, values: Mapping[str, Scalar]) -> None:  # W&B's methods have no types
        run.config.update(dict(values), allow_val_change=True)

    def _run_of(self, trial: LoggedTrial) -> Run:
        return self._run(trial.key, trial.stage)

    def _run(self, key: str, kind: str) -> Run:
        """A run that is open, that of an earlier driver, or a new one."""
        if key not in self._runs:
            import wandb

            run = wandb.init(
                id=_OTHER.sub("-", f"{self._id}-{key}"), resume="allow", reinit="create_new",
                project=self.params.project, entity=self.params.entity, name=key,
                group=self.sweep.run, job_type=kind, dir=str(self.sweep.folder),
                mode=_mode(self.params), settings=_quiet(),
            )  # fmt: skip
            run.define_metric("*", step_metric="step")  # steps and evaluations may cross
            self._runs[key] = run
        return self._runs[key]

    def _finish(self, key: str, code: int) -> None:
        self._runs[key].finish(exit_code=code)
        del self._runs[key]
        self._ended.pop(key, None)


def _has_key() -> bool:
    """Whether W&B finds a key where it looks for one."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    for file in filter(None, (os.environ.get("NETRC"), "~/.netrc", "~/_netrc")):
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            if netrc.netrc(os.path.expanduser(file)).authenticators(host) is not None:
                return True
    return False


def _quiet() -> Settings:
    """Settings under which nothing is printed, and nothing of the driver's machine recorded."""
    from wandb import Settings

    return Settings(
        silent=True, console="off", disable_git=True, save_code=False, x_disable_meta=True,
        x_disable_stats=True, x_disable_machine_info=True,
    )  # fmt: skip


def _mode(params: Params) -> Literal["online", "offline"]:
    wanted = os.environ.get("WANDB_MODE", "online") if params.mode == "auto" else params.mode
    return "online" if wanted == "online" else "offline"


LOGGER = WandbLogger
