from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd import registry
from raykd.data.base import DataSettings, Examples
from raykd.data.hold_out import fingerprint as data_hash
from raykd.data.row_roles import load_row_roles
from raykd.errors import DataError, SpecError
from raykd.methods.base import OutputSpec
from raykd.models import weights
from raykd.models.signals.hidden_states import HiddenState, hidden_states
from raykd.models.signals.logits import Logits
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.models.tokenizers import train_tokenizer
from raykd.spec.arms import is_complete
from raykd.spec.descriptions import describe_student
from raykd.spec.load import load_spec
from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.settings import role_settings
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.training.device import Ability
from tests.unit.models.checkpoints import save_tiny
from tests.unit.sweep.specs import ALPHA, SHAPE, TASK, spec

ROOM = 1 << 30
# A student of one layer has no relations between layers.
NO_LAYERS = {"ltrdist": 0, "ltrangle": 0}
CKD = {"name": "ckd", "method": "ckd", "fixed": NO_LAYERS}
TRAIN_10 = {"split": "train", "fraction": 0.1}
VALIDATION = {"split": "validation"}


def rows_of(**changes) -> dict[str, Examples]:
    task = registry.load("tasks", TASK)
    return load_row_roles(task, role_settings(spec(**changes), task))


def texts(rows: Examples) -> set[str]:
    """The sentences; generated ones are all different."""
    actual = set(rows.texts[0])
    assert len(actual) == len(rows)
    return actual


def plan_of(room: int = ROOM, **changes):
    sweep = spec(**changes)
    return plan_teacher(sweep, set_up_task(sweep, TASK), room)


def fingerprint(**changes) -> str:
    return plan_of(**changes).inputs.fingerprint


def test_held_out_parts_are_unseen_by_teacher_and_student():
    actual = {r: texts(rows) for r, rows in rows_of(data__report_on=TRAIN_10).items()}
    assert not actual["validation"] & actual["test"]
    for part in ("validation", "test"):
        assert not actual[part] & (actual["finetune"] | actual["train"])


def test_parts_are_as_large_as_asked():
    actual = rows_of(data__report_on={"split": "train", "fraction": 0.25})
    # 120 rows; the second fraction is taken from what the first left.
    assert {r: len(rows) for r, rows in actual.items()} == {
        "validation": 12, "test": 27, "finetune": 80, "train": 30,
    }  # fmt: skip


def test_without_limits_teacher_and_student_share_all_rows():
    actual = rows_of(data__student_rows=None, teacher__finetune={})
    assert texts(actual["finetune"]) == texts(actual["train"])
    assert len(actual["train"]) == 108


@pytest.mark.parametrize("student_rows", [1, 30, 79])
def test_the_student_sees_rows_that_the_teacher_has_seen(student_rows):
    actual = rows_of(data__student_rows=student_rows)
    assert len(actual["train"]) == student_rows
    assert texts(actual["train"]) < texts(actual["finetune"])


def test_a_whole_split_is_taken_as_it_is():
    actual = rows_of(data__select_on=VALIDATION, data__report_on={"split": "test"})
    task = registry.load("tasks", TASK)
    settings = DataSettings(limit=120)
    assert actual["validation"].texts == task.load("validation", settings).texts
    assert actual["test"].texts == task.load("test", settings).texts


def test_a_part_of_another_split_is_a_part_of_it():
    actual = rows_of(data__select_on={"split": "validation", "fraction": 0.25})
    assert len(actual["validation"]) == 30
    assert texts(actual["validation"]) < texts(rows_of(data__select_on=VALIDATION)["validation"])


def test_the_same_split_may_serve_twice():
    actual = rows_of(data__select_on=VALIDATION)
    assert texts(actual["validation"]) == texts(actual["test"])


HALVES = {"split": "validation", "fraction": 0.5}


