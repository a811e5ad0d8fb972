from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from raykd import registry
from raykd.data.base import DataSettings


def test_long_texts_are_read_from_the_hubs_layout_and_cut(tmp_path):
    from raykd.models.tokenizers import train_tokenizer

    folder = tmp_path / "imdb"
    folder.mkdir()
    rows = {"text": ["a fine film indeed " * 400, "bad"], "label": [1, 0]}
    for split in ("train", "test"):
        pq.write_table(pa.table(rows), folder / f"{split}.parquet")
    task, settings = registry.load("tasks", "imdb"), DataSettings(root=str(tmp_path))
    assert task.splits(settings) == ("test", "train")
    actual = task.load("test", settings)
    encoded = task.encode(actual, train_tokenizer(list(actual.texts[0]), 200), 512)
    assert encoded.truncated == 1
    assert encoded.lengths().max() == 512
