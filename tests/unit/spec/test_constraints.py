"""Bounds on students in a file: what is read of them, and what is refused in one message."""

from pathlib import Path

import pytest

from raykd.spec.load import load_spec, to_yaml
from raykd.spec.schema_stages import Constraint
from tests.unit.spec.files import only

FILE = """\
name: f
tasks: [toy/sentiment]
teacher: {model: {family: bert, layers: 2, hidden: 16, heads: 2}}
student: {model: {family: bert, layers: 1, hidden: 16, heads: 2}}
train: {lr: {loguniform: [1e-4, 1e-2]}}
methods: {kd: {}}
search:
  constraints: GIVEN
"""


def read(folder: Path, given: str):
    (folder / "f.yaml").write_text(FILE.replace("GIVEN", given))
    return load_spec(folder / "f.yaml")


def test_bounds_are_read_and_written_as_they_stand(tmp_path):
    spec = read(tmp_path, "[latency_ms <= 5, memory_mb <= 90, parameters<=3e6, accuracy >= 0.8]")
    assert [str(c) for c in spec.search.constraints] == [
        "latency_ms <= 5", "memory_mb <= 90", "parameters <= 3000000", "accuracy >= 0.8",
    ]  # fmt: skip
    (tmp_path / "again.yaml").write_text(to_yaml(spec))
    assert load_spec(tmp_path / "again.yaml") == spec
    assert read(tmp_path, "latency_ms <= 5").search.constraints == spec.search.constraints[:1]
    assert read(tmp_path, "null").search.constraints == ()


def test_the_excess_is_a_share_of_the_bound():
    most = Constraint(metric="parameters", relation="<=", bound=200)
    least = Constraint(metric="accuracy", relation=">=", bound=0.8)
    assert [most.excess({"parameters": n}) for n in (100, 200, 300)] == [-0.5, 0, 0.5]
    assert least.excess({"accuracy": 0.6}) == pytest.approx(0.25)
    assert least.excess({"accuracy": 0.9}) < 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("5", "a constraint is a metric, <= or >=, and a number, got 5"),
        ("latency_ms < 5", "a constraint is a metric, <= or >=, and a number, got latency_ms < 5"),
        ("{latency_ms: 5}", "a constraint is a metric, <= or >=, and a number, got"),
        ("latency <= 5", "unknown metric 'latency' in the constraint 'latency <= 5'"),
        ("latency_ms <= 5ms", "the bound of 'latency_ms' must be a number, got '5ms'"),
        ("latency_ms <= inf", "the bound of 'latency_ms' must be a number, got 'inf'"),
        ("parameters <= 0", "no student has parameters <= 0: it is above 0"),
        ("[latency_ms <= 5, latency_ms <= 9]", "'latency_ms <=' is bounded already"),
        ("[accuracy >= 0.9, accuracy <= 0.8]", "nothing is both accuracy >= 0.9 and accuracy <= "),
    ],
)
def test_what_cannot_be_kept_to_is_refused_in_one_message(tmp_path, given, message):
    problem = only(tmp_path, FILE.replace("GIVEN", given))
    assert problem.message.startswith(message)
    assert problem.line == 8
    assert problem.hint
