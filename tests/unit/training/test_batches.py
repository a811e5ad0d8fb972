import numpy as np
import pytest
import torch

from raykd.training.batches import LengthGroupedBatches, stream, train_shard
from tests.unit.training.toys import COLLATOR, encoded

LENGTHS = np.random.default_rng(0).integers(4, 100, 1000)


def batches(**changes):
    return LengthGroupedBatches(**({"lengths": LENGTHS, "batch_size": 32, "seed": 1} | changes))


def padding(epoch):
    """Share of positions that are padding."""
    padded = sum(len(rows) * LENGTHS[rows].max() for rows in epoch)
    return 1 - LENGTHS.sum() / padded


@pytest.mark.parametrize("grouped", [True, False])
def test_every_row_occurs_once_in_an_epoch(grouped):
    epoch = batches(grouped=grouped, window=4).epoch(0)
    assert sorted(np.concatenate(epoch)) == list(range(1000))
    assert len(epoch) == len(batches()) == 32
    assert sorted(len(rows) for rows in epoch) == [8] + [32] * 31


def test_order_depends_on_seed_and_epoch_only():
    def flat(b, number):
        return np.concatenate(b.epoch(number)).tolist()

    assert flat(batches(), 0) == flat(batches(), 0)
    assert flat(batches(), 0) != flat(batches(), 1)
    assert flat(batches(), 0) != flat(batches(seed=2), 0)


def test_grouping_by_length_pads_less():
    assert padding(batches().epoch(0)) < 0.05
    assert padding(batches(grouped=False).epoch(0)) > 0.4


def test_batches_come_in_no_order_of_length():
    longest = [LENGTHS[rows].max() for rows in batches().epoch(0)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.5


def test_rows_of_equal_length_change_company_between_epochs():
    equal = LengthGroupedBatches(lengths=np.full(64, 7), batch_size=32, seed=0)
    assert set(equal.epoch(0)[0]) not in ({*equal.epoch(1)[0]}, {*equal.epoch(1)[1]})


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 32])
def test_the_ranks_have_every_row_once(size, count):
    rows = np.arange(count) + 10
    parts = [train_shard(rows, rank, size) for rank in range(size)]
    assert sorted(np.concatenate(parts[:count])) == rows.tolist()
    assert max(len(own) for own in parts) - min(len(own) for own in parts[:count]) <= 1


def test_a_rank_without_rows_still_has_a_batch():
    assert train_shard(np.array([4, 8]), 2, 3).tolist() == [4]


def test_stream_gives_the_shards_in_order():
    rows = encoded(20)
    cut = [np.arange(0, 8), np.arange(8, 16), np.arange(16, 20)]
    seen = list(stream(cut, rows, COLLATOR, rank=1, size=2, device=torch.device("cpu")))
    assert [b.index.tolist() for b, _ in seen] == [[1, 3, 5, 7], [9, 11, 13, 15], [17, 19]]
    assert [rows.tolist() for _, rows in seen] == [rows.tolist() for rows in cut]
