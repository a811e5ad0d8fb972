from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from raykd.errors import ShapeError, SpecError
from raykd.losses import angles
from raykd.losses.elementwise import DIFFERENCE_LOSSES
from raykd.losses.gram import Gram, layer_gram, word_gram
from raykd.losses.relations import pair_relation, triple_relation, window_relation
from tests.unit.losses import naive

LENGTHS = [9, 4, 1]
LENGTH, LAYERS = 11, 4

Relation = Callable[[list[Tensor], list[Tensor], Tensor], Tensor]


def words(**options: object) -> Callable[[Callable[..., Tensor]], Relation]:
    context_padding = int(str(options.pop("context_padding", 0)))

    def build(relation: Callable[..., Tensor]) -> Relation:
        def run(student: list[Tensor], teacher: list[Tensor], mask: Tensor) -> Tensor:
            actual = word_gram(student, mask, context_padding=context_padding)
            return relation(
                actual, word_gram(teacher, mask, context_padding=context_padding), **options
            )

        return run

    return build


def tokens(**options: object) -> Callable[[Callable[..., Tensor]], Relation]:
    def build(relation: Callable[..., Tensor]) -> Relation:
        def run(student: list[Tensor], teacher: list[Tensor], mask: Tensor) -> Tensor:
            return relation(layer_gram(student, mask), layer_gram(teacher, mask), **options)

        return run

    return build


L2 = {"distance": "l2", "lossfunc": "l2loss"}
TERMS: dict[str, Relation] = {
    "wrdist": words()(pair_relation),
    "wrdist_l2": words(**L2)(pair_relation),
    "wrdist_norm": words(**L2, distnorm=True)(pair_relation),
    "wrangle": words()(triple_relation),
    "window": words(context_padding=2, window=5)(window_relation),
    "window_masked": words(window=5, mask_neighbours=True)(window_relation),
    "ltrdist": tokens()(pair_relation),
    "ltrdist_norm": tokens(**L2, distnorm=True)(pair_relation),
    "ltrangle": tokens()(triple_relation),
}
each_term = pytest.mark.parametrize("term", TERMS.values(), ids=TERMS.keys())