@pytest.mark.parametrize(
    ("validation", "test", "sizes"),
    [
        (HALVES, {"split": "validation", "fraction": 0.4}, (60, 24)),
        (HALVES, HALVES, (60, 30)),
        (VALIDATION, HALVES, (60, 60)),
        (HALVES, VALIDATION, (60, 60)),
        (TRAIN_10, TRAIN_10, (12, 11)),
    ],
)
def test_parts_of_one_split_never_overlap(validation, test, sizes):
    actual = rows_of(data__select_on=validation, data__report_on=test, data__student_rows=None)
    assert (len(actual["validation"]), len(actual["test"])) == sizes
    parts = [texts(actual[role]) for role in ("train", "validation", "test")]
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_the_first_part_is_what_it_is_without_the_second():
    alone = rows_of(data__select_on=HALVES, data__report_on={"split": "test"})
    of_halves = rows_of(data__select_on=HALVES, data__report_on=HALVES)
    assert texts(alone["validation"]) == texts(of_halves["validation"])


@pytest.mark.parametrize("key", ["select_on", "report_on"])
def test_all_of_train_is_refused_for_what_judges(key):
    with pytest.raises(SpecError) as caught:
        rows_of(**{f"data__{key}": {"split": "train"}})
    (problem,) = caught.value.problems()
    assert problem.path == f"data.{key}"
    assert "all of train, which is trained on" in problem.message
    assert "fraction: 0.1" in problem.hint


def test_the_words_for_splits_say_what_is_left():
    from raykd.spec.descriptions import describe_split, describe_splits
    from raykd.spec.schema import SplitRef

    half, whole = SplitRef(split="validation", fraction=0.5), SplitRef(split="validation")
    assert describe_split(half) == "50% of validation"
    assert describe_split(half, half) == "50% of the rest of validation"
    assert describe_split(whole, half) == "the rest of validation"
    assert describe_split(whole, whole) == "validation"
    assert describe_splits(whole, half) == ("the rest of validation", "50% of validation")
    assert describe_splits(half, half) == ("50% of validation", "50% of the rest of validation")
    assert describe_splits(whole, whole) == ("validation", "validation")


def test_the_rows_of_the_quickstart_are_what_they_were():
    """Hashes of before parts of one split were made disjoint: splits of their own have no parts."""
    folder = Path(__file__).parents[3] / "search_spaces"
    sweep = load_spec(folder / "quickstart.yaml")
    task = registry.load("tasks", sweep.tasks[0])
    actual = load_row_roles(task, role_settings(sweep, task))
    once = {"validation": "select", "test": "report"}  # a hash holds the name of the role
    assert {role: data_hash({once.get(role, role): part}) for role, part in actual.items()} == {
        "finetune": "0361dc9993d722b2", "train": "c87c1849db81d9a9",
        "validation": "88733118274ae4ea", "test": "8fe52a2899732d0f",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["select_on", "report_on"])
def test_a_split_that_does_not_exist_is_named_by_its_key(key):
    with pytest.raises(DataError) as caught:
        set_up_task(spec(**{f"data__{key}": {"split": "nosuch"}}), TASK)
    assert [problem.path for problem in caught.value.problems()] == [f"data.{key}.split"]


def test_rows_in_two_splits_are_counted():
    sweep = spec(data__select_on=VALIDATION, data__report_on=VALIDATION)
    assert set_up_task(sweep, TASK).shared == {"test in validation": (120, 120)}
    assert set_up_task(spec(), TASK).shared == {}


def test_the_seed_decides_which_rows():
    one, same, other = (texts(rows_of(data__seed=s)["train"]) for s in (0, 0, 1))
    assert one == same != other


def test_a_gathered_task_fits_together():
    sweep = spec()
    actual = set_up_task(sweep, TASK)
    assert actual.output_spec == OutputSpec(Logits())
    assert actual.tokenizers.same
    assert actual.teacher.dims.layers == 2
    assert actual.student.dims.hidden == 8
    assert {r: len(e) for r, e in actual.teacher_splits.items()} == {
        "validation": 12, "test": 120, "finetune": 80, "train": 30,
    }  # fmt: skip
    assert set(actual.student_splits) == {"train", "validation", "test"}
    assert len(actual.tokenizers.teacher) <= SHAPE["vocabulary"]


def test_outputs_are_those_of_all_arms_together():
    methods = {**spec().as_dict()["methods"], "ckd": CKD}
    output_spec = set_up_task(spec(methods=methods), TASK).output_spec
    kinds = {signal.kind for signal in output_spec}
    assert {"logits", "hidden_states"} <= kinds
    assert HiddenState("all") not in output_spec


