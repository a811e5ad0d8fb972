"""Reads the tensors of a model folder: whole files and shards, of safetensors and of PyTorch.

Tensors are mapped from their files, in the type of number that they have there: what is not looked
at is not in memory.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raykd.errors import DataError, RaykdError, SpecError
from raykd.models.file_arrays import FileArrays, FilePart, FileVersion, parts_of_safetensors
from raykd.models.torch_private import offset_of, without_values

SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
TORCH, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
WEIGHT_FILES = (SAFE, SAFE_INDEX, TORCH, TORCH_INDEX)
"""Files of weights that are read, the first one that is there."""
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")
"""The same of adapters (PEFT)."""

_POINTER = b"version https://git-lfs"
_OTHERS = (
    ".safetensors",
    ".h5",
    ".msgpack",
    ".ot",
    ".onnx",
    ".gguf",
    ".ckpt",
    ".pt",
    ".pth",
    ".bin",
)
_WRAPPED = ("state_dict", "model_state_dict", "model", "module")
"""Where training programs put the weights within a file that holds more."""


_TORCH = {
    "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2
}  # fmt: skip
"""Types that NumPy lacks."""

_NUMPY = {
    torch.float64: "<f8", torch.float32: "<f4", torch.float16: "<f2", torch.bfloat16: "<i2",
    torch.int64: "<i8", torch.int32: "<i4", torch.int16: "<i2", torch.int8: "|i1",
    torch.uint8: "|u1", torch.bool: "|b1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor of a file.

    Attributes:
        tensor: The tensor, mapped into memory.
        part: Where it is stored, None where it had to be read.
    """

    tensor: Tensor
    part: FilePart | None


class FileTensors:
    """The tensors of a model folder.

    Args:
        files: Each tensor by its name.
    """

    def __init__(self, files: Mapping[str, FileTensor]) -> None:
        self.tensors = {name: one.tensor for name, one in files.items()}
        self._parts = {id(one.tensor): one.part for one in files.values()}

    def part(self, tensor: Tensor) -> FilePart | None:
        """Where one of the tensors is stored; None for one that was computed."""
        return self._parts.get(id(tensor))


