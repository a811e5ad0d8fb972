"""The ``raykd`` command: finds the commands, shows errors, sets the exit code.

A command is a file in this folder with a function of the file's own name, e.g. ``sweep`` in
``sweep.py``; adding the file adds the command. A file with ``COMMANDS`` holds a group instead: its
functions are commands below the file's name (``raykd cluster check``). The function's docstring is
its help, its annotated arguments (``typer.Argument``, ``typer.Option``) are its options. Many of
them are fields of a dataclass: an argument of such a type receives one. An argument named
``output`` receives the `raykd.cli.output.Output` that all printing goes through. The
common options (``-q``, ``-v``, ``--format``, ``--log-file``) are added here, except one that the
function declares itself.
A command returns its exit code, None for 0, and lets every `RaykdError` pass: it is shown here.
A command file imports nothing heavy before its function runs: ``raykd --help`` imports all of them.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import importlib
import inspect
import io
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command

import raykd
from raykd import cli, user_code
from raykd.cli.env import versions
from raykd.cli.machine import fault_of_the_machine
from raykd.cli.output import Format, Output
from raykd.errors import ClusterLost, Problem, RaykdError, Stopped
from raykd.own_folder import delete_own_folders

_NOT_COMMANDS = {
    "main", "output", "console", "ending", "imports", "live_view", "machine", "progress",
    "run_paths", "signals", "watchdog"
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: Arguments after the program's name; those of the process when None.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage or file, 3 an arm without a completed trial,
        4 surroundings, 130 interrupted by Ctrl-C, 143 by SIGTERM.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal's encoding lacks is written as its number instead of ending the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    # A method named by a dotted name is found below the current folder, as with `python -m`.
    sys.path.append(os.getcwd())
    output = Output(format=_format_in(arguments), verbose="-v" in arguments)
    try:
        code = get_command(_app())(arguments, prog_name="raykd", standalone_mode=False, obj=output)
        return int(code or 0)
    except KeyboardInterrupt:
        return 130
    except (typer.Abort, typer.TyperException, RaykdError) as exc:
        return _show(exc, output)
    except Exception as exc:
        if (fault := fault_of_the_machine(exc)) is not None:
            fault.__cause__ = exc
            return _show(fault, output)
        output.problem(
            Problem(
                message=f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__,
                hint="this is a bug in raykd" + ("" if output.verbose else ", -v shows where"),
            ),
            traceback.format_exc(),
        )
        return 1
    finally:
        user_code.allow_all()  # commands that read files limit it
        output.close()


def run() -> NoReturn:
    """Run the command line of this process, and end it.

    Where Ray is in the process, the end is abrupt, after all that Python itself has to do: Ray
    crashes between that and the end of the process if it lost its cluster while it was left. Where
    it could not be left, what it does at the end is left out, too.
    """
    code = 1

    def end() -> None:
        if "ray" in sys.modules:
            os._exit(_flushed(code))

    atexit.register(end)  # the first to be registered is the last to be called
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as exc:  # of somebody else's code
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        raise
    clusters = sys.modules.get("raykd.clusters.watched")
    if clusters is not None and clusters.abandoned.is_set():
        _end_now(code)
    sys.exit(code)


def _flushed(code: int) -> int:
    """Write what is not written yet; the exit code after that."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as it is where it was closed before the start
                stream.flush()
        except (BrokenPipeError, ValueError):  # nobody reads it any more
            pass
        except OSError as exc:
            with contextlib.suppress(Exception):
                print(f"error: cannot write to {stream.name}: {exc.strerror}", file=sys.stderr)
            code = code or 4
    return code


def _show(exc: BaseException, output: Output) -> int:
    """Show an expected error and give its exit code."""
    if isinstance(exc, typer.Abort):
        return 130
    trace = "".join(traceback.format_exception(exc))
    if isinstance(exc, RaykdError):
        for problem in exc.problems():
            output.problem(problem, trace)
            trace = ""
        if isinstance(exc, ClusterLost):
            output.close()
            _end_now(exc.exit_code)
        return exc.exit_code
    assert isinstance(exc, typer.TyperException)
    context = getattr(exc, "ctx", None)
    path = context.command_path if context is not None else "raykd"
    message = exc.format_message().rstrip(".")
    if not message:  # `raykd` alone has shown its help
        return exc.exit_code
    output.problem(Problem(message=message, hint=f"{path} --help lists what there is"), trace)
    return exc.exit_code