def test_an_arm_with_too_many_combinations_to_list_reads_every_layer_by_number():
    nine = {"kind": "choice", "choices": [0.1 * k for k in range(1, 10)]}
    names = ("alpha", "temperature", "wrdist", "wrangle")
    methods = {"ckd": {**CKD, "fixed": NO_LAYERS, "domains": dict.fromkeys(names, nine)}}
    assert not is_complete(spec(methods=methods).methods["ckd"])
    output_spec = set_up_task(spec(methods=methods), TASK).output_spec
    assert [s for s in output_spec if s.kind == "hidden_states"] == [*hidden_states((0, 1, 2))]


def test_a_method_that_cannot_serve_the_pair_is_refused_at_its_place():
    methods = {
        "kd": {"name": "kd", "method": "kd"},
        "mine": {"name": "mine", "method": "tests.unit.task_setup.picky_method"},
    }
    sweep = spec(methods=methods, student={"model": {**SHAPE, "hidden": 32}})
    with pytest.raises(SpecError) as caught:
        set_up_task(sweep, TASK)
    (problem,) = caught.value.problems()
    assert problem.path == "methods.mine"
    assert problem.message == (
        f"on {TASK}: tests.unit.task_setup.picky_method refuses a student wider than the teacher"
    )


def test_layers_that_the_teacher_does_not_have_are_refused():
    sweep = spec(student={"from_teacher": {"layers": [0, 2], "weights": "finetuned"}})
    with pytest.raises(SpecError) as caught:
        set_up_task(sweep, TASK)
    (problem,) = caught.value.problems()
    assert problem.path == "student.from_teacher.layers"
    assert problem.message == "the teacher has layers 0 to 1, got 2"


def test_pretrained_layers_of_a_random_teacher_are_refused_before_training():
    sweep = spec(student={"from_teacher": {"layers": [0], "weights": "pretrained"}})
    with pytest.raises(SpecError) as caught:
        set_up_task(sweep, TASK)
    (problem,) = caught.value.problems()
    assert problem.path == "student.from_teacher.weights"


def test_a_student_cut_from_the_teacher():
    sweep = spec(student={"from_teacher": {"layers": [1], "weights": "finetuned"}})
    actual = set_up_task(sweep, TASK)
    assert actual.student == StudentFromTeacher(layers=(1,), weights="finetuned")


def test_a_student_pruned_from_the_teacher():
    eights = {**SHAPE, "hidden": 16, "heads": 2}
    pruned = {"from_teacher": {"sparsity": 70, "weights": "finetuned"}}
    sweep = spec(teacher__model=eights, student=pruned)
    actual = set_up_task(sweep, TASK)
    assert actual.student == StudentFromTeacher(sparsity=70.0, weights="finetuned")
    assert describe_student(sweep) == "the fine-tuned teacher, 70% of heads and neurons pruned"


def test_a_teacher_whose_widths_cannot_be_rounded_is_not_pruned():
    sweep = spec(
        teacher__model={**SHAPE, "hidden": 16, "heads": 4},
        student={"from_teacher": {"sparsity": 70, "weights": "finetuned"}},
    )
    with pytest.raises(SpecError) as caught:
        set_up_task(sweep, TASK)
    (problem,) = caught.value.problems()
    assert problem.path == "student.from_teacher.sparsity"
    assert problem.message.startswith("the teacher has heads of width 4, which is not a multiple")
    assert problem.hint == "take layers of it: student.from_teacher.layers"