def states(seed: int, width: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shape = (LAYERS, len(LENGTHS), LENGTH, width)
    return list(torch.randn(shape, generator=rng, dtype=torch.float64).to(dtype).unbind(0))


def mask_of(lengths: list[int], length: int = LENGTH) -> Tensor:
    return (torch.arange(length) < torch.tensor(lengths)[:, None]).long()


@pytest.fixture
def mask() -> Tensor:
    return mask_of(LENGTHS)


def word_groups(layers: list[Tensor]) -> list[Tensor]:
    return [layer[b, :n] for layer in layers for b, n in enumerate(LENGTHS)]


def token_groups(layers: list[Tensor]) -> list[Tensor]:
    stacked = torch.stack(layers, dim=2)
    return [stacked[b, i] for b, n in enumerate(LENGTHS) for i in range(n)]


@pytest.mark.parametrize("loss", DIFFERENCE_LOSSES)
def test_angles_equal_plain_loops(mask, loss):
    student, teacher = states(0, 5), states(1, 7)
    of_words = words(lossfunc=loss)(triple_relation)(student, teacher, mask)
    of_layers = tokens(lossfunc=loss)(triple_relation)(student, teacher, mask)
    expected = naive.triple(word_groups(student), word_groups(teacher), loss)
    assert of_words.item() == pytest.approx(expected, rel=1e-10)
    expected = naive.triple(token_groups(student), token_groups(teacher), loss)
    assert of_layers.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("loss", DIFFERENCE_LOSSES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("width", [3, 5, pytest.param(13, marks=pytest.mark.slow)])
def test_windowed_angles_equal_plain_loops(mask, loss, masked, width):
    student, teacher = states(0, 5), states(1, 7)
    term = words(context_padding=width // 2, window=width, lossfunc=loss, mask_neighbours=masked)
    got = term(window_relation)(student, teacher, mask)
    both = torch.stack(student), torch.stack(teacher)
    expected = naive.window(*both, LENGTHS, width, loss, masked)
    assert got.item() == pytest.approx(expected, rel=1e-10)


def test_similarities_equal_plain_loops(mask):
    student, teacher = states(0, 5), states(1, 7)
    expected = naive.divergence(word_groups(student), word_groups(teacher))
    assert TERMS["wrdist"](student, teacher, mask).item() == pytest.approx(expected, rel=1e-9)
    expected = naive.divergence(token_groups(student), token_groups(teacher))
    assert TERMS["ltrdist"](student, teacher, mask).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("loss", DIFFERENCE_LOSSES)
@pytest.mark.parametrize("norm", [False, True])
def test_distances_equal_plain_loops(mask, loss, norm):
    student, teacher = states(0, 5), states(1, 7)
    options = {"distance": "l2", "lossfunc": loss, "distnorm": norm}
    got = words(**options)(pair_relation)(student, teacher, mask)
    expected = naive.distances(word_groups(student), word_groups(teacher), loss, norm)
    assert got.item() == pytest.approx(expected, rel=1e-6)


def test_distance_by_hand():
    student = [torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])]
    teacher = [torch.tensor([[[0.0], [1.0]]])]
    got = TERMS["wrdist_l2"](student, teacher, torch.ones(1, 2))
    assert got.item() == pytest.approx(2 * (25 - 1) ** 2 / 4)


def test_right_angle_by_hand():
    corner = [torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])]
    line = [torch.tensor([[[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]])]
    got = words(lossfunc="l1loss")(triple_relation)(corner, line, torch.ones(1, 3))
    # Cosines of the corner: 0, 1/sqrt 2, 1/sqrt 2; of the line: 1, -1, 1. Each cell occurs twice.
    half = 2**-0.5
    assert got.item() == pytest.approx(2 * (1 + (half + 1) + (1 - half)) / 27)


@each_term
def test_equal_sides_give_zero(term, mask):
    side = states(0, 5)
    assert term(side, [x.clone() for x in side], mask).item() == pytest.approx(0, abs=1e-12)


@each_term
def test_widths_and_rotation_do_not_matter(term, mask):
    student, teacher = states(0, 5), states(1, 6)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    wider = [torch.nn.functional.pad(x @ turn, (0, 3)) for x in teacher]
    expected = term(student, teacher, mask).item()
    assert term(student, wider, mask).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["wrangle", "window", "ltrangle", "wrdist_norm", "ltrdist_norm"])
def test_scaling_and_shifting_one_side_does_not_matter(name, mask):
    student, teacher = states(0, 5), states(1, 6)
    moved = [3.0 * x + torch.arange(6.0, dtype=x.dtype) for x in teacher]
    expected = TERMS[name](student, teacher, mask).item()
    assert TERMS[name](student, moved, mask).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["wrdist", "wrdist_norm", "wrangle"])
def test_order_of_tokens_does_not_matter_without_a_window(name):
    order = torch.randperm(LENGTH)
    student, teacher, full = states(0, 5), states(1, 6), torch.ones(len(LENGTHS), LENGTH)
    expected = TERMS[name](student, teacher, full).item()
    mixed = TERMS[name]([x[:, order] for x in student], [x[:, order] for x in teacher], full)
    assert mixed.item() == pytest.approx(expected, rel=1e-9)


@each_term
def test_order_of_rows_does_not_matter(term, mask):
    order = torch.tensor([2, 0, 1])
    student, teacher = states(0, 5), states(1, 6)
    expected = term(student, teacher, mask).item()
    mixed = term([x[order] for x in student], [x[order] for x in teacher], mask[order])
    assert mixed.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [n for n in TERMS if n != "window"])
