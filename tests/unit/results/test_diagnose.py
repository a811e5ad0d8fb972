import pytest

from raykd.results.diagnose import Caveat, diagnose, near_edge
from raykd.results.merge import merge
from raykd.results.records import Status
from raykd.results.store import load_results
from tests.synthetic_run import Builder, write_run

TASK = "glue/rte"
SAFE = {"lr": 3e-5, "alpha": 0.5, "temperature": 2}


def codes(builder: Builder) -> set[str]:
    return {c.code for c in diagnose(load_results(builder.folder))}


def confirm(builder: Builder, arm: str, values: list[float]) -> None:
    for seed, value in enumerate(values, start=11):
        builder.trial(TASK, arm, 0, objective=value, confirm_seed=seed, test=value)


def test_few_seeds(builder: Builder):
    builder.teacher(TASK)
    confirm(builder, "kd", [0.7, 0.71])
    assert "few-seeds" in codes(builder)
    builder.trial(TASK, "kd", 0, objective=0.7, confirm_seed=13, test=0.7)
    assert "few-seeds" not in codes(builder)


@pytest.mark.parametrize(("ckd", "actual"), [([0.72, 0.69, 0.71], True), ([0.8, 0.8, 0.8], False)])
def test_interval_contains_zero(builder: Builder, ckd: list[float], actual: bool):
    builder.teacher(TASK)
    confirm(builder, "kd", [0.70, 0.71, 0.69])
    confirm(builder, "ckd", ckd)
    assert ("interval-contains-zero" in codes(builder)) == actual


@pytest.mark.parametrize(
    ("kind", "value", "edge"),
    [
        ("uniform", 1.0 + 99 * 0.019, "lower"),
        ("uniform", 1.0 + 99 * 0.021, ""),
        ("uniform", 99.0, "upper"),
        ("loguniform", 100**0.019, "lower"),
        ("loguniform", 2.9, ""),  # 1.9 % on the linear scale, 23 % on the log scale
        ("loguniform", 100**0.985, "upper"),
        ("choice", 1.0, ""),
        ("uniform", True, ""),
        ("uniform", None, ""),
    ],
)
def test_near_edge(kind: str, value: object, edge: str):
    assert near_edge({"kind": kind, "low": 1.0, "high": 100.0}, value) == edge


def test_best_at_edge_names_the_edge_to_widen(builder: Builder):
    builder.teacher(TASK)
    builder.trial(TASK, "kd", 0, params=SAFE)
    assert "best-at-edge" not in codes(builder)
    builder.trial(TASK, "kd", 1, objective=0.9, params={**SAFE, "lr": 9.99e-5})
    (caveat,) = (c for c in diagnose(load_results(builder.folder)) if c.code == "best-at-edge")
    assert "widen the upper edge of lr" in caveat.hint
    assert caveat.arm == "kd"


@pytest.mark.parametrize(("place", "actual"), [(9, True), (8, False)])
def test_still_improving_in_the_last_tenth(builder: Builder, place: int, actual: bool):
    builder.teacher(TASK)
    for n in range(10):
        builder.trial(TASK, "kd", n, objective=0.8 if n == place else 0.7, params=SAFE)
    assert ("still-improving" in codes(builder)) == actual


def test_unequal_trials(builder: Builder):
    builder.teacher(TASK)
    builder.trial(TASK, "kd", 0, params=SAFE)
    builder.trial(TASK, "none", 0, params={"lr": 3e-5})
    assert "unequal-trials" not in codes(builder)
    builder.trial(TASK, "kd", 1, params=SAFE)
    assert "unequal-trials" in codes(builder)


@pytest.mark.parametrize(("validation", "actual"), [("validation", True), ("10 % of train", False)])
def test_validation_is_test(builder: Builder, validation: str, actual: bool):
    builder.teacher(TASK, select_on=validation)
    assert ("validation-is-test" in codes(builder)) == actual
    if actual:
        said = next(c for c in diagnose(load_results(builder.folder)) if "same" in c.message)
        assert said.message == "Validation and test split are the same 277 rows (validation)."


@pytest.mark.parametrize(("failed", "actual"), [(1, False), (2, True)])
def test_more_than_a_tenth_failed(builder: Builder, failed: int, actual: bool):
    builder.teacher(TASK)
    for n in range(10):
        status = Status.FAILED if n < failed else Status.COMPLETED
        builder.trial(TASK, "kd", n, status, 0.7, params=SAFE)
    assert ("many-failed" in codes(builder)) == actual


@pytest.mark.parametrize(("teacher", "mode", "actual"), [
    (0.65, "max", True), (0.75, "max", False), (0.75, "min", True), (0.65, "min", False),
])  # fmt: skip
def test_weak_teacher_in_both_directions(builder: Builder, teacher: float, mode: str, actual: bool):
    builder.teacher(TASK, score=teacher, mode=mode)
    confirm(builder, "none", [0.7, 0.71, 0.69])
    assert ("weak-teacher" in codes(builder)) == actual


def test_weak_teacher_falls_back_to_the_select_split(builder: Builder):
    builder.teacher(TASK, score=0.5)
    builder.trial(TASK, "none", 0, objective=0.7, params={"lr": 3e-5})
    assert "weak-teacher" in codes(builder)


@pytest.mark.parametrize(("train", "actual"), [(1_000, True), (10_000, False)])
def test_teacher_saw_more_rows(builder: Builder, train: int, actual: bool):
    builder.teacher(TASK, rows={"teacher": 10_000, "train": train})
    found_now = [c for c in diagnose(load_results(builder.folder)) if c.code == "teacher-saw-more"]
    assert bool(found_now) == actual
    if actual:
        assert "10,000" in found_now[0].message
        assert "1,000" in found_now[0].message


