"""Inputs that are read some rows at a time are those that are loaded at once."""

import os
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from factories import picture, pictures
from zoo_core.data import Dataset, load_dataset, load_images
from zoo_core.data.columns import Column
from zoo_core.data.streams import Stream, open_split, open_stream
from zoo_core.errors import InvalidInput

RANGES = [range(2), range(2, 5), range(7, 9)]


def check(stream: Stream, source: object, shape: tuple[int, ...], *, names: bool = True) -> None:
    """Whether the ranges of a stream are those of the whole."""
    whole = load_images([str(source)], shape=shape)
    assert stream.rows == len(whole.data)
    for rows, some in zip(RANGES, stream.read(RANGES), strict=True):
        part = slice(rows.start, rows.stop)
        assert torch.equal(some.data.x, whole.data.x[part])
        assert some.data.levels == whole.data.levels
        assert some.names == whole.names[part] or not names
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


@pytest.mark.parametrize("columns", [(), (Column("a", "real"),)])
def test_a_table_without_rows_is_refused(tmp_path: Path, columns: tuple[Column, ...]) -> None:
    np.save(tmp_path / "x.npy", np.zeros((0, 4), np.uint8))
    (tmp_path / "x.csv").write_text("a,b,c,d\n")
    for name in ("x.npy", "x.csv"):
        with pytest.raises(InvalidInput, match=rf"{name} holds no rows: expected \(rows, var"):
            open_stream(str(tmp_path / name), shape=(4,), columns=columns)


def test_a_source_that_changed_has_another_digest(tmp_path: Path) -> None:
    path, zeros = tmp_path / "x.npy", np.zeros((3, 4), np.uint8)
    np.save(path, zeros)
    before = open_stream(str(path), shape=(4,)).digest
    assert open_stream(str(path), shape=(4,)).digest == before
    os.utime(path, ns=(0, 0))
    assert open_stream(str(path), shape=(4,)).digest != before
    held = [Dataset("x", "test", torch.full((3, 4), i, dtype=torch.uint8), 2) for i in (0, 1)]
    assert len({open_stream(data, shape=(4,)).digest for data in held}) == 2


def test_an_image_of_another_class_changes_the_digest(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    pictures(tmp_path / "cat", 2)
    (file, _) = sorted((tmp_path / "cat").iterdir())
    before = open_stream(str(tmp_path), shape=(3, 8, 8)).digest
    file.rename(tmp_path / "dog" / file.name)
    assert open_stream(str(tmp_path), shape=(3, 8, 8)).digest != before


def test_a_folder_of_classes(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        pictures(tmp_path / "pets" / kind, 5)
    picture(tmp_path / "pets" / "dog" / "deep.png", (4, 4), mode="I;16", fill=4000)
    check(open_stream(str(tmp_path / "pets"), shape=(1, 8, 8)), tmp_path / "pets", (1, 8, 8))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 4, 4)])
def test_a_hugging_face_data_set(tmp_path: Path, shape: tuple[int, ...]) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    (folder := tmp_path / "digits").mkdir()
    images = [Image.new("L", (9, 8), 20 * i) for i in range(10)]
    images[4] = Image.new("I;16", (9, 8), 4000)
    features = {"image": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])}
    for split in ("train", "test"):
        rows = {"image": images, "kind": [i % 2 for i in range(10)]}
        table = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
        table.to_parquet(str(folder / f"{split}.parquet"))
    for spec in (str(folder), f"{folder}:train[1:]"):
        check(open_stream(spec, shape=shape), spec, shape)
    with mock.patch("zoo_core.data.hub._open", lambda _: {"test": table, "train": table}):
        check(open_stream("hf://me/digits", shape=shape), str(folder), shape, names=False)


def test_a_data_set_by_name() -> None:
    spec = "bars-and-stripes-4:test[3:20]"
    check(open_stream(spec, shape=(1, 4, 4)), spec, (1, 4, 4))