def _end_now(code: int) -> NoReturn:
    """End the process: its threads wait for a Ray that is gone, and Python would wait for them."""
    code = _flushed(code)
    delete_own_folders()
    os._exit(code)


def _format_in(arguments: Sequence[str]) -> Format | None:
    """The format requested, read early so that a wrong option is answered in it."""
    for k, argument in enumerate(arguments):
        value = argument.partition("=")[2]
        if argument == "--format" and k + 1 < len(arguments):
            value = arguments[k + 1]
        if argument.startswith("--format") and value in ("rich", "plain", "json"):
            return Format(value)
    return None


def _app() -> typer.Typer:
    app = typer.Typer(
        name="raykd",
        help="Sweep distillation methods and their coefficients on Ray.",
        no_args_is_help=True,
        add_completion=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
    )
    app.callback()(_root)
    groups: dict[str, typer.Typer] = {"": app}
    for words, function in commands().items():
        group, _, name = words.rpartition(" ")
        if group not in groups:
            groups[group] = typer.Typer(no_args_is_help=True, help=_summary(group))
            app.add_typer(groups[group], name=group)
        groups[group].command(name)(_with_common_options(function))
    return app


def commands() -> dict[str, Callable[..., int | None]]:
    """The commands by what is typed: ``sweep``, ``cluster check``."""
    functions: dict[str, Callable[..., int | None]] = {}
    for module in pkgutil.iter_modules(cli.__path__):
        if module.name in _NOT_COMMANDS:
            continue
        imported = importlib.import_module(f"raykd.cli.{module.name}")
        for function in getattr(imported, "COMMANDS", ()):
            functions[f"{module.name} {function.__name__}"] = function
        function = getattr(imported, module.name, None)
        if callable(function):
            functions[module.name] = function
    return functions


def _summary(group: str) -> str:
    """What a group is about: the first line of its file, after the command."""
    documented = importlib.import_module(f"raykd.cli.{group}").__doc__ or ""
    return documented.partition(": ")[2].splitlines()[0].capitalize()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"raykd {raykd.__version__}")
        print(", ".join(f"{name} {version}" for name, version in versions().items()))
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Sweep distillation methods and their coefficients on Ray."""


def _common(
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Errors only.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="More, and tracebacks.")] = False,
    format: Annotated[
        Format | None,
        typer.Option("--format", help="How to print; by default as suits the terminal."),
    ] = None,
    log_file: Annotated[
        str | None, typer.Option("--log-file", metavar="FILE", help="Also write a log there.")
    ] = None,
) -> None:
    """The options that every command has."""


def _with_common_options(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """The function as Typer sees it: without `output`, with the common options at the end."""
    groups: dict[str, Any] = {}  # dataclasses of options
    own: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if dataclasses.is_dataclass(parameter.annotation) and name != "output":
            groups[name] = parameter.annotation
            own |= inspect.signature(groups[name], eval_str=True).parameters
        else:
            own[name] = parameter
    added = [
        p
        for p in inspect.signature(_common, eval_str=True).parameters.values()
        if p.name not in own
    ]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    def run(context: typer.Context, **given: Any) -> int | None:  # whatever the command declares
        output: Output = context.obj
        output.configure(**{p.name: given.pop(p.name) for p in added})
        if "output" in own:
            given["output"] = output
        for name, group in groups.items():
            given[name] = group(**{n: given.pop(n) for n in inspect.signature(group).parameters})
        try:
            return function(**given)
        except Stopped as exc:  # of other interruptions Typer makes 130
            raise typer.Exit(exc.exit_code) from exc

    shown = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own.values()]
    signature = [context, *(p for p in shown if p.name != "output"), *added]
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature]
    run.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in signature}
    run.__name__ = function.__name__
    run.__doc__ = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:")[0]
    return run
