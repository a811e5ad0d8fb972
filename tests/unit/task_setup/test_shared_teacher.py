"""What many tasks with one teacher cost the driver: its files are read once, and stay there."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

from raykd.sweep.input_hashes import hash_inputs
from raykd.task_setup.set_up import set_up_task
from raykd.teachers.cache_keys import factory_identity
from raykd.teachers.digest import digest
from tests.cases.model_folders import spec_of, write_encoder, write_reviews

TASKS = 12


def bytes_read() -> int:
    """What this process has read so far, from the disk or from the kernel's cache."""
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar:"))


def test_twelve_tasks_with_one_teacher_cost_one_load(tmp_path):
    tasks = []
    for k in range(TASKS):
        folder = write_reviews(tmp_path / f"rows{k}", rows=20 + 2 * k)
        tasks.append(
            {"name": f"task{k}", "path": str(folder), "texts": ["text"], "labels": ["neg", "pos"]}
        )
    write_encoder(tmp_path / "teacher", intermediate_size=40_000)
    size = (tmp_path / "teacher" / "model.safetensors").stat().st_size
    plain = {
        "name": "many",
        "tasks": tasks,
        "data": {"max_length": 16},
        "teacher": {"checkpoint": str(tmp_path / "teacher")},
        "student": {"model": {"family": "bert", "layers": 1, "hidden": 8, "heads": 2}},
        "train": {"epochs": 1},
        "methods": {"none": {}, "kd": {}},
        "search": {"trials": 1},
        "confirm": {"seeds": [1]},
    }
    spec = spec_of(tmp_path, json.dumps(plain))  # JSON is YAML
    before, teachers = bytes_read(), set()
    for name in spec.tasks:
        setup = set_up_task(spec, name)
        teachers.add((hash_inputs(setup)["teacher"], digest(factory_identity(setup.teacher))))
        assert len(pickle.dumps(setup.teacher)) < 0.01 * size
    assert len(teachers) == 1
    assert size <= bytes_read() - before < 1.5 * size
