from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.golden import parity

HERE = Path(__file__).parent
FILES = sorted(p.name for p in HERE.glob("*.npz"))
SMALL = "ckd_options_6to3.npz"


def rewrite(folder: Path, name: str, **changes: np.ndarray | None) -> None:
    """Copy a golden file with some keys replaced, added, or (None) left out."""
    with np.load(HERE / name) as file:
        arrays = {key: file[key] for key in file.files} | changes
    np.savez(folder / name, **{k: v for k, v in arrays.items() if v is not None})


def golden(name: str, key: str) -> np.ndarray:
    with np.load(HERE / name) as file:
        return np.array(file[key])


@pytest.mark.parametrize("name", FILES)
def test_the_original_numbers_are_reproduced(name, capsys):
    assert parity.main([str(HERE), "--only", name]) == 0
    assert "all agree" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "key", "factor"),
    [
        (SMALL, "value__wrangle_smoothl1", 1 + 2e-5),
        (SMALL, "value64__ltrdist_l2_l1loss", 1 - 2e-5),
        ("ckd_main_12to6.npz", "value__wrdist_cos_kldiv", 1 + 1e-4),
        ("ckd_main_12to6.npz", "value@triple__ltrangle_l2loss", 1 + 2e-5),
        ("ckd_main_12to6.npz", "value__kd_T4", 1 + 2e-5),
        ("ckd_main_12to6.npz", "total_as_shipped__sst-2", 1 + 1e-4),
        ("ckd_main_12to6.npz", "value__ce", np.nan),
        ("ckd_baselines_12to6.npz", "value__pkd_cls@skip", 1 + 2e-5),
    ],
)
def test_a_wrong_value_is_noticed(tmp_path, capsys, name, key, factor):
    rewrite(tmp_path, name, **{key: golden(name, key) * factor})
    assert parity.main([str(tmp_path)]) == 1
    assert f"FAIL {key}: value error" in capsys.readouterr().out


@pytest.mark.parametrize(
    "key", ["grad__wrangle_window5_l1loss", "grad__ltrdist_l2_l2loss_distnorm"]
)
@pytest.mark.parametrize("change", ["entry", "shape", "nan"])
def test_a_wrong_gradient_is_noticed(tmp_path, capsys, key, change):
    grad = golden(SMALL, key)
    if change == "shape":
        grad = grad[:-1]
    else:
        grad[1, 0, 0, 0] += np.nan if change == "nan" else 2e-5 * np.abs(grad).max()
    rewrite(tmp_path, SMALL, **{key: grad})
    assert parity.main([str(tmp_path)]) == 1
    assert f"FAIL {key}: gradient error" in capsys.readouterr().out


def test_a_zero_that_is_none_is_noticed(tmp_path, capsys):
    key = "value@emb+final__ltrangle_l2loss"
    rewrite(tmp_path, "ckd_main_12to6.npz", **{key: np.float32(1e-5)})
    assert parity.main([str(tmp_path)]) == 1
    assert f"FAIL {key}: zero error" in capsys.readouterr().out


def test_a_wrong_layer_is_noticed(tmp_path, capsys):
    rewrite(tmp_path, "ckd_matching.npz", **{"12to4__skip__teacher": np.array([3, 6, 9])})
    assert parity.main([str(tmp_path)]) == 1
    assert "FAIL 12to4__skip__teacher: index error 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "key",
    [
        "value__wrdist_cos_l2",
        "value__wrdist_cos_l2loss",
        "value__wrangle_windowX_l2loss",
        "value__ltrangle_window5_l2loss",
        "value@skipp__wrangle_l2loss",
        "value__kd_T",
        "total_intended__wnli",
        "12to6__skip__middle",
        "something",
    ],
)
def test_a_key_that_is_not_understood_fails(tmp_path, capsys, key):
    rewrite(tmp_path, SMALL, **{key: np.float32(1.0)})
    assert parity.main([str(tmp_path)]) == 1
    assert f"FAIL {key}: not understood" in capsys.readouterr().out


