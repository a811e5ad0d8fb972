"""Reads the ``teacher`` and ``student`` sections."""

from __future__ import annotations

from raykd import registry
from raykd.params import ParamInfo, Scalar
from raykd.spec.endpoint_section import check_endpoint, read_ask
from raykd.spec.method_section import train_infos
from raykd.spec.outputs_section import check_alone, read_outputs
from raykd.spec.schema import FromTeacher, LoraSpec, RandomInitSpec, StudentSpec, TeacherSpec
from raykd.spec.schema_base import LARGEST_SEED, SpecSection
from raykd.spec.search_values import check_constant
from raykd.spec.sections import is_section, read_section, unknown_keys
from raykd.spec.size_section import size_infos
from raykd.spec.yaml_nodes import Findings, YamlEntry, YamlNode, join
from raykd.training.settings import FULL

FROM_TEACHER = "student.from_teacher"
_COMBINED = ("mean", "routes")
"""What stands in place of a model where a teacher is a combination of others."""
_TRIED = ("lr", "epochs")
"""What a search of fine-tuning tries other values of."""


def finetune_infos() -> dict[str, ParamInfo]:
    """What ``teacher.finetune`` may hold: the settings of training, and what is added below."""
    extra = {
        "rows": ParamInfo(
            name="rows", type=int, optional=True, default=None, low=1, high=None, open=False,
            choices=(), help="Rows the teacher is fine-tuned on; null = all.", symbol="",
        ),
        "seed": ParamInfo(
            name="seed", type=int, optional=False, default=0, low=0, high=LARGEST_SEED, open=False,
            choices=(), help="Seed of the fine-tuning.", symbol="",
        ),
        "seeds": ParamInfo(
            name="seeds", type=int, optional=False, default=1, low=1, high=100, open=False,
            choices=(), help="Teachers that are trained, with seeds that count up from seed. "
            "Students learn from the first; the scores of all say how far teachers vary, for the "
            "interval of the gap recovered.", symbol="",
        ),
        "search": ParamInfo(
            name="search", type=int, optional=False, default=0, low=0, high=1000, open=False,
            choices=(), help="Trainings of a search for the teacher's own lr (a quarter to four "
            "times the given one) and epochs (half, as given, twice); the best on the validation "
            "split is taken. 0 = none.", symbol="",
        ),
        "explain": ParamInfo(
            name="explain", type=float, optional=False, default=0.0, low=0.0, high=1.0, open=False,
            choices=(), help="Weight of rationales; above 0, it learns the two tasks of "
            "step_by_step, and reads prompts that begin with their names.", symbol="",
        ),
    }  # fmt: skip
    return train_infos() | extra


def read_teacher(entry: YamlEntry, findings: Findings) -> TeacherSpec | None:
    """Read the ``teacher`` section; None when something is wrong."""
    if not is_section(entry, "teacher", findings):
        return None
    before = findings.count
    model = _read_model(entry, "teacher", findings)
    finetune = _read_finetune(entry, findings)
    outputs = read_outputs(entry, findings)
    ask = read_ask(entry, findings)
    _exactly_one(entry, "teacher", ("model", "checkpoint", "outputs"), findings, _COMBINED)
    made = read_section(
        TeacherSpec, entry, "teacher", findings,
        parsed={"model": model, "finetune": finetune, "outputs": outputs, "ask": ask},
        by_hand=("model", "finetune", "outputs", "ask"),
    )  # fmt: skip
    given = entry.node.entries.get("finetune")
    if made is not None and made.checkpoint is not None and made.finetune and given is not None:
        message = "a checkpoint is fine-tuned already, so 'finetune' has no effect"
        hint = "remove finetune, or name the model with teacher.model"
        findings.add(given.mark, "teacher.finetune", message, hint)
    if made is not None and made.sharding == FULL and made.checkpoint is None:
        message = "a teacher that is fine-tuned here is whole where it runs, so that 'sharding' is "
        hint = "set teacher.finetune.sharding: full, or name a fine-tuned teacher.checkpoint"
        mark = entry.node.entries["sharding"].mark
        findings.add(mark, "teacher.sharding", f"{message}of checkpoints only", hint)
    if made is not None:
        check_endpoint(made, entry, findings)
        _check_routes(made, entry, findings)
    if made is not None and not made.runs_here:
        check_alone(made, entry, findings)
    elif made is not None and made.cache not in ("sampled", "top_k"):
        _check_cache_size(made, entry, findings)
    return made if findings.count == before else None


