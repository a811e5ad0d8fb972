"""Reads quantised checkpoints with Transformers' own quantizers, as plain weights in bf16.

Only methods whose weights the library can dequantise while it reads them, on any device: they say
so with a ``dequantize`` setting. All others are refused by name.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from raykd.errors import DataError, SetupError
from raykd.models.file_arrays import FileVersion
from raykd.models.own_files import in_own_file
from raykd.models.weight_files import FileTensors, read_tensors, versions
from raykd.models.weight_names import FLOATS, quantised_error

KEYS = ("quantization_config", "compression_config")
"""Entries of a configuration that say that weights are quantised."""

_SCALES = ("_scale_inv", "_scale")
"""What the scale of a tensor of few bits is called, after the tensor's own name."""


def quantization_of(plain: Mapping[str, Any]) -> tuple[str, str] | None:
    """The entry of a configuration that says that weights are quantised, and how; None if not."""
    for key in KEYS:
        if plain.get(key):
            stated = plain[key]
            method = stated.get("quant_method") if isinstance(stated, Mapping) else None
            return key, str(method or "")
    return None


def read_quantized(
    name: str, folder: Path, plain: Mapping[str, Any], head_class: Any
) -> tuple[FileTensors, str]:
    """The weights of a quantised checkpoint, dequantised, and what a user should know of it.

    Args:
        name: The model in the user's words.
        folder: Its folder.
        plain: Its configuration.
        head_class: The class of the library that reads it.

    Raises:
        DataError: Its method cannot be dequantised here, or the files do not hold it.
        SetupError: A package is missing.
    """
    quantization = quantization_of(plain)
    assert quantization is not None
    key, method = quantization
    why = f"{key} in its config.json" + (f": {method}" if method else "")
    _check_scales(name, why, read_tensors(folder).tensors)
    try:
        setting = _setting(plain[key]) if key == KEYS[0] else None
        tensors = (
            None if setting is None else _dequantized(versions(folder), folder, head_class, setting)
        )
    except ImportError as exc:
        raise SetupError(
            f"'{name}' is quantised ({method}): {str(exc).splitlines()[0]}",
            hint="pip install 'raykd[quantization]', or name the model in bf16, fp16 or fp32",
        ) from exc
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as exc:
        raise DataError(
            f"'{name}' is quantised ({method}), and Transformers cannot dequantise it: "
            f"{str(exc).splitlines()[0] if str(exc) else type(exc).__name__}",
            hint="name the model in bf16, fp16 or fp32",
        ) from exc
    if tensors is None:
        raise quantised_error(name, why)
    note = f"'{name}' is quantised ({method}); it was dequantised to bf16"
    return tensors, note


def _setting(stated: Mapping[str, Any]) -> Any:
    """The library's class of a quantisation that it can undo while it reads; None otherwise.

    Raises:
        ImportError: The method needs a package that is not installed.
    """
    from transformers.quantizers.auto import AutoQuantizationConfig

    try:
        setting = AutoQuantizationConfig.from_dict(dict(stated))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return type(setting) if hasattr(setting, "dequantize") else None


def _check_scales(name: str, why: str, given: Mapping[str, torch.Tensor]) -> None:
    """Refuse a file whose tensors of few bits lack their scales: it would be read as they are."""
    few = [n for n, t in given.items() if t.dtype not in FLOATS and t.is_floating_point()]
    for tensor in few:
        if not any(tensor + scale in given for scale in _SCALES):
            raise quantised_error(name, f"{why}, but '{tensor}' has no scale")


@functools.lru_cache(maxsize=2)
def _dequantized(
    files: tuple[FileVersion, ...], folder: Path, head_class: Any, setting: Any
) -> FileTensors:
    """Weights by name, without those that the files lack; read once in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the setting of the file is used, but for one entry
        model, loading_info = head_class.from_pretrained(
            folder,
            quantization_config=setting(dequantize=True),
            dtype=torch.bfloat16,
            local_files_only=True,
            output_loading_info=True,
        )
    lacking = {
        *loading_info["missing_keys"],
        *(entry[0] for entry in loading_info["mismatched_keys"]),
    }
    return in_own_file({n: t for n, t in model.state_dict().items() if n not in lacking})
