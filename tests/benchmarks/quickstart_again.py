"""Does the quickstart say the same again? The shipped sweep with other search seeds.

    python -m tests.benchmarks.quickstart_again [--seeds 0 1 2 3 4] [--out DIR] [--set KEY=VALUE]

One line per sweep: confirmed means, the difference of kd and ckd with its interval, what the
heading says. Then whether the sweeps contradict each other: two intervals of the same difference
that share no value, and arms that one sweep takes and another one finds behind. A sweep of a seed
that is in ``--out`` already is read, not run.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from raykd.report.sections import verdict as verdict_section
from raykd.results.differences import PairedDifference
from raykd.results.records import SweepResult
from raykd.results.store import load_results
from raykd.results.summary import arm_summaries, compare, task_metric
from raykd.results.verdict import verdict
from raykd.spec.load import load_spec
from raykd.sweep.run import SweepOptions, run_sweep

FILE = Path(__file__).parents[2] / "search_spaces" / "quickstart.yaml"
PAIR = ("kd", "ckd")


def swept(seed: int, out: Path, overrides: list[str]) -> SweepResult:
    """The quickstart with one search seed, run or read."""
    folder = out / f"seed-{seed}"
    runs = sorted(folder.glob("quickstart-*/trials.parquet")) if folder.is_dir() else []
    if runs:
        return load_results(runs[-1].parent)
    path = f"report.path={folder}/{{name}}.html"
    spec = load_spec(FILE, [f"search.seed={seed}", path, *overrides])
    options = SweepOptions(out=folder)
    return load_results(run_sweep(spec, FILE.read_text(), options, lambda event: None))


def difference(result: SweepResult, task: str) -> PairedDifference:
    """The first of `PAIR` against the second."""
    arms = arm_summaries(result, task)
    actual = compare(task_metric(result, task), arms).difference(*PAIR)
    assert actual is not None
    return actual


def line(seed: int, result: SweepResult, task: str) -> str:
    """What one sweep found."""
    scale = task_metric(result, task).scale
    means = ", ".join(f"{a.name} {scale.show(a.score)}" for a in arm_summaries(result, task))
    d = difference(result, task)
    e = d.interval
    pair = f"{scale.signed(d.mean)} ({scale.signed(e.low)} to {scale.signed(e.high)})"
    return f"| {seed} | {means} | {pair} | {verdict_section.record(result).heading} |"


def contradictions(results: dict[int, SweepResult], task: str) -> Iterator[str]:
    """What two sweeps say that cannot both be so."""
    for (a, one), (b, other) in itertools.combinations(results.items(), 2):
        e, f = difference(one, task).interval, difference(other, task).interval
        if e.low > f.high or f.low > e.high:
            yield f"seeds {a} and {b}: intervals of {' and '.join(PAIR)} that share no value"
        actual = verdict(one, task), verdict(other, task)
        if all(v.decided for v in actual) and actual[0].leader != actual[1].leader:
            yield f"seeds {a} and {b}: {actual[0].leader} and {actual[1].leader} are both taken"


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    cli.add_argument("--out", type=Path, default=Path("build/quickstart_again"))
    cli.add_argument("--set", dest="overrides", action="append", default=[])
    given = cli.parse_args()
    results = {}
    print(
        f"| search seed | confirmed | {PAIR[0]} - {PAIR[1]} (95 % CI) | heading |\n| {'--- | ' * 4}"
    )
    for seed in given.seeds:
        results[seed] = swept(seed, given.out, given.overrides)
        (task,) = (t.name for t in results[seed].tasks)
        print(line(seed, results[seed], task), flush=True)
    wrong = list(contradictions(results, task))
    print("\n".join(wrong) or "no two of them contradict each other")


if __name__ == "__main__":
    main()
