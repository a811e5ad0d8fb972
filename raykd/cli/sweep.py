"""``raykd sweep``: run a search space, or continue a run."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raykd.cli.completions import runs
from raykd.cli.imports import AllowImports, limit_imports
from raykd.cli.output import Output
from raykd.cli.run_paths import SweepPaths, sweep_paths
from raykd.errors import DataError, SpecError
from raykd.results.store_address import is_address
from raykd.user_code import ALLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from raykd.spec.schema import SweepSpec

SMOKE = (
    "search.trials=2", "search.repeats=1", "data.limit=64", "train.epochs=1", "confirm.seeds=[1]",
)  # fmt: skip
"""What ``--smoke`` changes: two short trials per arm prove that everything fits together."""


@dataclass(frozen=True, kw_only=True)
class SweepArguments:
    """What may be typed after ``raykd sweep``."""

    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A search space.")] = None
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")
    ] = None
    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="DIR|URL", help="Folder of run folders, also in a store (s3://...)."
        ),
    ] = "runs"
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN|URL", help="Continue this run.", autocompletion=runs),
    ] = None
    start_from: Annotated[
        str | None,
        typer.Option(
            "--start-from",
            metavar="RUN|URL",
            autocompletion=runs,
            help="Try the best configurations of this run first.",
        ),
    ] = None
    address: Annotated[
        str | None, typer.Option("--address", help="Ray cluster: auto, or an address.")
    ] = None
    submit: Annotated[
        str | None,
        typer.Option("--submit", metavar="URL", help="Run it as a job of the cluster there."),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="With --submit: send the token over plain http, too."),
    ] = False
    trials: Annotated[
        int | None, typer.Option("--trials", help="Trials per arm; on a resumed run the new total.")
    ] = None
    time_budget: Annotated[
        str | None, typer.Option("--time-budget", help="End the search after this, e.g. 30m.")
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the sweep.")] = None
    isolate: Annotated[
        bool,
        typer.Option(
            "--isolate", help="New worker processes for every trial: some ten seconds each."
        ),
    ] = False
    allow_imports: AllowImports = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at data and models, and show the plan only.")
    ] = False
    no_data: Annotated[
        bool, typer.Option("--no-data", help="With --dry-run: leave data and models out.")
    ] = False
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke", help="Two trials of one epoch on 64 rows per arm, to prove the path."
        ),
    ] = False
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="Leave the confirm stage out.")
    ] = False
    allow_changes: Annotated[
        bool,
        typer.Option("--allow-changes", help="With --resume: continue with other data or models."),
    ] = False

    def overrides(self) -> list[str]:
        """``KEY=VALUE`` of ``--set`` and of the options that are short for one."""
        shortcuts = {
            "search.trials": None if self.resume else self.trials,
            "search.time_budget": self.time_budget,
            "search.seed": self.seed,
            "resources.isolate": "true" if self.isolate else None,
        }
        given = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
        return [*(self.override or ()), *given, *(SMOKE if self.smoke else ())]


def sweep(output: Output, typed: SweepArguments) -> int:
    """Run a search space: prepare teachers, search, confirm, report."""
    if typed.submit is not None and is_address(typed.out):
        raise SpecError(
            f"--submit brings the run here, so that --out is a folder, got {typed.out}",
            hint="to keep it in a store: ray job submit -- raykd sweep FILE --out URL",
        )
    with sweep_paths(
        typed.out, typed.resume, typed.start_from, output.note, runs=not typed.dry_run
    ) as paths:
        return _sweep(output, typed, paths)


def _sweep(output: Output, typed: SweepArguments, paths: SweepPaths) -> int:
    """Run it where run folders are on this machine."""
    from raykd.cli.validate import look_at, raise_all, show_plan
    from raykd.spec.load import placed

    overrides = typed.overrides()
    limit_imports(typed.allow_imports, Path.cwd() if typed.file is None else typed.file.parent)
    if typed.submit is not None and (typed.resume is not None or typed.address is not None):
        raise SpecError(
            "--submit sends a search space away: it goes with neither --resume nor --address",
            hint="to continue a run there: ray job submit -- raykd sweep --resume RUN",
        )
    spec, source = _read(typed.file, paths.resume, overrides)
    if paths.start_from is not None:
        if typed.resume is not None or typed.submit is not None:
            raise SpecError(
                "--start-from begins a sweep here: it goes with neither --resume nor --submit",
                hint="put the configurations under start of each method of the file",
            )
        from raykd.sweep.warm_start import started_from

        spec = started_from(spec, paths.start_from)
    if typed.resume is not None and typed.trials is not None:
        from raykd.sweep.run_folder import with_budget

        spec = with_budget(spec, typed.trials)
    if typed.dry_run:
        name = str(typed.file or typed.resume)
        seen, wrong = (None, []) if typed.no_data else look_at(name, spec, overrides)
        raise_all(wrong)
        show_plan(name, spec, output, seen)
        return 0
    if typed.submit is not None:
        arguments = [part for change in overrides for part in ("--set", change)]
        arguments += ["--no-confirm"] if typed.no_confirm else []
        arguments += [ALLOW] if typed.allow_imports else []
        return _submit(typed, spec, source, arguments, output)
    try:
        with _cluster_ahead() if typed.address in (None, "local") else contextlib.nullcontext():
            return _run(typed, paths, spec, source, output)
    except (SpecError, DataError) as exc:
        if typed.file is None:
            raise
        problems = [placed(problem, typed.file, overrides) for problem in exc.problems()]
        raise exc.with_problems(problems) from exc


def _cluster_ahead() -> contextlib.AbstractContextManager[None]:
    """A local cluster whose processes start while this one imports and reads."""
    from raykd.clusters import local_cluster

    return local_cluster.ahead()


def _run(
    typed: SweepArguments, paths: SweepPaths, spec: SweepSpec, source: str, output: Output
) -> int:
    """Run the search space from here; returns the exit code."""
    from raykd.cli.console import open_console
    from raykd.cli.ending import show_end
    from raykd.cli.signals import Signals
    from raykd.sweep.run import SweepOptions, run_sweep

    options = SweepOptions(
        out=paths.out,
        address=None if typed.address == "local" else typed.address,
        resume=paths.resume,
        confirm=not typed.no_confirm,
        allow_changes=typed.allow_changes,
        command=shlex.join(["raykd", *sys.argv[1:]]),
        check=paths.check,
    )
    is_new = paths.resume is None and paths.mirror is None
    where = _Where(output, f" {ALLOW}" if typed.allow_imports else "", paths.shown)
    try:
        with Signals(where.last_words), where.watchdog, open_console(output) as console:

            def listen(event: Mapping[str, Any]) -> None:
                console.handle(event)
                where.handle(event)

            with paths.kept(listen) as heard:
                run_sweep(spec, source, options, heard)
    except KeyboardInterrupt:
        where.tell()  # where it came so late that the sweep itself was done
        raise
    except Exception as exc:
        if where.is_empty:
            # Refused: no node can hold what a trial requests, and none could the next time.
            where.forget() if is_new and isinstance(exc, SpecError) else where.tell()
        raise
    finally:
        if where.report and not output.is_json:
            show_end(where.run, where.report, output, paths.shown(where.run))
    return _exit_code(where.run)


class _Where:
    """Where run and report are, and how to continue.

    Attributes:
        run: The run folder, empty before it is made.
        report: The report, empty before it is written.
        is_empty: Whether there is nothing yet to continue from.
        watchdog: Says it when this process cannot.
    """

    def __init__(self, output: Output, options: str, shown: Callable[[str], str]) -> None:
        from raykd.cli.watchdog import Watchdog

        self.run = ""
        self.report = ""
        self.is_empty = True
        self.watchdog = Watchdog()
        self._output = output
        self._options = options
        self._name_of = shown
        self._shown = False

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take in an event: the beginning, the report, the end."""
        kind = event["event"]
        if kind in ("sweep_started", "sweep_resumed") and not event.get("replayed"):
            self.run = event["folder"]
            self.watchdog.watch(
                "raykd ended without a word: it was killed, or memory ran out (dmesg says so), or "
                f"Ray ended it as its own processes were killed; {self._to_continue()}"
            )
        elif kind == "teacher_ready" or kind.startswith("trial_"):
            self.is_empty = False
        elif kind == "sweep_finished" and event["status"] != "done" and not self.is_empty:
            # Before Ray is left, which takes a while.
            self.tell()
        elif kind == "report_written":
            self.report = event["report"]

    def forget(self) -> None:
        """Delete the run folder: the same request would be refused again."""
        shutil.rmtree(self.run, ignore_errors=True)
        self.run = ""

    def tell(self) -> None:
        """Say how to continue, once."""
        if self.run and not self._shown:
            self._shown = True
            self._output.note(f"stopped; {self._to_continue()}")

    def last_words(self) -> str:
        """What to say before an end at once."""
        self.watchdog.dismiss()
        if not self.run:
            return "stopped; nothing was begun"
        return f"stopped at once, without a report; {self._to_continue()}"

    def _to_continue(self) -> str:
        run = shlex.quote(self._name_of(self.run))
        return f"continue with: raykd sweep --resume {run}{self._options}"