def _check_routes(made: TeacherSpec, entry: YamlEntry, findings: Findings) -> None:
    """A column and where its values lead belong together."""
    if (made.by is None) != (made.routes is None):
        key, other = ("by", "routes") if made.routes is None else ("routes", "by")
        message = f"'{key}' stands next to '{other}', which is missing"
        hint = "for example by: domain, routes: {law: a, medicine: b}"
        findings.add(entry.node.entries[key].mark, f"teacher.{key}", message, hint)


def _check_cache_size(made: TeacherSpec, entry: YamlEntry, findings: Findings) -> None:
    if made.cache_size != TeacherSpec().cache_size:
        message = "'cache_size' counts the draws of cache: sampled, or the tokens of cache: top_k; "
        mark = entry.node.entries["cache_size"].mark
        hint = "set teacher.cache to one of them, or remove cache_size"
        findings.add(mark, "teacher.cache_size", f"{message}cache is {made.cache}", hint)


def read_student(
    entry: YamlEntry, teacher: TeacherSpec | None, lora: LoraSpec | None, findings: Findings
) -> StudentSpec | None:
    """Read the ``student`` section; None when something is wrong.

    Args:
        entry: The section.
        teacher: The teacher, as far as it could be read.
        lora: Where the student has adapters, None without any; see `raykd.spec.lora_section`.
        findings: Receives the problems.
    """
    if not is_section(entry, "student", findings):
        return None
    before = findings.count
    model = _read_model(entry, "student", findings)
    part = entry.node.entries.get("from_teacher")
    from_teacher = None
    if part is not None and part.node.value is not None:
        from_teacher = _read_from_teacher(part, teacher, findings)
    _exactly_one(entry, "student", ("model", "from_teacher"), findings)
    if from_teacher is not None and teacher is not None and not teacher.runs_here:
        assert part is not None
        what = "teacher.outputs is read from columns"
        if teacher.endpoint is not None:
            what = "teacher.endpoint is an address"
        message = f"'from_teacher' takes layers of a model, and {what}"
        findings.add(part.mark, FROM_TEACHER, message, "name the student with student.model")
    made = read_section(
        StudentSpec, entry, "student", findings,
        parsed={"model": model, "from_teacher": from_teacher, "lora": lora},
        by_hand=("model", "from_teacher", "lora", *size_infos()),
    )  # fmt: skip
    if made is not None and lora is not None and lora.save == "adapter":
        _check_saved(model, entry.node.entries["lora"], findings)
    return made if findings.count == before else None


def _check_saved(model: str | RandomInitSpec | None, lora: YamlEntry, findings: Findings) -> None:
    """An adapter alone is of use where its base is."""
    if not isinstance(model, str):
        mark = lora.node.entries["save"].node.mark
        message = "an adapter is saved for a model that can be named, and this student is made here"
        findings.add(mark, "student.lora.save", message, "set save: merged, or leave it out")


def _exactly_one(
    entry: YamlEntry,
    path: str,
    keys: tuple[str, ...],
    findings: Findings,
    more: tuple[str, ...] = (),
) -> None:
    """Refuse none and several of some keys; `more` of them are not named where there is none."""
    given = [
        key
        for key, value in entry.node.entries.items()
        if key in (*keys, *more) and value.node.value is not None
    ]
    if len(given) >= 2:
        mark = entry.node.entries[given[1]].mark
        message = f"give either '{given[0]}' or '{given[1]}', not both"
        findings.add(mark, join(path, given[1]), message, "remove one of them")
    elif not given and not set(entry.node.entries) - set(_known(path)):
        findings.add(entry.mark, path, f"needs {' or '.join(map(repr, keys))}")


def _known(path: str) -> tuple[str, ...]:
    schemas: dict[str, type[SpecSection]] = {
        "teacher": TeacherSpec, "student": StudentSpec, FROM_TEACHER: FromTeacher,
    }  # fmt: skip
    return tuple(schemas[path].model_fields)