def test_a_missing_input_fails(tmp_path, capsys):
    rewrite(tmp_path, SMALL, attention_mask=None)
    assert parity.main([str(tmp_path)]) == 1
    assert "needs 'attention_mask'" in capsys.readouterr().out


def test_other_strategies_and_windows_are_computed(tmp_path, capsys):
    """New keys are recomputed, not looked up: a made-up golden value is compared, and off."""
    key = "value@last__wrangle_window9_smoothl1"
    rewrite(tmp_path, SMALL, **{key: np.float32(1.0)})
    assert parity.main([str(tmp_path)]) == 1
    assert f"FAIL {key}: value error" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_broken_file_fails(tmp_path, capsys, content):
    (tmp_path / "ckd_broken.npz").write_bytes(content)
    assert parity.main([str(tmp_path)]) == 1
    assert "ckd_broken.npz: cannot be read" in capsys.readouterr().out


def test_nothing_compared_fails(tmp_path, capsys):
    assert parity.main([str(tmp_path)]) == 1
    assert "nothing was compared" in capsys.readouterr().out
    assert parity.main([str(tmp_path / "absent")]) == 1
    assert parity.main([str(HERE), "--only", "nobody"]) == 1
    rewrite(tmp_path, SMALL, **{k: None for k in np.load(HERE / SMALL).files if "__" in k})
    assert parity.main([str(tmp_path)]) == 1


def test_a_family_without_checker_fails_only_when_requested(tmp_path, capsys):
    rewrite(tmp_path, "ckd_matching.npz")
    np.savez(tmp_path / "zzz_terms.npz", value__x=np.float32(1.0))
    assert parity.main([str(tmp_path)]) == 0
    assert "zzz_terms.npz: no checker yet" in capsys.readouterr().out
    assert parity.main([str(tmp_path), "--only", "zzz"]) == 1


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("lam0.3/s50/neuron_keep", "index error 1"),
        pytest.param("lam1/s70/head_removed", "index error", marks=pytest.mark.slow),
        pytest.param("score/F_neuron_raw", "array error", marks=pytest.mark.slow),
        ("lam0.5/head_score", "array error"),
        pytest.param("lam0.5/neuron_order", "index error", marks=pytest.mark.slow),
        pytest.param("lam0/s90/logits", "array error", marks=pytest.mark.slow),
        pytest.param("pruned_init/s90/layer_widths", "index error", marks=pytest.mark.slow),
        pytest.param("pruned_init/s90/encoder_params", "index error", marks=pytest.mark.slow),
        pytest.param("layerdrop/k2/logits", "array error", marks=pytest.mark.slow),
        ("batch1/kd_loss", "value error"),
    ],
)
def test_a_wrong_sparse_teacher_is_noticed(tmp_path, capsys, key, why):
    name = "stark_scores_layer.npz"
    array = golden(name, key)
    first = array.reshape(-1)[:1]
    if array.dtype == bool:
        first[...] = ~first
    elif key.endswith("_order"):
        array[0, [0, -1]] = array[0, [-1, 0]]
    elif array.dtype.kind == "f":
        first += 1e-3 * np.abs(array).max()
    else:
        first += 1
    rewrite(tmp_path, name, **{key: array})
    assert parity.main([str(tmp_path)]) == 1
    assert f"FAIL {key}" in (actual := capsys.readouterr().out)
    assert why in actual
    assert actual.count("FAIL") <= 3


@pytest.mark.parametrize(
    "key", ["a/T2/grad_teacher", "c/T5/loss", "d/T1/grad_student", "b/T2/something", "b/U2/loss"]
)
def test_a_wrong_loss_of_a_sparse_teacher_is_noticed(tmp_path, capsys, key):
    name = "stark_kd_loss.npz"
    with np.load(HERE / name) as file:
        array = file[key] * 1.001 if key in file.files else np.float32(1)
    rewrite(tmp_path, name, **{key: array})
    assert parity.main([str(tmp_path)]) == 1
    assert f"FAIL {key}: " in capsys.readouterr().out