def read_tensors(folder: Path) -> FileTensors:
    """Every tensor of a model folder, by name.

    Raises:
        SpecError: There are no weights in a format that is read.
        DataError: A file is missing, cut off, or holds something else.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            shards = name.endswith(".json")
            read = _shards(folder, folder / name) if shards else read_file(folder / name)
            return FileTensors(read)
    raise _nothing(folder)


def is_whole_model(folder: Path) -> bool:
    """Whether a folder holds what `check_whole_model` asks for."""
    try:
        check_whole_model(folder)
    except RaykdError:
        return False
    return True


def check_whole_model(folder: Path) -> None:
    """Refuse a folder without a configuration and weights, of a model or an adapter, not cut off.

    Raises:
        DataError: A file is missing, cut off, or holds something else; says which.
        SpecError: There are no weights that raykd writes.
    """
    if not read_json(folder / "config.json"):
        raise DataError(f"{folder / 'config.json'} is empty")
    written = [folder / name for name in (SAFE, ADAPTER_FILES[0]) if (folder / name).is_file()]
    if not written:
        raise _nothing(folder)
    if not read_file(written[0]):
        raise DataError(f"{written[0]} holds no weights")


def versions(folder: Path) -> tuple[FileVersion, ...]:
    """All files of a model folder as they are now: what is read of them need be read once."""
    return tuple(FileVersion.of(path) for path in sorted(folder.iterdir()) if path.is_file())


def check_file(path: Path) -> None:
    """Refuse files that do not hold what their name says, before somebody reads them.

    Raises:
        DataError: It is empty, or what git-lfs leaves in the place of a file.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(_POINTER))
        size = path.stat().st_size
    except OSError as exc:
        raise DataError(
            f"{path} cannot be read: {exc.strerror or exc}", hint="check its permissions"
        ) from exc
    if not begin:
        raise DataError(f"{path} is empty", hint="copy or download it again")
    if begin == _POINTER:
        raise DataError(
            f"{path} is a pointer of git-lfs ({size:,} bytes), not the file itself",
            hint="run 'git lfs pull' where it was cloned, or download it",
        )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds a mapping.

    Raises:
        DataError: It is something else, or cut off; says where.
    """
    content = _json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no mapping, but {type(content).__name__}")
    return content


def read_json_list(path: Path) -> list[Any]:
    """A JSON file that holds a list.

    Raises:
        DataError: It is something else, or cut off; says where.
    """
    content = _json(path)
    if not isinstance(content, list):
        raise DataError(
            f"{path} holds no list, but {type(content).__name__}", hint="copy or download it again"
        )
    return content


def _json(path: Path) -> Any:
    check_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as exc:
        raise DataError(f"{path} is not JSON in UTF-8: {exc}", hint="save it as UTF-8") from exc
    except (ValueError, RecursionError) as exc:
        raise DataError(
            f"{path} is not JSON: {exc}", hint="was it cut off? copy or download it again"
        ) from exc


def _shards(folder: Path, index: Path) -> dict[str, FileTensor]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise DataError(
            f"{index} has no 'weight_map' of names to files", hint="save the model again"
        )
    tensors: dict[str, FileTensor] = {}
    for shard in sorted(set(places.values())):
        if not (folder / shard).is_file():
            raise DataError(
                f"{index} names the file '{shard}', which is not there",
                hint="copy or download all files of the model",
            )
        tensors |= read_file(folder / shard)
    lost = sorted(places.keys() - tensors.keys())
    if lost:
        raise DataError(
            f"{index} names {len(lost):,} weights that are in no file, the first is '{lost[0]}'",
            hint="do the files belong to another model? copy or download all of them again",
        )
    return tensors


def read_file(path: Path) -> dict[str, FileTensor]:
    """The tensors of one file.

    Raises:
        DataError: It is cut off, or holds something else.
    """
    from safetensors import SafetensorError

    check_file(path)
    size = path.stat().st_size
    try:
        return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    except pickle.UnpicklingError as exc:
        raise DataError(
            f"{path} ({size:,} bytes) holds no plain weights, or is cut off: "
            f"{str(exc).splitlines()[0].partition('. ')[0]}",
            hint="save the weights alone: torch.save(model.state_dict(), ...), or save_pretrained",
        ) from exc
    except (OSError, ValueError, EOFError, KeyError, SafetensorError, RuntimeError) as exc:
        raise DataError(
            f"{path} ({size:,} bytes) cannot be read: {str(exc).splitlines()[0]}",
            hint="it is cut off or damaged: copy or download it again",
        ) from exc


def _safetensors(path: Path) -> dict[str, FileTensor]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as opened:  # checks the table of contents
        opened.keys()
    parts = parts_of_safetensors(path)
    arrays = FileArrays({name: part for name, (_, part) in parts.items()})
    tensors = {}
    for name, (kind, part) in parts.items():
        tensor = torch.from_numpy(arrays[name])
        if kind in _TORCH:
            tensor = tensor.view(_TORCH[kind])
        tensors[name] = FileTensor(tensor, part)
    return tensors


def _torch(path: Path) -> dict[str, FileTensor]:
    """The tensors of a file that ``torch.save`` wrote; today's format can be mapped."""
    can_map = zipfile.is_zipfile(path)
    loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=can_map)
    tensors = _unwrapped(path, loaded)
    fake = _unwrapped(path, without_values(path)) if can_map else {}
    offsets = {name: offset_of(tensor) for name, tensor in fake.items()}
    return {
        name: FileTensor(tensor, _part(path, tensor, offsets.get(name)))
        for name, tensor in tensors.items()
    }


def _part(path: Path, tensor: Tensor, offset: int | None) -> FilePart | None:
    """Where a tensor is stored; None where it is not one piece of a file, or of a rare type."""
    kind = _NUMPY.get(tensor.dtype)
    if offset is None or kind is None or not tensor.is_contiguous():
        return None
    bf16 = tensor.dtype == torch.bfloat16
    return FilePart(FileVersion.of(path), offset, kind, tuple(tensor.shape), bf16=bf16)


def _unwrapped(path: Path, loaded: Any) -> dict[str, Tensor]:
    """The weights in what a training program saved."""
    mapping = loaded
    while isinstance(mapping, Mapping) and not any(isinstance(v, Tensor) for v in mapping.values()):
        inside = next((mapping[k] for k in _WRAPPED if isinstance(mapping.get(k), Mapping)), None)
        if inside is None:
            break
        mapping = inside
    tensors = {}
    if isinstance(mapping, Mapping):
        tensors = {str(k): v for k, v in mapping.items() if isinstance(v, Tensor)}
    if not tensors:
        raise DataError(
            f"{path} holds no weights by name, but {type(loaded).__name__}",
            hint="save them with torch.save(model.state_dict(), ...), or save_pretrained",
        )
    return tensors


def _nothing(folder: Path) -> SpecError:
    """That there are no weights to read, with what there is."""
    there = sorted(p.name for p in folder.iterdir() if p.suffix in _OTHERS)
    message = (
        f"folder '{folder}' has a config.json but no weights that are read "
        f"({SAFE} or {TORCH}, whole or in shards)"
    )
    if any(name in there for name in ADAPTER_FILES):
        return SpecError(
            f"folder '{folder}' holds the weights of an adapter (PEFT), not of a model", hint=MERGE
        )
    if there:
        message += f"; there is {', '.join(there[:5])}"
    return SpecError(message, hint="save the model from PyTorch with save_pretrained")


MERGE = (
    "merge it into its model first: PeftModel.from_pretrained(model, ADAPTER).merge_and_unload()"
    ".save_pretrained(FOLDER)"
)
"""What to do about an adapter."""