def _read_model(entry: YamlEntry, path: str, findings: Findings) -> str | RandomInitSpec | None:
    model = entry.node.entries.get("model")
    where = join(path, "model")
    if model is None or model.node.value is None:
        return None
    if isinstance(model.node.value, dict):
        return _read_random_init(model, where, findings)
    if not isinstance(model.node.value, str) or not model.node.value:
        message = f"'model' must be a name, a folder or sizes, got {model.node.typed()}"
        hint = "sizes look like {family: bert, layers: 2, hidden: 96, heads: 2}"
        findings.add(model.node.mark, where, message, hint)
        return None
    return model.node.value


def _read_random_init(entry: YamlEntry, where: str, findings: Findings) -> RandomInitSpec | None:
    random_init = read_section(RandomInitSpec, entry, where, findings)
    family = entry.node.entries.get("family")
    if family is not None and isinstance(family.node.value, str):
        # Families import transformers: the name is looked up without loading the module.
        name = family.node.value
        known = (*registry.names("families"), *(types := registry.model_types()))
        spelled = {name, name.replace("_", "-"), name.replace("-", "_")}
        if types and not spelled & {*known} and "." not in name:
            problem = registry.unknown("families", name, known)
            findings.add(family.node.mark, join(where, "family"), problem.message, problem.hint)
    if random_init is not None and random_init.hidden % random_init.heads:
        mark = entry.node.entries["heads"].node.mark
        message = f"'heads' must divide 'hidden' ({random_init.hidden}), got {random_init.heads}"
        findings.add(mark, join(where, "heads"), message)
    return random_init


def _read_finetune(entry: YamlEntry, findings: Findings) -> dict[str, Scalar]:
    section = entry.node.entries.get("finetune")
    values: dict[str, Scalar] = {}
    if section is None or not is_section(section, "teacher.finetune", findings):
        return values
    infos = finetune_infos()
    unknown_keys(section.node.entries, infos, "teacher.finetune", findings)
    for name, value in section.node.entries.items():
        where = f"teacher.finetune.{name}"
        if name not in infos:
            continue
        if isinstance(value.node.value, dict):
            message = f"'{name}' must be one value: the teacher is prepared once, not searched"
            hint = "search: 6 tries other values of lr and epochs" if name in _TRIED else ""
            findings.add(value.node.mark, where, message, hint)
        elif check_constant(value.node, where, infos[name], findings):
            values[name] = value.node.scalar()
    return values


def _read_from_teacher(
    entry: YamlEntry, teacher: TeacherSpec | None, findings: Findings
) -> FromTeacher | None:
    from_teacher = read_section(FromTeacher, entry, FROM_TEACHER, findings)
    if from_teacher is None:
        return None
    _exactly_one(entry, FROM_TEACHER, ("layers", "sparsity"), findings)
    if from_teacher.layers is not None and teacher is not None:
        _check_layers(from_teacher.layers, entry, teacher, findings)
    if from_teacher.sort_by_importance and (
        from_teacher.sparsity is not None or from_teacher.weights != "finetuned"
    ):
        mark = entry.node.entries["sort_by_importance"].node.mark
        message = (
            "'sort_by_importance' sorts heads and neurons by the task loss of a fine-tuned student"
        )
        findings.add(
            mark,
            join(FROM_TEACHER, "sort_by_importance"),
            message,
            "set layers, and weights: finetuned",
        )
    if from_teacher.sparsity is None:
        return from_teacher
    weights = entry.node.entries.get("weights")
    if weights is not None and from_teacher.weights != "finetuned":
        message = (
            f"a pruned student has the finetuned weights of the teacher, not {from_teacher.weights}"
        )
        findings.add(weights.node.mark, join(FROM_TEACHER, "weights"), message, "remove weights")
    return from_teacher.model_copy(update={"weights": "finetuned"})


def _check_layers(
    layers: tuple[int, ...], entry: YamlEntry, teacher: TeacherSpec, findings: Findings
) -> None:
    where = join(FROM_TEACHER, "layers")
    nodes: list[YamlNode] = entry.node.entries["layers"].node.items
    blocks = teacher.model.layers if isinstance(teacher.model, RandomInitSpec) else None
    for k, node in enumerate(nodes):
        number = layers[k]
        if number in layers[:k]:
            findings.add(node.mark, where, f"layer {number} is listed twice")
        elif number < 0:
            message = f"layers are numbered from 0, got {number}"
            findings.add(node.mark, where, message)
        elif blocks is not None and number >= blocks:
            message = f"the teacher has {blocks} layers (0 to {blocks - 1}), got {number}"
            findings.add(node.mark, where, message)