def _submit(
    typed: SweepArguments, spec: SweepSpec, source: str, arguments: list[str], output: Output
) -> int:
    """Run the search space as a job of a cluster; returns what it ended with there."""
    from raykd.cli.console import open_console
    from raykd.cli.ending import show_end
    from raykd.clusters.job_submission import submit

    assert typed.submit is not None
    report = Path(spec.report.path.format(name=spec.name))
    with open_console(output) as console:
        done = submit(
            typed.submit, source, arguments,
            out=Path(typed.out), report=report, listener=console.handle, note=output.note,
            insecure=typed.insecure,
        )  # fmt: skip
    if done.run is not None and not output.is_json:
        show_end(done.run, report, output)
    return done.exit_code


def _read(file: Path | None, resume: Path | None, overrides: list[str]) -> tuple[SweepSpec, str]:
    """The search space and its text."""
    from raykd.spec.load import load_spec

    if (file is None) == (resume is None):
        raise SpecError(
            "give a search space, or a run to continue with --resume",
            hint="raykd sweep FILE, or raykd sweep --resume RUN",
        )
    if file is not None:
        return load_spec(file, overrides), file.read_text(encoding="utf-8")
    assert resume is not None
    if overrides:
        raise SpecError(
            f"a resumed run keeps its settings, got {overrides[0]}",
            hint="leave the options out, or start a new sweep",
        )
    from raykd.sweep.run_folder import reopen

    return reopen(resume)[0], ""


def _exit_code(run: str) -> int:
    """3 when an arm has no completed trial, else 0."""
    from raykd.results.store import load_results

    result = load_results(run)
    done = {(t.task, t.arm) for t in result.trials if t.status == "completed"}
    every = {(task.name, arm) for task in result.tasks for arm in result.arms}
    return 0 if every <= done else 3
