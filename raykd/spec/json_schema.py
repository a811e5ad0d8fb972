"""The JSON schema of a search-space file, with which editors complete keys and check values.

It accepts every file that `raykd.spec.load` accepts, and refuses what can be seen in one place: an
unknown key, a wrong type, a value out of bounds. What depends on several places, on data or on
models is left to ``raykd validate``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from raykd import registry
from raykd.params import ParamInfo, describe
from raykd.spec.domains import KINDS, Kind
from raykd.spec.load import REQUIRED
from raykd.spec.loggers_section import interval_info
from raykd.spec.method_section import train_infos
from raykd.spec.model_section import finetune_infos
from raykd.spec.reference import KEYS, SECTIONS, file_key
from raykd.spec.schema import (
    DataSpec,
    LoraSpec,
    OwnTaskSpec,
    StudentSpec,
    SweepSpec,
    TeacherSpec,
)
from raykd.spec.schema_base import SpecSection
from raykd.spec.schema_stages import ConfirmSpec, Objective, ReportSpec, ResourceSpec, SearchSpec
from raykd.spec.search_values import FITTING
from raykd.spec.size_section import SEARCHED_IN
from raykd.training.settings import RowSettings

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NULL: Schema = {"type": "null"}
_SCALAR: Schema = {"type": ["boolean", "number", "string", "null"]}
_TYPES = {float: "number", int: "integer", bool: "boolean", str: "string"}
_BOUNDS = {
    "gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"
}  # fmt: skip
"""What pydantic calls the bounds of a union, which are no words of a JSON schema."""

_ABOUT = {
    "name": "Names the run folder and the report.",
    "description": "A sentence for the report.",
    "tasks": "Names of shipped tasks, or descriptions of your own.",
    "data": "Rows: where they are, how long they may be, which part drives the search.",
    "teacher": "A model to fine-tune, a fine-tuned checkpoint, or outputs made elsewhere.",
    "teachers": "Several teachers by name, in place of teacher; arms name theirs.",
    "student": "A model, sizes for random weights, or blocks of the teacher.",
    "train": "What all arms share: settings of training, each one value or a domain.",
    "methods": "The arms: a method each, with one value or a domain for every coefficient.",
    "search": "Budget, algorithm and early stopping of the search.",
    "confirm": "The best configurations again, on fresh seeds.",
    "resources": "What one trial runs on.",
    "report": "Where the report goes, and what arms are compared with.",
    "loggers": "What receives trials, scores and verdicts: names, or {NAME: {parameters}}.",
    "log_every": interval_info().help,
}


def file_schema() -> Schema:
    """The schema of a whole file, as plain data."""
    sections: Mapping[str, type[SpecSection]] = {
        "data": DataSpec, "teacher": TeacherSpec, "student": StudentSpec, "search": SearchSpec,
        "confirm": ConfirmSpec, "resources": ResourceSpec, "report": ReportSpec,
    }  # fmt: skip
    properties: dict[str, Schema] = {
        "name": {"type": "string"},
        "description": {"type": ["string", "null"]},
        "tasks": {"type": "array", "minItems": 1, "items": _task()},
        "train": _or_null(_mapping(_settings(train_infos().values()))),
        "methods": _methods(),
        "teachers": {"type": "object", "additionalProperties": _reference(TeacherSpec)},
        **{name: _or_null(_reference(part)) for name, part in sections.items()},
        "loggers": _or_null({"type": "array", "items": _logger()}),
        "log_every": {"anyOf": _constants(interval_info())},
    }
    return {
        "$schema": DIALECT,
        "title": "raykd search space",
        "type": "object",
        "properties": {
            key: {"description": _ABOUT[key], **properties[key]}
            for key in SweepSpec.model_fields
            if key in properties
        },
        "required": [key for key in REQUIRED if key != "teacher"],
        "oneOf": [{"required": ["teacher"]}, {"required": ["teachers"]}],
        "additionalProperties": False,
        "$defs": {
            **{part.__name__: _section(part) for part in KEYS},
            **{f"method {name}": _arm(name) for name in registry.names("methods")},
            **_of_rows(),
            **{kind: _range(kind) for kind in KINDS if kind != "choice"},
            "when": _WHEN,
        },
    }


def _section(part: type[SpecSection]) -> Schema:
    """A section whose keys are the fields of a class."""
    made = part.model_json_schema(ref_template="#/$defs/{model}")
    properties = {}
    for field, declared in made["properties"].items():
        key = file_key(field)
        value = _DURATION if key != field else _plain(declared)
        properties[key] = {**value, "description": KEYS[part][key]}
    for key, read in _READ_ELSEWHERE.get(part, {}).items():
        properties[key] = {**read(), "description": KEYS[part].get(key, "")}
    for name, infos in SEARCHED_IN.items():
        if part is SECTIONS[name]:
            properties |= _settings(infos().values())
    return _mapping(properties, required=made.get("required", ()))


def _plain(declared: Any) -> Any:
    """A schema as others read it: without titles made of names, and with bounds of unions."""
    if isinstance(declared, list):
        return [_plain(each) for each in declared]
    if not isinstance(declared, dict):
        return declared
    return {
        _BOUNDS.get(k, k): _plain(v)
        for k, v in declared.items()
        if k not in ("title", "discriminator")
    }


def _mapping(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    made: Schema = {
        "type": "object", "properties": dict(properties), "additionalProperties": False
    }  # fmt: skip
    return {**made, "required": list(required)} if required else made


def _reference(part: type[SpecSection]) -> Schema:
    return {"$ref": f"#/$defs/{part.__name__}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


# Parameters ------------------------------------------------------------------------------------


def _settings(infos: Iterable[ParamInfo]) -> dict[str, Schema]:
    """Parameters that may be set or searched."""
    return {
        info.name: {"description": info.help, "anyOf": [*_constants(info), *_domains(info)]}
        for info in infos
    }


def _constants(info: ParamInfo) -> list[Schema]:
    """The forms of one value."""
    forms: list[Schema] = [_value(info)]
    if info.words:
        forms.append({"enum": list(info.words)})
    if info.optional:
        forms.append(_NULL)
    return forms


def _value(info: ParamInfo) -> Schema:
    if info.choices:
        return {"enum": list(info.choices)}
    made: Schema = {"type": _TYPES[info.type]}
    if info.low is not None:
        made["exclusiveMinimum" if info.open else "minimum"] = info.low
    if info.high is not None:
        made["maximum"] = info.high
    return made


def _domains(info: ParamInfo) -> list[Schema]:
    """The forms of a domain, with the distributions that suit the parameter."""
    choice: Schema = {"type": "array", "minItems": 1, "items": {"anyOf": _constants(info)}}
    ranges = [{"$ref": f"#/$defs/{kind}"} for kind in FITTING[info.type] if kind != "choice"]
    return [*ranges, _distribution("choice", choice)]


def _range(kind: Kind) -> Schema:
    """``{loguniform: [1e-5, 1e-4]}``: the ends, and the step of `quniform`."""
    numbers = 3 if kind == "quniform" else 2
    ends: Schema = {"type": "array", "items": {"type": "number"}}
    return _distribution(kind, {**ends, "minItems": numbers, "maxItems": numbers})


def _distribution(kind: Kind, values: Schema) -> Schema:
    return _mapping({kind: values, "when": {"$ref": "#/$defs/when"}}, required=[kind])


_WHEN: Schema = {
    "description": "Searched only when other parameters have these values.",
    "type": "object", "minProperties": 1, "additionalProperties": _SCALAR,
}  # fmt: skip


# Sections that are read by hand -----------------------------------------------------------------

_DURATION: Schema = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^(\d+(\.\d+)?[dhms])+$"},
        _NULL,
    ]
}


def _named(kind: str) -> Schema:
    """A name, or ``{name: ..., parameters}``."""
    names = list(registry.names(kind))
    with_parameters = [
        _mapping({"name": {"const": name}, **_parameters(kind, name)}, required=["name"])
        for name in names
    ]
    outside = {"type": "object", "properties": {"name": _DOTTED}, "required": ["name"]}
    return {"anyOf": [{"enum": names}, _DOTTED, *with_parameters, outside]}


def _parameters(kind: str, name: str) -> dict[str, Schema]:
    """The parameters of an extension, each one value."""
    return {
        info.name: {"description": info.help, "anyOf": _constants(info)}
        for info in describe(registry.params_of(kind, name))
    }


def _logger() -> Schema:
    """A name, or ``{NAME: {parameters}}``."""
    names = list(registry.names("loggers"))
    shipped = [_mapping({n: _or_null(_mapping(_parameters("loggers", n)))}, [n]) for n in names]
    outside = {
        "type": "object", "patternProperties": {_DOTTED["pattern"]: {"type": ["object", "null"]}},
        "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
    }  # fmt: skip
    return {"anyOf": [{"enum": names}, _DOTTED, *shipped, outside]}


_DOTTED: Schema = {"type": "string", "pattern": r"\."}
"""The name of a module outside the package."""


def _task() -> Schema:
    shipped = {"enum": list(registry.variants("tasks"))}
    return {"anyOf": [shipped, _DOTTED, _reference(OwnTaskSpec)]}


def _methods() -> Schema:
    """Arms by name. One that is not called like a method says ``method: NAME``."""
    names = registry.names("methods")
    named = [
        {
            "if": {"properties": {"method": {"const": name}}, "required": ["method"]},
            "then": {"$ref": f"#/$defs/method {name}"},
        }
        for name in names
    ]
    own_name = {"if": {"type": "object"}, "then": {"allOf": named}}
    arm: Schema = {"type": ["object", "null"], **own_name}
    plain = {
        name: {
            "anyOf": [{"const": False}, arm],
            "if": {"type": "object", "not": {"required": ["method"]}},
            "then": {"$ref": f"#/$defs/method {name}"},
        }
        for name in names
    }
    other = {"anyOf": [{"const": False}, {**arm, "required": ["method"]}]}
    return {
        "type": "object", "minProperties": 1, "properties": plain,
        "patternProperties": {_DOTTED["pattern"]: arm}, "additionalProperties": other,
    }  # fmt: skip


def _arm(method: str) -> Schema:
    point = {"type": "object", "additionalProperties": _SCALAR}
    return {
        "description": (registry.module("methods", method).__doc__ or "").partition("\n")[0],
        **_mapping(
            {
                "method": {"type": "string", "description": "The method of this arm."},
                "start": {
                    "description": "Points that are tried first.",
                    **_or_null({"type": "array", "items": point}),
                },
                **_own_settings(method),
                **{name: {"$ref": f"#/$defs/{name}"} for name in _of_rows()},
            }
        ),
    }


def _of_rows() -> dict[str, Schema]:
    """Settings of training that an arm may have for itself."""
    return _settings(describe(RowSettings))


def _own_settings(method: str) -> dict[str, Schema]:
    return _settings(describe(registry.params_of("methods", method)))


def _finetune() -> Schema:
    infos = finetune_infos().values()
    return _or_null(
        _mapping({i.name: {"description": i.help, "anyOf": _constants(i)} for i in infos})
    )


def _objective() -> Schema:
    one = _reference(Objective)
    return {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}


def _texts() -> Schema:
    text = {"type": "string"}
    return {"anyOf": [text, {"type": "array", "minItems": 1, "items": text}]}


def _constraints() -> Schema:
    bound = {"type": "string", "pattern": "^\\s*[\\w./-]+\\s*(<=|>=)\\s*\\S+\\s*$"}
    return {"anyOf": [bound, {"type": "array", "items": bound}, _NULL]}


_READ_ELSEWHERE: Mapping[type[SpecSection], Mapping[str, Callable[[], Schema]]] = {
    SearchSpec: {
        "algorithm": lambda: _named("algorithms"),
        "scheduler": lambda: _named("schedulers"),
        "objective": _objective,
        "constraints": _constraints,
    },
    TeacherSpec: {"finetune": _finetune},
    LoraSpec: {"targets": _texts},
}
"""Keys whose form in a file is not that of the field which holds what was read."""