@pytest.fixture
def checkpoint(tmp_path):
    """Writes a model folder with a tokenizer; keywords change the configuration."""
    some = registry.load("tasks", TASK).load("train", DataSettings(limit=50)).texts[0]
    tokenizer = train_tokenizer(list(some), 200)
    state = save_tiny(tmp_path / "first", vocabulary=len(tokenizer), layers=1, max_positions=32)

    def save(name: str, *, head: bool = True, **changes: object) -> str:
        kept = {n: a for n, a in state.tensors.items() if head or not n.startswith("classifier")}
        changed = replace(state, tensors=kept, config={**state.config, **changes})
        weights.save(changed, tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        return str(tmp_path / name)

    return save


def test_a_checkpoint_without_a_head_cannot_serve_as_it_is(checkpoint):
    assert plan_of(teacher={"checkpoint": checkpoint("full")}).inputs.finetune is None
    with pytest.raises(SpecError) as caught:
        set_up_task(spec(teacher={"checkpoint": checkpoint("bare", head=False)}), TASK)
    (problem,) = caught.value.problems()
    assert problem.path == "teacher.checkpoint"
    assert "no head with 3 outputs" in problem.message


def test_a_checkpoint_is_known_by_its_weights_and_configuration_not_by_its_place(checkpoint):
    one, copy, dropout = (
        fingerprint(teacher={"model": checkpoint(name, **changes)})
        for name, changes in (("one", {}), ("two", {}), ("three", {"hidden_dropout_prob": 0.3}))
    )
    assert one == copy != dropout


def test_the_teacher_is_served_by_its_outputs_where_they_fit():
    assert plan_of().inputs.mode == "outputs"
    small = plan_of(room=100)
    assert small.inputs.mode == "weights"
    assert "served by its weights" in small.serving


@pytest.mark.parametrize(("width", "smaller"), [(512, True), (8, False)])
def test_inner_products_are_kept_where_they_are_smaller_than_hidden_states(width, smaller):
    teacher = {"model": {**SHAPE, "hidden": width}, "finetune": {"epochs": 1}}
    plan = plan_of(methods={"ckd": CKD}, teacher=teacher)
    read = plan.inputs.output_spec
    kinds = {signal.kind for signal in read}
    assert ("feature_transforms" in kinds, "hidden_states" not in kinds) == (smaller, smaller)
    assert "the smaller is kept" in plan.serving
    # Where another method reads the states anyhow, they serve both.
    tinybert = {"name": "t", "method": "tinybert"}
    both = plan_of(methods={"ckd": CKD, "t": tinybert}, teacher=teacher).inputs.output_spec
    layers = [s.layer for s in both if isinstance(s, HiddenState)]
    assert (layers, "feature_transforms" in {s.kind for s in both}) == ([0, 2], False)


def differing(**changes) -> set[str]:
    """Which entries of the teacher's identity change."""
    one, two = plan_of().keys.identity, plan_of(**changes).keys.identity
    return {name for name, value in one.items() if two.get(name) != value}


def test_the_identity_says_what_differs():
    rate = {"epochs": 1, "lr": 2e-3, "rows": 80}
    assert differing(teacher__finetune=rate) == {"teacher.finetune"}
    rows = {"epochs": 1, "lr": 1e-3, "rows": 70}
    assert "rows and labels it is trained on" in differing(teacher__finetune=rows)
    assert differing(teacher__dtype="fp32", train__fixed={"epochs": 3}) == set()


def test_a_precision_that_devices_have_is_part_of_the_teacher():
    wide = {"teacher": {"model": {**SHAPE, "hidden": 96}, "finetune": {"epochs": 1}}}
    sweep = spec(**wide)
    actual = set_up_task(sweep, TASK)
    one, two = (
        plan_teacher(sweep, actual, ROOM, Ability("cpu", bf16=can)) for can in (True, False)
    )
    assert (one.inputs.precision, two.inputs.precision) == ("bf16", "fp32")
    assert (one.inputs.finetune.precision, two.inputs.finetune.precision) == ("bf16", "fp32")
    assert one.keys.teacher != two.keys.teacher
    assert (
        plan_teacher(sweep, actual, ROOM, Ability("cuda", bf16=False)).keys.teacher
        == two.keys.teacher
    )


@pytest.mark.parametrize("mode", ["outputs", "weights"])
def test_how_the_teacher_is_served_can_be_chosen(mode):
    assert plan_of(room=100, teacher__serve=mode).inputs.mode == mode


def test_fine_tuning_settings_reach_the_teacher():
    inputs = plan_of(teacher__finetune={"lr": 3e-4, "epochs": 2, "seed": 9, "rows": 50}).inputs
    assert (inputs.finetune.lr, inputs.finetune.epochs, inputs.finetune_seed) == (3e-4, 2, 9)
    assert len(inputs.teacher_splits["finetune"]) == 50


HOT = {"name": "hot", "method": "kd", "fixed": {"temperature": 2.0}, "domains": {"alpha": ALPHA}}


def with_arms(**arms) -> dict:
    return {"methods": {**spec().as_dict()["methods"], **arms}}


SWAPPED = dict(reversed(spec().as_dict()["methods"].items()))
# What neither trains nor scores the teacher again, nor records anything.
NOTHING = {
    "a coefficient": with_arms(hot=HOT),
    "one arm more of the same kind": with_arms(more={"name": "more", "method": "kd"}),
    "one arm less": {"methods": {"none": {"name": "none", "method": "none"}}},
    "the order of arms": {"methods": SWAPPED},
    "settings of the student's training": {"train": {"fixed": {"epochs": 9}}},
    "budget": {"search__trials": 99},
    "name": {"name": "other"},
    "report": {"report__baseline": "kd"},
    "mode": {"teacher__serve": "weights"},
    "a smaller object store": {"room": 100},
    "another student": {"student": {"model": {**SHAPE, "hidden": 4, "layers": 1}}},
    "dtype of hidden states that nobody reads": {"teacher__dtype": "fp32"},
}
# What records more of the same teacher, and what.
MORE = {
    "an arm on hidden states": (with_arms(ckd=CKD), {"recorded/"}),
    "fewer rows of students": ({"data__student_rows": 20}, {"recorded/logits"}),
    "more rows of students": ({"data__student_rows": 70}, {"recorded/logits"}),
    "another test split": ({"data__report_on": {"split": "test"}}, {"scores/test"}),
}
ANOTHER = {
    "teacher lr": {"teacher__finetune": {"epochs": 1, "lr": 2e-3, "rows": 80}},
    "teacher seed": {"teacher__finetune": {"epochs": 1, "lr": 1e-3, "rows": 80, "seed": 1}},
    "teacher rows": {"teacher__finetune": {"epochs": 1, "lr": 1e-3, "rows": 81}},
    "teacher size": {"teacher__model": {**SHAPE, "hidden": 32}},
    "data seed": {"data__seed": 1},
    "length": {"data__max_length": 8},
}


@pytest.mark.parametrize("change", NOTHING)
def test_the_teacher_and_its_parts_are_the_same_whatever_else_changes(change):
    one, two = plan_of().keys, plan_of(**NOTHING[change]).keys
    assert one.teacher == two.teacher
    others = {name for name, key in two.parts.items() if one.parts.get(name) != key}
    # How fast the teacher is next to a student is measured for each.
    assert others <= ({"speed"} if change == "another student" else set())


@pytest.mark.parametrize("change", MORE)
def test_what_is_read_more_of_a_teacher_is_a_part_more(change):
    changes, new = MORE[change]
    one, two = plan_of().keys, plan_of(**changes).keys
    assert one.teacher == two.teacher
    actual = {name for name, key in two.parts.items() if one.parts.get(name) != key}
    assert actual
    assert all(name.startswith(tuple(new)) for name in actual)


@pytest.mark.parametrize("change", ANOTHER)
def test_another_teacher_has_another_name(change):
    one, two = plan_of().keys, plan_of(**ANOTHER[change]).keys
    assert one.teacher != two.teacher


@pytest.mark.parametrize(
    "changes",
    [
        {"student": {"model": {**SHAPE, "hidden": 4, "layers": 1}}}, {"teacher__serve": "weights"},
        {"data__student_rows": 31}, with_arms(ckd=CKD), ANOTHER["teacher seed"],
        {"data__report_on": {"split": "test"}},
    ],
)  # fmt: skip
def test_what_trials_read_has_a_name_of_its_own(changes):
    assert fingerprint(**changes) != fingerprint()


def test_changed_labels_are_other_data(tmp_path):
    actual = []
    for flipped in (0, 0, 1):
        folder = tmp_path / f"data-{len(actual)}" / "glue" / "sst2"
        folder.mkdir(parents=True)
        labels = np.arange(40) % 2
        labels[7] ^= flipped
        table = pa.table({"sentence": [f"words {k} of it" for k in range(40)], "label": labels})
        for split in ("train", "validation"):
            pq.write_table(table, folder / f"{split}.parquet")
        sweep = spec(tasks=["glue/sst2"], data__root=str(folder.parents[1]))
        actual.append(plan_teacher(sweep, set_up_task(sweep, "glue/sst2"), ROOM).inputs.fingerprint)
    assert actual[0] == actual[1] != actual[2]