def test_unfinished_trials(builder: Builder):
    builder.teacher(TASK)
    builder.trial(TASK, "kd", 0, params=SAFE)
    assert "unfinished-trials" not in codes(builder)
    builder.event("trial_started", trial_id="glue-rte.kd.s001", task=TASK, arm="kd", number=1,
                  stage="search", params=SAFE, slot=0)  # fmt: skip
    assert "unfinished-trials" in codes(builder)


def merged_caveats(tmp_path, **second) -> tuple[list[Caveat], tuple[str, ...]]:
    one = write_run(tmp_path / "one")
    two = Builder(tmp_path / "two", env=second.pop("env", {}))
    two.start()
    two.teacher(TASK, **second)
    two.trial(TASK, "ckd", 0)
    result = merge([load_results(one.folder), load_results(two.folder)])
    return [c for c in diagnose(result) if c.code.startswith("mixed-")], result.arms


def test_merged_runs_with_the_same_data_and_versions(tmp_path):
    caveats, arms = merged_caveats(tmp_path)
    assert caveats == []
    assert arms == ("none", "kd", "one/ckd", "two/none", "two/kd", "two/ckd")


def test_merged_runs_that_differ_say_in_what(tmp_path):
    caveats, _ = merged_caveats(
        tmp_path, env={"packages": {"torch": "9"}}, data_fingerprint="other", fingerprint="other"
    )
    assert {c.code for c in caveats} == {"mixed-packages", "mixed-rows", "mixed-teachers"}


def test_the_same_value_with_every_seed(builder: Builder):
    builder.teacher(TASK)
    confirm(builder, "ckd", [0.5, 0.5, 0.5])
    confirm(builder, "kd", [0.5, 0.5, 0.6])
    actual = [c for c in diagnose(load_results(builder.folder)) if c.code == "same-value"]
    assert [c.arm for c in actual] == ["ckd"]
    assert "50.0 with every seed" in actual[0].message


def test_many_arms_that_are_not_told_apart_are_one_caveat(tmp_path):
    from raykd.spec.schema import ArmSpec
    from tests.synthetic_run import spec

    arms = {"kd": ArmSpec(name="kd", method="kd")}
    arms |= {f"kd{k}": ArmSpec(name=f"kd{k}", method="kd") for k in range(5)}
    builder = Builder(tmp_path / "run", spec().model_copy(update={"methods": arms}))
    builder.start()
    builder.teacher(TASK)
    for k, arm in enumerate(arms):
        confirm(builder, arm, [0.70 + 0.001 * k, 0.71, 0.69])
    actual = [c for c in diagnose(load_results(builder.folder)) if c.code.startswith("interval")]
    assert len(actual) == 1
    assert all(f"kd{k} (" in actual[0].message for k in range(5))


def test_trials_in_different_number_formats(builder: Builder):
    builder.teacher(TASK)
    for arm in ("kd", "ckd"):
        for seed in (11, 12, 13):
            precision = "bf16" if (arm, seed) == ("ckd", 13) else "fp32"
            builder.trial(TASK, arm, 0, confirm_seed=seed, test=0.7, precision=precision)
    (actual,) = [c for c in diagnose(load_results(builder.folder)) if c.code == "mixed-precision"]
    assert "confirm trials" in actual.message
    assert "bf16: ckd 1; fp32: kd 3, ckd 2" in actual.message


def test_batches_that_were_cut_are_a_caveat_where_they_are_compared_as_a_whole(builder: Builder):
    builder.teacher(TASK)
    wide = "predictions are transported within each micro batch"
    builder.trial(TASK, "kd", 0, micro_batch=4)
    builder.trial(TASK, "ckd", 0)
    assert "cut-batches" not in codes(builder)
    for number in (1, 2):
        builder.trial(TASK, "ckd", number, micro_batch=4, batch_wide=wide)
    (actual,) = [c for c in diagnose(load_results(builder.folder)) if c.code == "cut-batches"]
    assert actual.message == f"In 2 trials of ckd batches were cut into micro batches: {wide}."


@pytest.mark.parametrize("precisions", [("fp32", "fp32"), ("", ""), ("", "bf16")])
def test_trials_in_one_number_format_or_of_before_it_was_recorded(builder: Builder, precisions):
    builder.teacher(TASK)
    for number, precision in enumerate(precisions):
        builder.trial(TASK, "kd", number, precision=precision)
    assert "mixed-precision" not in codes(builder)


@pytest.mark.parametrize(("error", "is_caveat"), [(0.004, False), (0.05, False), (0.3, True)])
def test_a_teacher_that_suffers_from_its_precision(builder: Builder, error, is_caveat):
    builder.teacher(TASK, frozen_precision="bf16", precision_error={"logits": error})
    actual = [c for c in diagnose(load_results(builder.folder)) if c.code == "teacher-precision"]
    assert len(actual) == is_caveat
    if is_caveat:
        assert "ran in bf16, which changes its logits by 30 % against fp32" in actual[0].message


def test_a_number_format_that_is_searched_is_no_caveat(builder: Builder):
    builder.teacher(TASK)
    for number, precision in enumerate(("fp32", "bf16")):
        builder.trial(TASK, "kd", number, precision=precision, searched=("precision",))
    assert "mixed-precision" not in codes(builder)
