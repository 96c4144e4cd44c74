"""Inputs that are read some rows at a time are those that are loaded at once."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from factories import picture, pictures
from zoo_core.data import Dataset, load_images
from zoo_core.data.streams import Stream, open_stream
from zoo_core.errors import InvalidInput

RANGES = [range(2), range(2, 5), range(7, 9)]


def check(stream: Stream, source: object, shape: tuple[int, ...]) -> None:
    """Whether the ranges of a stream are those of the whole."""
    whole = load_images([str(source)], shape=shape)
    assert stream.rows == len(whole.data)
    for rows, some in zip(RANGES, stream.read(RANGES), strict=True):
        part = slice(rows.start, rows.stop)
        assert torch.equal(some.data.x, whole.data.x[part])
        assert (some.names, some.data.levels) == (whole.names[part], whole.data.levels)
        if whole.data.labels is not None:
            assert some.data.labels is not None
            assert torch.equal(some.data.labels, whole.data.labels[part])
            assert some.data.classes == whole.data.classes


@pytest.mark.parametrize("suffix", ["csv", "npy", "parquet"])
def test_a_table(tmp_path: Path, suffix: str) -> None:
    x = np.arange(40).reshape(10, 4)
    if suffix == "csv":
        np.savetxt(tmp_path / "x.csv", x, "%d", ",")
    elif suffix == "npy":
        np.save(tmp_path / "x.npy", x)
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pa.table({f"{i}": x[:, i] for i in range(4)}), tmp_path / "x.parquet")
    path = tmp_path / f"x.{suffix}"
    check(open_stream(str(path), shape=(4,)), path, (4,))


def test_a_source_that_changed_has_another_digest(tmp_path: Path) -> None:
    path, zeros = tmp_path / "x.npy", np.zeros((3, 4), np.uint8)
    np.save(path, zeros)
    before = open_stream(str(path), shape=(4,)).digest
    assert open_stream(str(path), shape=(4,)).digest == before
    os.utime(path, ns=(0, 0))
    assert open_stream(str(path), shape=(4,)).digest != before
    held = [Dataset("x", "test", torch.full((3, 4), i, dtype=torch.uint8), 2) for i in (0, 1)]
    assert len({open_stream(data, shape=(4,)).digest for data in held}) == 2


def test_a_folder_of_classes(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        pictures(tmp_path / "pets" / kind, 5)
    picture(tmp_path / "pets" / "dog" / "deep.png", (4, 4), mode="I;16", fill=4000)
    check(open_stream(str(tmp_path / "pets"), shape=(1, 8, 8)), tmp_path / "pets", (1, 8, 8))


def test_a_data_set_by_name() -> None:
    spec = "bars-and-stripes-4:test[3:20]"
    check(open_stream(spec, shape=(1, 4, 4)), spec, (1, 4, 4))


def test_a_cell_is_named_by_its_row_in_the_file(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.csv", [[0]] * 7 + [[300]], "%d")
    with pytest.raises(InvalidInput, match="row 8, column 1: 300 is no category"):
        open_stream(str(tmp_path / "x.csv"), shape=(1,))