def test_a_cell_is_named_by_its_row_in_the_file(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.csv", [[0]] * 7 + [[300]], "%d")
    with pytest.raises(InvalidInput, match="row 8, column 1: 300 is no category"):
        open_stream(str(tmp_path / "x.csv"), shape=(1,))


def held(stream: Stream | None, n: int) -> Dataset:
    """All rows of a stream, read n at a time."""
    assert stream is not None
    ranges = [range(at, min(at + n, stream.rows)) for at in range(0, stream.rows, n)]
    some = [part.data for part in stream.read(ranges)]
    assert len({data.levels for data in some}) == 1
    return replace(some[0], x=torch.cat([data.x for data in some]))


@pytest.mark.parametrize("levels", [2, 7])
@pytest.mark.parametrize("file", ["x.csv", "x.npy", "x/test.npy"])
@pytest.mark.parametrize("rows", ["", "[2:7]", "[-3:]"])
def test_a_split_is_that_of_the_whole(tmp_path: Path, file: str, levels: int, rows: str) -> None:
    (tmp_path / "x").mkdir()
    path = tmp_path / file
    x = np.random.default_rng(0).integers(0, levels, (100, 4), np.uint8)
    if path.suffix == ".csv":
        np.savetxt(path, x, "%d", ",")
    else:
        np.save(path, x)
        np.save(tmp_path / "x" / "train.npy", x[:50])
    source = f"{path if path.parent == tmp_path else path.parent}:test{rows}"
    whole = load_dataset(source)
    found = held(open_split(source, shape=(4,)), 3)
    assert torch.equal(found.x, whole.x)
    assert (found.levels, found.x.dtype) == (whole.levels, torch.uint8)


def test_a_split_in_the_columns_of_a_model(tmp_path: Path) -> None:
    lines = [f"{'ab'[i % 2]},{i / 7:.2f},{i % 2}" for i in range(40)]
    lines[31] = ",1.5,1"
    (tmp_path / "t.csv").write_text("\n".join(["kind,size,on", *lines]))
    source = f"{tmp_path}/t.csv:train"
    whole = load_dataset(source)
    found = held(open_split(source, shape=(3,), columns=whole.columns), 5)
    assert torch.equal(found.x.nan_to_num(7), whole.x.nan_to_num(7))
    assert found.levels is None
    on = held(open_split(source, shape=(1,), columns=whole.columns[2:]), 5)
    assert (on.levels, on.x.dtype) == (2, torch.uint8)


def test_a_file_is_read_once_for_several_models_and_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = np.random.default_rng(0).integers(0, 2, (40, 3))
    np.savetxt(path, rows, "%d", ",")
    first, again = (open_split(f"{path}:test", shape=(3,)) for _ in range(2))
    assert first and again
    places = [next(iter(each.read([range(4)]))).data.x.data_ptr() for each in (first, again)]
    assert places[0] == places[1]
    np.savetxt(path, 1 - rows, "%d", ",")
    os.utime(path, (0, 0))
    changed = held(open_split(f"{path}:test", shape=(3,)), 4).x
    assert torch.equal(changed, 1 - held(again, 4).x)


def test_data_that_are_loaded_as_a_whole_are_no_split_of_a_table(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "real.csv", np.arange(40).reshape(20, 2) / 7, "%.3f", ",")
    np.savetxt(tmp_path / "pairs.csv", np.arange(40).reshape(20, 2) % 3 % 2 + 1, "%d", ",")
    np.save(tmp_path / "x.npy", np.eye(20, dtype=np.uint8))
    for source, shape in (
        ("bars-and-stripes-4:test", (16,)),
        (f"{tmp_path}/real.csv:test", (2,)),
        (f"{tmp_path}/pairs.csv:test", (2,)),  # two values each, and not 0 and 1
        (f"{tmp_path}/x.npy:test", (19,)),
        (f"{tmp_path}/x.npy:test", (1, 4, 5)),
    ):
        assert open_split(source, shape=shape) is None


def test_a_link_to_nothing_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 3, size=(4, 4))
    (folder / "z.png").symlink_to(folder / "gone.png")
    stream = open_stream(str(folder), shape=(1, 4, 4))
    (some,) = stream.read([range(stream.rows)])
    assert (len(some.names), [Path(name).name for name in some.failed]) == (3, ["z.png"])
