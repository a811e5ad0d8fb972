"""Which layer may import what; the table of the architecture, checked import by import."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "raykd"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What the modules of one layer may import.

    Attributes:
        raykd: Modules or layers of raykd, also inside functions.
        types: The same, but only under ``TYPE_CHECKING``.
        packages: Packages from elsewhere.
        later: The same, but only inside functions: they are slow to import, or not always needed.
    """

    raykd: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)


LAYERS = {
    # What is shown and recorded holds no secret of an address.
    "secrets": Layer(),
    "errors": Layer(raykd={"secrets"}),
    # Extensions and the metrics of texts are named by modules, and the command line limits which.
    "user_code": Layer(raykd={"errors"}),
    # A missing extension is an error of raykd's own.
    "registry": Layer(raykd={"errors", "user_code"}),
    # Near misses are suggested the same way for parameters and for extensions.
    "params": Layer(raykd={"errors", "registry"}),
    # What to say when the hub is out of reach is the same for data and models.
    "hub": Layer(raykd={"errors"}, later={"huggingface_hub"}),
    # Every room that writes files.
    "whole_file": Layer(),
    # Every room that waits for something outside of it.
    "waiting": Layer(),
    "own_folder": Layer(),
    # Ray and Transformers ask for it when they are imported.
    "home_folder": Layer(raykd={"own_folder"}),
    "private_api": Layer(raykd={"errors"}),
    # Names of Ray that are no public API, found when they are needed.
    "ray_private": Layer(raykd={"private_api"}, later={"ray"}),
    "losses": Layer(raykd={"errors"}, packages={"torch"}, later={"scipy"}),
    "data": Layer(
        # A batch is made of tensors, and the loss of a task is torch's; what losses want to know of
        # it without asking a device is known where it is made.
        raykd={"errors", "hub", "losses.token_mask", "losses.transfer", "user_code"},
        packages={"numpy", "torch"},
        later={"datasets", "jinja2", "pyarrow", "rouge_score", "sacrebleu", "scipy", "tokenizers"},
    ),
    "models": Layer(
        # A model is run on a batch, and scores of a vocabulary are formed where they are lost.
        raykd={"errors", "registry", "hub", "private_api", "losses", "data.answer_choices",
               "data.base", "data.kinds", "data.prompts", "data.row_checks", "data.task_kinds",
               "data.token_pairs", "data.token_texts", "own_folder", "whole_file"},
        packages={"numpy", "torch"},
        later={"transformers", "tokenizers", "safetensors", "huggingface_hub", "peft"},
    ),
    "methods": Layer(
        # Batches and outputs are types in the contract of a method, and it asks for signals. A
        # method that derives other teachers scores and removes units of the teacher.
        raykd={"errors", "params", "losses", "data.base", "data.kinds", "data.task_kinds",
               "models.base", "models.inference", "models.packing", "models.signals",
               "models.structured_pruning", "models.unit_masks", "models.unit_selection"},
        packages={"torch"},
    ),
    "results": Layer(
        raykd={"errors", "params", "registry", "secrets", "whole_file"},
        packages={"numpy", "pyarrow", "scipy"},
    ),
    "training": Layer(
        # An evaluation is a record, from the loop to the report.
        raykd={"errors", "params", "losses", "data.base", "data.confusion", "data.row_outcomes",
               "data.unlabelled",
               "models.base",
               "models.compiled", "models.dropout", "models.files", "models.foreign_logs",
               "models.forward",
               "models.generation", "models.inference", "models.sharding", "models.signals",
               "methods.base",
               "results.records", "whole_file"},
        packages={"numpy", "torch", "safetensors"},
        later={"bitsandbytes"},
    ),
    "teachers": Layer(
        # The history of fine-tuning is made of records; preparing asks the registry for the task.
        # Augmented rows are kept in the cache of teachers. What a teacher said elsewhere stands in
        # columns next to the rows, or is asked of a server about them.
        raykd={"errors", "params", "registry", "losses", "data.augment", "data.base", "data.batch",
               "data.bits_per_byte", "data.classification", "data.collate", "data.conversations",
               "data.hold_out", "data.keys", "data.kinds", "data.prompts", "data.route_column",
               "data.row_checks", "data.soft_labels", "data.table", "data.task_kinds",
               "data.teacher_columns", "data.token_logprobs", "data.token_texts",
               "data.unlabelled", "data.values", "data.vectors", "home_folder", "models",
               "methods.base", "training", "results.records", "waiting", "whole_file"},
        packages={"filelock", "numpy", "torch", "safetensors"},
        later={"openai"},
    ),
    "proposal": Layer(
        # What is guessed of the rows and models of a user.
        raykd={"data.file_lists", "data.folder_reader", "data.guess_task", "data.guesses",
               "data.kinds", "data.notes", "data.table", "data.task_kinds", "errors",
               "models.resolve", "models.tokenizers", "registry"},
        later={"torch"},
    ),
    # What a logger writes with is imported when it is opened; TensorBoard's writer is torch's.
    "loggers": Layer(
        raykd={"errors", "params", "results.csv_cells", "results.logger_record", "secrets",
               "whole_file"},
        later={"mlflow", "torch", "wandb"},
    ),
    "spec": Layer(
        # The settings of training are a declaration without heavy imports. What methods read is
        # put together in their type, which costs torch, hence inside a function. Names of
        # classes are compared as the values of a column are; templates and metrics have names.
        raykd={"errors", "params", "registry", "secrets", "training.settings",
               "methods.base", "models.signals", "data.chat_templates", "data.text_scores",
               "data.values"},
        types={"losses.targets"},
        packages={"pydantic", "ruamel"},
    ),
    "task_setup": Layer(
        # What the rooms below need of a search space, as plain settings of theirs.
        raykd={"errors", "home_folder", "params", "registry", "data", "losses.targets", "models",
               "methods.base", "results.data_caveats", "results.scales", "results.sentences",
               "spec", "teachers", "training.device", "training.model_options",
               "training.settings"},
    ),
    "search": Layer(
        # What records a search receives the status of a trial.
        raykd={"errors", "params", "private_api", "spec.domains", "spec.schema",
               "spec.schema_stages", "results.records", "whole_file"},
        packages={"cmaes", "numpy", "optuna", "ray.tune"},
    ),
    "trial": Layer(
        raykd={"errors", "params", "registry", "ray_private", "data.base", "data.collate",
               "data.bits_per_byte", "data.unlabelled", "models.base", "models.file_arrays",
               "models.lora", "models.model_factory",
               "models.sharding", "models.signals", "models.student_size", "models.weights",
               "methods.base", "training", "teachers", "results.records", "own_folder", "waiting",
               "whole_file"},
        # A Tune trial is a lease on a slot, and a slot is a trainer.
        packages={"ray", "ray.train", "ray.tune", "torch"},
    ),
    "clusters": Layer(
        # Rules for cluster files are found like other extensions. Slots are started on the nodes of
        # a cluster, and the events of a job that was sent to one are those of a sweep.
        raykd={"errors", "home_folder", "own_folder", "registry", "ray_private",
               "results.event_log",
               "results.run_archive",
               "spec.resources", "spec.schema", "spec.schema_stages", "training.device", "trial",
               "waiting", "whole_file"},
        packages={"ray", "yaml"},
        # Ray's own loader and schema; it reports mistakes as errors of its command line. What a
        # node computes with is asked on the node.
        later={"click", "jsonschema", "torch"},
    ),
    "report": Layer(
        raykd={"errors", "params", "registry", "results", "whole_file"},
        packages={"optuna", "plotly", "jinja2", "markupsafe", "numpy"},
        # Figures as files, which not everybody wants.
        later={"matplotlib"},
    ),
    "export": Layer(
        # A student is given on only if it would be loaded; the name of the hub is there.
        raykd={"errors", "hub", "models.inference", "models.shards", "models.weight_files",
               "params", "registry", "results"},
        later={"huggingface_hub", "numpy", "onnxruntime", "torch", "transformers"},
    ),
    "harness": Layer(
        # Students that are whole, and where their scores are kept; what a row adds to a metric is
        # the same here as on the test split.
        raykd={"errors", "data.row_outcomes", "models.weight_files", "results"},
        packages={"numpy"}, later={"lm_eval", "torch"},
    ),
    "sweep": Layer(
        # Everything below; `__init__` is raykd's version.
        raykd={"__init__", "errors", "home_folder", "params", "registry", "ray_private",
               "data.base", "data.chance_level", "data.confusion", "data.notes", "data.row_roles",
               "data.unlabelled_files", "models",
               "training.arithmetic", "training.device", "training.seeding", "training.settings",
               "teachers", "trial", "clusters", "loggers", "spec", "task_setup", "search",
               "results", "report", "secrets", "waiting", "whole_file"},
        packages={"optuna", "ray", "ray.tune"},
        # The names of the GPUs, for the record.
        later={"torch"},
    ),
    "cli": Layer(
        raykd={"__init__", "errors", "params", "registry", "spec", "sweep", "results", "report",
               "export", "harness", "clusters", "home_folder", "own_folder", "proposal", "secrets",
               "task_setup.data_overview", "teachers.user_cache", "user_code", "whole_file"},
        packages={"typer", "rich"},
        # Help and usage errors answer at once; `env` tells what torch and the devices are.
        later={"torch"},
    ),
    "notebook": Layer(
        # The command's console shows how a sweep gets on, in a notebook, too.
        raykd={"cli.console", "cli.live_view", "cli.output", "cli.progress", "errors", "export",
               "registry", "report.charts", "report.figures", "results", "spec", "sweep"},
        packages={"rich"},
        later={"pandas", "peft", "plotly"},
    ),
    # The public names.
    "__init__": Layer(
        types={"errors", "params", "methods.base", "spec.load", "notebook", "results.store",
               "report.build"},
    ),
    "__main__": Layer(raykd={"cli.main"}),
}  # fmt: skip