@pytest.mark.parametrize("filler", [torch.nan, torch.inf, 1e30])
def test_padding_is_never_read(name, filler, mask):
    padding = mask[:, :, None] == 0
    teacher = states(1, 6)
    clean = [x.requires_grad_() for x in states(0, 5)]
    dirty = [x.masked_fill(padding, filler).requires_grad_() for x in states(0, 5)]
    expected = TERMS[name](clean, teacher, mask)
    got = TERMS[name](dirty, [x.masked_fill(padding, filler) for x in teacher], mask)
    assert got.item() == expected.item()
    for one, two in zip(torch.autograd.grad(got, dirty), torch.autograd.grad(expected, clean),
                        strict=True):  # fmt: skip
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", [n for n in TERMS if n != "window"])
def test_masked_equals_sliced(name):
    student, teacher, lengths = states(0, 5), states(1, 6), [6, 6, 6]
    padded = TERMS[name](student, teacher, mask_of(lengths))
    cut = TERMS[name]([x[:, :6] for x in student], [x[:, :6] for x in teacher], torch.ones(3, 6))
    assert padded.item() == pytest.approx(cut.item(), rel=1e-12)


def test_window_reads_padding_up_to_half_its_width_and_no_further():
    lengths, half = [6, 4, 1], 2
    student, teacher = states(0, 5), states(1, 6)
    term, mask = TERMS["window"], mask_of(lengths)
    expected = term(student, teacher, mask)
    reach = 6 + half
    cut = term([x[:, :reach] for x in student], [x[:, :reach] for x in teacher], mask[:, :reach])
    assert cut.item() == pytest.approx(expected.item(), rel=1e-12)
    shorter = term([x[:, :6] for x in student], [x[:, :6] for x in teacher], mask[:, :6])
    assert shorter.item() != pytest.approx(expected.item(), rel=1e-6)
    far = (torch.arange(LENGTH) >= torch.tensor(lengths)[:, None] + half)[:, :, None]
    dirty = [x.masked_fill(far, torch.nan) for x in student]
    assert term(dirty, teacher, mask).item() == expected.item()


@each_term
def test_gradient_is_the_derivative(term, mask):
    teacher = [x[:, :6] for x in states(1, 3)]
    student = [x[:, :6, :3].clone().requires_grad_() for x in states(0, 5)]
    mask = mask_of([6, 3, 1], 6)
    assert torch.autograd.gradcheck(
        lambda *s: term(list(s), teacher, mask), student, atol=1e-6, fast_mode=True
    )


@each_term
def test_teacher_receives_no_gradient(term, mask):
    student = [x.requires_grad_() for x in states(0, 5)]
    teacher = [x.requires_grad_() for x in states(1, 6)]
    term(student, teacher, mask).backward()
    assert any(x.grad is not None and x.grad.abs().max() > 0 for x in student)
    assert all(x.grad is None for x in teacher)