# One file of a layer that may do what the others may not.
ALONE = {
    # The only part of a teacher that knows the object store.
    "teachers/object_store.py": Layer(packages={"ray"}),
}


@dataclass(frozen=True)
class Import:
    """One import: the dotted name, and whether it happens in a function or for types only."""

    name: str
    is_late: bool = False
    is_type: bool = False

    @property
    def package(self) -> str:
        """What has to be installed; Ray's libraries count one by one."""
        parts = self.name.split(".")
        return ".".join(parts[:2]) if self.name.startswith(("ray.train", "ray.tune")) else parts[0]

    def is_in(self, modules: set[str]) -> bool:
        """Whether it is one of raykd's modules, or is within one."""
        inside = self.name.removeprefix("raykd").removeprefix(".") or "__init__"
        return any(inside == m or inside.startswith(m + ".") for m in modules)


def imports(tree: ast.AST, *, late: bool = False, types: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, late, types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield from (Import(f"{node.module}.{a.name}", late, types) for a in node.names)
        else:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            checks_types = isinstance(node, ast.If) and _names_type_checking(node.test)
            yield from imports(node, late=late or is_function, types=types or checks_types)


def _names_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def crossing(path: Path) -> tuple[Import, ...]:
    """What a file imports from other layers and other packages."""
    actual = imports(ast.parse(path.read_text(encoding="utf-8")))
    own = layer_of(path)
    return tuple(
        i for i in actual
        if i.package not in sys.stdlib_module_names and i.package != "__future__"
        and not (i.package == "raykd" and i.is_in({own}))
    )  # fmt: skip


def is_allowed(actual: Import, layer: Layer) -> bool:
    if actual.package == "raykd":
        return actual.is_in(layer.raykd | (layer.types if actual.is_type else set()))
    later = layer.later if actual.is_late or actual.is_type else set()
    return actual.package in layer.packages | later


FILES = sorted(PACKAGE.rglob("*.py"))


def test_files_import_only_what_their_layer_may():
    refused = []
    for path in FILES:
        place = path.relative_to(PACKAGE).as_posix()
        rules = [LAYERS[layer_of(path)], *([ALONE[place]] if place in ALONE else [])]
        refused += [
            f"{place} may not import {i.name}"
            for i in crossing(path)
            if not any(is_allowed(i, r) for r in rules)
        ]
    assert not refused


def test_the_table_allows_nothing_that_is_not_needed():
    unneeded = []
    for name, layer in LAYERS.items():
        files = [p for p in FILES if layer_of(p) == name]
        assert files, f"{name} has no files"
        actual = [i for p in files for i in crossing(p)]
        own = [i for i in actual if i.package == "raykd"]
        at_once = {i.package for i in actual if not i.is_late and not i.is_type}
        unneeded += [
            (name, kind, names)
            for kind, names in (
                ("raykd", {m for m in layer.raykd
                           if not any(i.is_in({m}) and not i.is_type for i in own)}),
                ("types", {m for m in layer.types if not any(i.is_in({m}) for i in own)}),
                ("packages", layer.packages - at_once),
                ("later", layer.later - {i.package for i in actual}),
            )
            if names
        ]  # fmt: skip
    assert not unneeded


def test_no_layer_imports_one_above_it():
    """The table is written from the bottom to the top; only types may point upwards."""
    order = list(LAYERS)
    upwards = {
        name: {m.partition(".")[0] for m in LAYERS[name].raykd} - {*order[:at], "__init__"}
        for at, name in enumerate(order)
    }
    assert not {name: above for name, above in upwards.items() if above}


def test_exceptions_are_needed():
    unneeded = {
        place: layer.packages - {i.package for i in crossing(PACKAGE / place)}
        for place, layer in ALONE.items()
    }
    assert not {place: packages for place, packages in unneeded.items() if packages}


def test_the_check_can_fail():
    rule = Layer(
        raykd={"results.records"}, types={"data.base"}, packages={"ray.tune"}, later={"torch"}
    )
    cases = {
        "import torch": True,
        "def f():\n    import torch": False,
        "from raykd.results.store import load_results": True,
        "from raykd.results import records": False,
        "from raykd.sweep.run import run_sweep": True,
        "if TYPE_CHECKING:\n    from raykd.data.base import Task": False,
        "from raykd.data.base import Task": True,
        "import ray": True,
        "from ray import tune": False,
        "class A:\n    def f(self):\n        import ray": True,
    }
    seen = {s: [not is_allowed(i, rule) for i in imports(ast.parse(s))] for s in cases}
    assert seen == {source: [refused] for source, refused in cases.items()}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules that each of raykd's modules imports when it runs, also inside functions.

    Imports for type checking are left out: they never run, and two contracts may name each other's
    types.

    Args:
        sources: Source by dotted name.
    """
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        names = [i.name for i in imports(ast.parse(source)) if not i.is_type]
        parents = {name.rpartition(".")[0] for name in names}
        graph[module] = ({*names} | parents) & {*sources} - {module}
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other, directly or through others."""
    left = {module: {*imported} for module, imported in graph.items()}
    while leaves := [module for module, imported in left.items() if not imported & {*left}]:
        for module in leaves:
            del left[module]
    # What is left leads to a circle; what nothing left imports is not part of it.
    while roots := {*left} - {name for imported in left.values() for name in imported}:
        for module in roots:
            del left[module]
    return sorted(left)


def test_no_modules_import_each_other():
    sources = {module_of(path): path.read_text(encoding="utf-8") for path in FILES}
    assert not circles(import_graph(sources))


def test_circles_are_found():
    late = "def f():\n    from raykd.a import g"
    sources = {"raykd.a": "from raykd import b", "raykd.b": late, "raykd.c": "import raykd.a"}
    assert circles(import_graph(sources)) == ["raykd.a", "raykd.b"]
    types = "if TYPE_CHECKING:\n    from raykd.a import g"
    assert not circles(import_graph({**sources, "raykd.b": types}))


# Every file of an extension with parameters has these.
IN_MANY_FILES = {"Params"}


def test_a_class_has_a_name_of_its_own():
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(path.name)
    shared = {name: files for name, files in places.items() if len(files) > 1}
    assert {*shared} == IN_MANY_FILES, shared


# Where the surroundings are read: the command line, the start of a sweep, the process of a worker,
# which sets what its libraries read, and loggers, whose packages are set up there.
MAY_READ_THE_ENVIRONMENT = {
    "cli", "sweep", "clusters", "home_folder.py", "loggers", "ray_private/setup_worker.py",
    "task_setup/endpoint_teacher.py", "teachers/user_cache.py", "trial/worker.py",
}  # fmt: skip


def test_only_the_edges_read_the_environment():
    read = []
    for path in FILES:
        place = path.relative_to(PACKAGE).as_posix()
        if {place, layer_of(path)} & MAY_READ_THE_ENVIRONMENT:
            continue
        read += [
            f"{place}: line {n.lineno}"
            for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(n, ast.Attribute)
            and n.attr in ("environ", "getenv")
            and ast.unparse(n.value) == "os"
        ]
    assert not read