@each_term
def test_half_precision_is_computed_in_single(term, mask):
    student = [x.requires_grad_() for x in states(0, 5, torch.bfloat16)]
    teacher = states(1, 6, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = term(student, teacher, mask)
        got.backward()
    exact = term([x.detach().double() for x in student], [x.double() for x in teacher], mask)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(exact.item(), rel=1e-4)
    assert all(x.grad is None or torch.isfinite(x.grad).all() for x in student)


@each_term
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coinciding_items_have_finite_small_gradients(term, mask, dtype):
    student = torch.stack(states(0, 5, dtype)) * 10
    student[:, :, 3] = student[:, :, 1]
    student[2] = student[1]
    leaf = student.requires_grad_()
    got = term(list(leaf.unbind(0)), states(1, 6, dtype), mask)
    (grad,) = torch.autograd.grad(got, leaf)
    assert torch.isfinite(got)
    # Distances of vectors of this size are in the hundreds, squared differences in the thousands.
    assert grad.abs().max() < 1e4
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("name", ["wrangle", "window", "ltrangle"])
def test_coinciding_items_give_angles_no_gradient(name, mask):
    student = torch.stack(states(0, 5, torch.float32)) * 10
    student[:] = student[:1, :, :1]
    leaf = student.clone().requires_grad_()
    got = TERMS[name](list(leaf.unbind(0)), states(1, 6, torch.float32), mask)
    (grad,) = torch.autograd.grad(got, leaf)
    assert got > 0
    assert grad.abs().max() == 0


def test_zero_vectors_have_no_similarity_and_no_gradient():
    student = torch.zeros(1, 1, 4, 5, requires_grad=True)
    got = TERMS["wrdist"](list(student.unbind(0)), [torch.randn(1, 4, 5)], torch.ones(1, 4))
    got.backward()
    assert torch.isfinite(got)
    assert student.grad is not None
    assert student.grad.abs().max() == 0


def test_large_constant_offsets_do_not_spoil_single_precision(mask):
    offset = torch.zeros(16)
    offset[3], offset[9] = 60.0, -90.0
    student = [x + offset for x in states(0, 16, torch.float32)]
    teacher = states(1, 6, torch.float32)
    for name in ("wrangle", "window", "ltrangle", "wrdist_norm"):
        exact = TERMS[name]([x.double() for x in student], [x.double() for x in teacher], mask)
        got = TERMS[name](student, teacher, mask)
        assert got.item() == pytest.approx(exact.item(), rel=2e-5), name


@each_term
@pytest.mark.parametrize("row", [0, 1, 2])
def test_one_row(term, mask, row):
    student = [x[row : row + 1].requires_grad_() for x in states(0, 5)]
    got = term(student, [x[row : row + 1] for x in states(1, 6)], mask[row : row + 1])
    got.backward()
    assert torch.isfinite(got)
    assert all(x.grad is None or torch.isfinite(x.grad).all() for x in student)


@each_term
def test_no_token_at_all_gives_zero(term):
    got = term(states(0, 5), states(1, 6), torch.zeros(len(LENGTHS), LENGTH))
    assert got.item() == 0


@pytest.mark.parametrize("name", ["ltrdist", "ltrdist_norm", "ltrangle"])
def test_two_layers_say_nothing(name, mask):
    student = [x.requires_grad_() for x in states(0, 5)[:2]]
    got = TERMS[name](student, states(1, 6)[:2], mask)
    got.backward()
    assert got.item() == pytest.approx(0, abs=1e-12)
    assert max(x.grad.abs().max().item() for x in student) == pytest.approx(0, abs=1e-12)


@each_term
def test_size_of_the_blocks_does_not_matter(term, mask, monkeypatch):
    student, teacher = states(0, 5), states(1, 6)
    expected = term(student, teacher, mask).item()
    monkeypatch.setitem(angles._CELLS, "cpu", 1)
    assert term(student, teacher, mask).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lossfunc": "l2loss"}, "distance 'cos' cannot be compared by 'l2loss'"),
        ({"distance": "l2"}, "distance 'l2' cannot be compared by 'kldiv'"),
        ({"distnorm": True}, "acts with distance 'l2' only"),
        ({"distance": "cosine"}, "unknown distance 'cosine'"),
        ({"distance": "l2", "lossfunc": "mse"}, "unknown loss function 'mse'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message, mask):
    with pytest.raises(SpecError, match=message):
        words(**options)(pair_relation)(states(0, 5), states(1, 6), mask)


def test_window_is_odd_and_has_its_margin(mask):
    student, teacher = states(0, 5), states(1, 6)
    with pytest.raises(SpecError, match="must be odd and positive, got 4"):
        words(context_padding=2, window=4)(window_relation)(student, teacher, mask)
    with pytest.raises(
        ShapeError, match=r"a window of 5 reads 2 positions .* context padding of 1"
    ):
        words(context_padding=1, window=5)(window_relation)(student, teacher, mask)
    with pytest.raises(SpecError, match="unknown loss function 'kldiv'"):
        words(context_padding=2, window=5, lossfunc="kldiv")(window_relation)(
            student, teacher, mask
        )


def test_sides_that_do_not_correspond_are_refused(mask):
    actual: Gram = word_gram(states(0, 5), mask)
    reference = word_gram(states(1, 6)[:3], mask)
    with pytest.raises(ShapeError, match=r"student \(12, 9, 9\), teacher \(9, 9, 9\)"):
        pair_relation(actual, reference)
