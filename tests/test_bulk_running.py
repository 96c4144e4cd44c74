"""A task in parts gives what it gives at once, however the work is divided and interrupted."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from torch import nn
from zoo_autoregressive.categorical import Categorical
from zoo_latent.vae import VAE

import toy_models
import zoo_core
from factories import picture, pictures
from zoo_core import loading, tasks
from zoo_core.bulk.running import (
    _BATCH_CPU,
    Done,
    _batch,
    _fitting,
    _row_bytes,
    ahead,
    divide,
    run_parts,
)
from zoo_core.bulk.shares import Share
from zoo_core.data import load_dataset
from zoo_core.data.columns import Column
from zoo_core.errors import DigestMismatch, InvalidInput

ROWS, ALL = 23, Share()
X = (np.random.default_rng(0).random((ROWS, 6)) < 0.4).astype(np.uint8)


def in_parts(
    model: nn.Module, task: str, folder: Path, *inputs: object, share: Share = ALL, **more: Any
) -> Done:
    loading.set_info(model, loading.Info(name="m", architecture=""))
    if inputs:
        more["inputs"] = tuple(map(str, inputs))
    return run_parts(
        model.requires_grad_(False), task, folder, share=share, **{"part_rows": 5, **more}
    )


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of all parts, in order; their columns are the same."""
    tables = [parquet.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(found: list[dict[str, Any]], expected: Any) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        for name, value in one.items():
            text = isinstance(value, str)
            assert value == (other[name] if text else pytest.approx(other[name], rel=1e-5))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


def write(path: Path, suffix: str) -> Path:
    """The rows as a table of some format."""
    path = path.with_suffix(suffix)
    if suffix == ".npy":
        np.save(path, X)
    elif suffix == ".csv":
        np.savetxt(path, X, "%d", ",", header="a,b,c,d,e,f", comments="")
    else:
        columns = {f"x{i}": X[:, i] for i in range(X.shape[1])}
        parquet.write_table(pa.table(columns), path, row_group_size=4)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_the_rows_of_a_table_are_scored_as_at_once(tmp_path: Path, suffix: str) -> None:
    source, model = write(tmp_path / "x", suffix), toy_models.nade(6)
    done = in_parts(model, "score", tmp_path / "out", source)
    assert (done.rows, done.parts, done.missing) == (ROWS, 5, 0)
    same(rows_of(tmp_path / "out"), toy_models.run("score", model, source).rows)


def test_categories_are_those_of_the_model_whatever_the_greatest_one_of_a_table_is(
    tmp_path: Path,
) -> None:
    np.savetxt(path := tmp_path / "x.csv", X, "%d", ",")
    model = Categorical(shape=(6,), levels=8)
    model.log_odds.copy_(torch.randn(6, 7, generator=torch.Generator().manual_seed(0)))
    in_parts(model, "score", tmp_path / "out", path)
    expected = -model.log_prob(torch.from_numpy(X) / 7)
    assert [row["nats"] for row in rows_of(tmp_path / "out")] == pytest.approx(expected.tolist())
    same(rows_of(tmp_path / "out"), toy_models.run("score", model, path).rows)


def test_an_array_of_images_is_scored_as_at_once(tmp_path: Path) -> None:
    np.save(path := tmp_path / "x.npy", X[:, :4].reshape(-1, 1, 2, 2))
    model = toy_models.nade(1, 2, 2)
    in_parts(model, "score", tmp_path / "out", path)
    same(rows_of(tmp_path / "out"), toy_models.run("score", model, path).rows)


def test_inputs_that_are_refused_leave_no_folder(tmp_path: Path, table: Path) -> None:
    with pytest.raises(InvalidInput, match="6 variables a row, but the model takes 7 variables"):
        in_parts(toy_models.nade(7), "score", tmp_path / "out", table)
    assert not (tmp_path / "out").exists()


def test_images_broken_ones_among_them(tmp_path: Path) -> None:
    folder, model = pictures(tmp_path / "in", 11, size=(5, 5)), toy_models.nade(1, 4, 4)
    for number in (2, 5, 6, 7, 8, 9):  # a whole part, too
        (folder / f"{number:03}.png").write_bytes(b"no picture")
    picture(folder / "deep.png", (4, 4), mode="I;16", fill=4000)
    done = in_parts(model, "score", tmp_path / "out", folder, "bars-and-stripes-4:test[3:9]")
    once = toy_models.run("score", model, folder, "bars-and-stripes-4:test[3:9]")
    same(rows_of(tmp_path / "out"), once.rows)
    assert [row["input"] for row in rows_of(tmp_path / "out")] == [r["input"] for r in once.rows]
    assert len(done.failed) == 6 and done.rows == 12 + 6 - 6
    assert done.failed == once.failed


@pytest.mark.parametrize("part_rows", [1, 2, 3, 6])
def test_a_broken_image_keeps_its_place_among_random_numbers(
    tmp_path: Path, part_rows: int
) -> None:
    folder, model = pictures(tmp_path / "in", 6, size=(4, 4), fill=120), toy_models.nade(1, 4, 4)
    whole = toy_models.run("score", model, folder, folder)
    (folder / "001.png").write_bytes(b"no picture")
    in_parts(model, "score", tmp_path / "out", folder, folder, part_rows=part_rows)
    once = toy_models.run("score", model, folder, folder)
    assert once.rows == [row for i, row in enumerate(whole.rows) if i not in (1, 7)]
    same(rows_of(tmp_path / "out"), once.rows)
    assert len({row["nats"] for row in once.rows}) == 10, "each has numbers of its own"


def test_a_broken_image_of_a_hugging_face_set_takes_no_other_rows_name(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features({"image": datasets.Image()})
    cells = [picture(tmp_path / f"{i}.png", (4, 4), fill=40 * i).read_bytes() for i in range(6)]
    cells[1] = b"no picture"
    rows = {"image": [{"bytes": cell, "path": None} for cell in cells]}
    (hub := tmp_path / "hub").mkdir()
    for split in ("train", "test"):
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(str(hub / f"{split}.parquet"))
    for shape in ((1, 4, 4), (1, 2, 8)):
        model = toy_models.nade(*shape)
        for spec, places in (("", (0, 2, 3, 4, 5)), ("[0:3]", (0, 2)), ("[1:]", (2, 3, 4, 5))):
            out, source = tmp_path / f"out{shape[1]}{len(places)}", f"{hub}:test{spec}"
            once = toy_models.run("score", model, source)
            assert [row["input"] for row in once.rows] == [f"{hub}:test[{i}]" for i in places]
            assert once.failed == (f"{hub}:test[1]",)
            assert in_parts(model, "score", out, source, part_rows=2).failed == once.failed
            same(rows_of(out), once.rows)
            assert len(load_dataset(source)) == len(places)
    with pytest.raises(InvalidInput, match=r"no image could be read \(1 tried\)"):
        load_dataset(f"{hub}:test[1:2]")
    with pytest.raises(InvalidInput, match="selects no rows of its test split"):
        toy_models.run("score", toy_models.nade(1, 4, 4), f"{hub}:test[6:]")


def test_a_part_without_rows_has_the_columns_of_the_others(tmp_path: Path) -> None:
    folder, model = pictures(tmp_path / "in", 6, size=(5, 5)), VAE(shape=(1, 4, 4), z=2, hidden=[5])
    for number in range(3):
        (folder / f"{number:03}.png").write_bytes(b"no picture")
    for suffix in (".csv", ".npz"):
        out, more = tmp_path / suffix[1:], {"part_rows": 3, "part_suffix": suffix}
        in_parts(model, "encode" if suffix == ".csv" else "reconstruct", out, folder, **more)
    none, some = (path.read_text().splitlines() for path in sorted((tmp_path / "csv").glob("p*")))
    assert none[0] == some[0] and (len(none), len(some)) == (1, 4)
    first, second = (np.load(path) for path in sorted((tmp_path / "npz").glob("p*")))
    assert {name: (0, *array.shape[1:]) for name, array in second.items()} == {
        name: array.shape for name, array in first.items()
    }


def test_grey_levels_are_binarized_as_at_once(tmp_path: Path, mnist: Path) -> None:
    model = toy_models.nade(1, 28, 28)
    inputs = ("mnist:test[2:9]", "mnist:test[1:14]")
    in_parts(model, "score", tmp_path / "out", *inputs, data_root=mnist)
    once = toy_models.run("score", model, *inputs, data_root=mnist)
    same(rows_of(tmp_path / "out"), once.rows)


def test_mixed_columns_and_cells_that_are_missing(tmp_path: Path) -> None:
    class Distance(nn.Module):
        event_shape, levels = (2,), None
        columns = (
            Column("kind", "categorical", ("01", "2", "b")),
            Column("size", "real", mean=1.0, std=2.0, decimals=1),
        )

        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            return -x.nan_to_num(7).square().sum(1)

    lines = ["kind;size", "2;1,5", "2;3,5", "2;", "01;2,5", "b;0,5", ";4,5"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    in_parts(Distance(), "score", tmp_path / "out", tmp_path / "t.csv", part_rows=2)
    once = toy_models.run("score", Distance(), tmp_path / "t.csv")
    assert rows_of(tmp_path / "out") == list(once.rows)
    lines[-1] = "c;1"
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(InvalidInput, match="row 6, column kind: 'c' is none of its 3 categories"):
        in_parts(Distance(), "score", tmp_path / "new", tmp_path / "t.csv", part_rows=2)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_cells_that_are_passed_through_have_one_type_in_all_parts(
    tmp_path: Path, suffix: str
) -> None:
    columns = [
        Column("code", "categorical", ("1.50", "7", "A1")),
        Column("size", "real", mean=1.0, std=2.0, knots=(0.0, 1.0, 3.0), decimals=1),
    ]
    model = zoo_core.create("mixed-tree", shape=[2], columns=[each.table() for each in columns])
    lines = [
        "note,code,size,some,more",
        "1.50,1.50,,,1",
        "7,7,,,2",
        "A1,A1,1.5,5,2.5",
        "2.0,7,,,2",
    ]
    (source := tmp_path / "t.csv").write_text("\n".join(lines))
    if suffix == ".parquet":
        texts = [line.split(",") for line in lines[1:]]
        kinds = (pa.string(), pa.string(), pa.float64(), pa.int64(), pa.float64())
        table = {
            name: pa.array([cell or None for cell in cells]).cast(kind)
            for name, cells, kind in zip(
                lines[0].split(","), zip(*texts, strict=True), kinds, strict=True
            )
        }
        parquet.write_table(pa.table(table), source := tmp_path / "t.parquet")
    in_parts(model, "score", tmp_path / "out", source, part_rows=2)
    once = toy_models.run("score", model, source)
    found = parquet.read_table([*sorted((tmp_path / "out").glob("part-*"))]).to_pylist()
    assert [row["note"] for row in found] == ["1.50", "7", "A1", "2.0"]
    assert [row["code"] for row in found] == ["1.50", "7", "A1", "7"]
    assert [row["some"] for row in found] == [None, None, 5, None]
    for name in ("note", "code", "size", "some", "more"):
        assert [row[name] for row in found] == [row[name] for row in once.rows]
    schema = parquet.read_schema(next(iter(sorted((tmp_path / "out").glob("part-*")))))
    kinds = [str(schema.field(name).type) for name in lines[0].split(",")]
    assert kinds == ["string", "string", "double", "int64", "double"]


def test_levels_are_those_of_all_rows(tmp_path: Path) -> None:
    class Mean(nn.Module):
        event_shape, levels = (1,), None

        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(1)

    np.save(tmp_path / "x.npy", np.array([[1], [2], [4]], np.uint8))
    in_parts(Mean(), "score", tmp_path / "out", tmp_path / "x.npy", part_rows=1)
    assert [row["nats"] for row in rows_of(tmp_path / "out")] == [-0.25, -0.5, -1]


def test_inputs_are_held_against_the_same_rows_in_each_part(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name, model in (
        ("exact", toy_models.nade(1, 4, 4)),
        ("bound", VAE(shape=(1, 4, 4), z=2, hidden=[5])),
    ):
        source, out = "bars-and-stripes-4:test[0:9]", tmp_path / name
        model = model.eval()
        once = toy_models.run("detect", model, source, data="bars-and-stripes-4", batch_size=3)
        known = loading.Info(name="m", architecture="", data="bars-and-stripes-4")
        loading.set_info(model, known)
        run_parts(model, "detect", out, inputs=(source,), part_rows=3, batch_size=3)
        rows = rows_of(out)
        assert [row["input"] for row in rows] == [f"bars-and-stripes-4:test[{i}]" for i in range(9)]
        same(sorted(rows, key=lambda row: -row["nats"]), once.rows)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("inputs", [("bars-and-stripes-4:test[0:9]",), ()])
def test_odd_inputs_in_parts_have_the_auroc_of_one_piece(
    inputs: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    np.save(tmp_path / "odd.npy", np.random.default_rng(0).integers(0, 256, (7, 4, 4), np.uint8))
    odd = str(tmp_path / "odd.npy")
    model = VAE(shape=(1, 4, 4), z=2, hidden=[5]).eval()  # noise of a bound; grey is binarized
    settings: dict[str, Any] = {"against": (odd,), "batch_size": 2}
    data = "bars-and-stripes-4"
    once = toy_models.run("detect", model, *inputs, data=data, **settings)
    loading.set_info(model, loading.Info(name="m", architecture="", data=data))
    settings |= {"inputs": inputs, "part_rows": 4, "part_suffix": suffix}
    for rank in (1, 0):
        done = run_parts(model, "detect", tmp_path / "out", share=Share(rank, 2), **settings)
        assert bool(done.figures) == (rank == 0)  # when all parts are there
    assert done.figures == tuple(each for each in once.figures if each.startswith("AUROC"))
    assert run_parts(model, "detect", tmp_path / "out", **settings).figures == done.figures
    other = {"inputs": ("bars-and-stripes-4:test[0:9]",), "against": ()}
    with pytest.raises(InvalidInput, match=r'was begun with options .*"against": \[".*odd\.npy"\]'):
        run_parts(model, "detect", tmp_path / "out", **settings | other)


@pytest.mark.parametrize("model", [toy_models.nade(6), toy_models.nade(1, 4, 4)])
def test_a_sample_depends_on_the_seed_and_its_number(tmp_path: Path, model: nn.Module) -> None:
    suffix, found = ".npz", []
    for rows, batch_size in ((5, 256), (7, 2)):
        folder = tmp_path / str(rows)
        in_parts(
            model,
            "sample",
            folder,
            n=ROWS,
            seed=3,
            part_rows=rows,
            batch_size=batch_size,
            part_suffix=suffix,
        )
        parts = sorted(folder.glob("part-*"))
        found.append(np.concatenate([np.load(path)["samples"] for path in parts]))
    assert np.array_equal(*found)
    once = toy_models.run("sample", model, n=ROWS, seed=3).tensors["samples"].numpy()
    assert np.array_equal(found[0], once)


def test_samples_of_one_stream_are_others_in_each_part(tmp_path: Path) -> None:
    done = in_parts(toy_models.Sampler(), "sample", tmp_path / "out", n=4, part_rows=2)
    parts = [np.load(path)["samples"] for path in sorted((tmp_path / "out").glob("part-*"))]
    assert not np.array_equal(*parts)
    assert any("one stream of random numbers" in note for note in done.notes)


def test_bounds_and_latents_do_not_depend_on_the_size_of_parts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VAE(shape=(1, 4, 4), z=2, hidden=[5]).eval()
    source = "bars-and-stripes-4:test[0:9]"
    for task in ("score", "encode"):
        for rows in (3, 9):
            in_parts(model, task, tmp_path / f"{task}{rows}", source, part_rows=rows, batch_size=3)
        same(rows_of(tmp_path / f"{task}3"), rows_of(tmp_path / f"{task}9"))
        once = toy_models.run(task, model, source, batch_size=3)
        same(rows_of(tmp_path / f"{task}3"), once.rows)


def test_one_and_two_processes_give_the_same_bytes(tmp_path: Path, table: Path) -> None:
    model = toy_models.nade(6)
    in_parts(model, "score", tmp_path / "one", table)
    for rank in (1, 0):
        done = in_parts(model, "score", tmp_path / "two", table, share=Share(rank, 2))
        assert done.missing == (3, 0)[rank == 0]
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert manifest["complete"] and manifest["parts"][4]["rows"] == [20, 23]
    (source,) = manifest["sources"]
    assert (source["name"], source["rows"]) == (str(table), ROWS)
    assert len(source["digest"]) == 64


def test_the_same_command_goes_on_with_what_is_missing(tmp_path: Path, table: Path) -> None:
    model, out = toy_models.nade(6), tmp_path / "out"
    with pytest.raises(ZeroDivisionError):
        in_parts(model, "score", out, table, progress=lambda done, of: 1 // (done < 15))
    left = 5 - len(list(out.glob("part-*")))
    assert 0 < left < 5
    done = in_parts(model, "score", out, table)
    assert (done.parts, done.missing) == (left, 0)
    whole = bytes_of(out)
    assert in_parts(model, "score", out, table).parts == 0
    assert bytes_of(out) == whole
    (out / "part-00002.parquet").unlink()
    assert in_parts(model, "score", out, table).rows == 5
    assert bytes_of(out) == whole


def test_a_part_that_was_changed_is_named(tmp_path: Path, table: Path) -> None:
    model, out = toy_models.nade(6), tmp_path / "out"
    in_parts(model, "score", out, table)
    (out / "part-00001.parquet").write_bytes(b"")
    with pytest.raises(DigestMismatch, match=r"part-00001\.parquet changed after it was written"):
        in_parts(model, "score", out, table)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"seed": 1}, "was begun with seed 0, and now 1. Give the settings"),
        ({"part_rows": 4}, "part rows 5, and now 4"),
        ({"batch_size": 8}, "batch size 4096, and now 8"),
        ({"part_suffix": ".csv"}, 'part suffix ".parquet", and now ".csv"'),
    ],
)
def test_a_folder_of_other_settings_is_refused(
    tmp_path: Path, table: Path, more: dict[str, Any], text: str
) -> None:
    in_parts(toy_models.nade(6), "score", tmp_path / "out", table)
    with pytest.raises(InvalidInput, match=text):
        in_parts(toy_models.nade(6), "score", tmp_path / "out", table, **more)


@pytest.mark.parametrize("option", ["part_rows", "batch_size"])
@pytest.mark.parametrize("size", [-5, 0])
def test_parts_and_batches_have_a_row(tmp_path: Path, table: Path, option: str, size: int) -> None:
    with pytest.raises(InvalidInput, match=f"{option} is {size}; expected a whole number of at le"):
        in_parts(toy_models.nade(6), "score", tmp_path / "out", table, **{option: size})
    assert not (tmp_path / "out").exists()


def test_tasks_and_suffixes_that_make_no_parts(tmp_path: Path, table: Path) -> None:
    model = toy_models.nade(6)
    with pytest.raises(InvalidInput, match=r"the task explain looks at all .* sample, score, "):
        in_parts(model, "explain", tmp_path / "out", table)
    with pytest.raises(InvalidInput, match=r"part\.npz: .* Known are \.parquet, \.csv"):
        in_parts(model, "detect", tmp_path / "out", table, against=(table,), part_suffix=".npz")
    with pytest.raises(InvalidInput, match="needs inputs: give --input a table"):
        in_parts(model, "score", tmp_path / "out")
    with pytest.raises(InvalidInput, match=r"part\.png: .* Known are \.csv, \.json, \.parquet"):
        in_parts(model, "score", tmp_path / "out", table, part_suffix=".png")
    with (
        mock.patch("zoo_core.bulk.running.find_spec", lambda _: None),
        pytest.raises(InvalidInput, match=r"zoo-core\[datasets\].* Or take --part-suffix \.csv"),
    ):
        in_parts(model, "score", tmp_path / "out", table)
    assert not (tmp_path / "out").exists()


def test_parts_divide_each_source() -> None:
    parts = divide({"inputs": [5, 2], "against": [1]}, 3, ".npz")
    assert [(p.name, p.source, p.rows, p.first, p.group) for p in parts] == [
        ("part-00000.npz", 0, range(3), 0, "inputs"),
        ("part-00001.npz", 0, range(3, 5), 3, "inputs"),
        ("part-00002.npz", 1, range(2), 5, "inputs"),
        ("part-00003.npz", 2, range(1), 0, "against"),
    ]
    many = [part.name for part in divide({"inputs": [100_001]}, 1, "")]
    assert many == sorted(many) and many[-1] == "part-100000"
    assert divide({"inputs": [100_000]}, 1, "")[-1].name == "part-99999"


def test_no_result_holds_the_password_of_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", np.eye(6, dtype=np.uint8))
    monkeypatch.setattr("zoo_core.data.resolve.fetch", lambda _: tmp_path / "x.npy")
    address, model = "s3://me:secret@bucket/x.npy", toy_models.nade(6)
    in_parts(model, "detect", tmp_path / "out", address, against=(address,))
    assert not any(b"secret" in file.read_bytes() for file in (tmp_path / "out").iterdir())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["sources"][0]["name"] == "s3://…@bucket/x.npy"
    in_parts(model, "detect", tmp_path / "out", address, against=(address,))


def test_batches_are_sized_by_their_rows() -> None:
    sizes = [_fitting(toy_models.nade(*shape), _BATCH_CPU) for shape in ((6,), (1, 28, 28))]
    assert sizes == [256, 64]


def test_batches_of_a_density_are_sized_by_what_it_makes_of_a_row() -> None:
    class Wide(nn.Module):
        event_shape, levels = (6,), 2

        def __init__(self, width: int) -> None:
            super().__init__()
            self.W = nn.Parameter(torch.zeros(6, width))

        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            return (x @ (self.W + 1)).sum(1)  # what is made of weights alone does not count

    score, sample = tasks.find("score"), tasks.find("sample")
    for width, batch in ((8, 4096), (4000, 512), (100_000, 16)):
        model = Wide(width)
        assert _row_bytes(model, model.W) == (4 * (6 + width + 1), 4 * width)  # product: largest
        assert _batch(score, model, model.W) == batch
        assert _batch(sample, model, model.W) == 256


@pytest.mark.parametrize("name", ["batch_size", "part_rows"])
def test_a_folder_goes_on_with_the_sizes_that_it_was_begun_with(
    tmp_path: Path, table: Path, name: str
) -> None:
    model, out = toy_models.nade(6), tmp_path / "out"
    in_parts(model, "score", out, table, **{name: 4})
    (out / "part-00001.parquet").unlink()
    done = in_parts(model, "score", out, table, **({"part_rows": None} | {name: None}))
    assert done.parts == 1 and not done.missing
    assert json.loads((out / "manifest.json").read_text())[name] == 4


def test_what_fails_while_it_is_read_ahead_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise InvalidInput("no more")

    with pytest.raises(InvalidInput, match="no more"):
        list(ahead(items()))
    assert list(ahead(iter([1, None, 2]))) == [1, None, 2]


KILLED = """
import os, random, signal, sys, threading
import zoo_core
from zoo_core.bulk import run_parts
random.seed(0)
weights, source, folder = sys.argv[1:]
for _ in range(10):
    if not (child := os.fork()):  # torch is imported, and has no threads yet
        threading.Timer(random.uniform(0, 0.4), os.kill, (os.getpid(), signal.SIGKILL)).start()
        run_parts(weights, "score", folder, inputs=(source,), part_rows=40)
        os._exit(0)
    os.waitpid(child, 0)
run_parts(weights, "score", folder, inputs=(source,), part_rows=40)
"""


def test_after_ten_kills_every_row_is_there_once(tmp_path: Path) -> None:
    model, n = toy_models.nade(6), 8000
    described = {"family": "autoregressive", "requires": "zoo-autoregressive", "name": "m.x"}
    config = {"shape": [6], "hidden": 5}
    weights = tmp_path / "m.safetensors"
    loading.save(model, weights, {**described, "architecture": "nade", "config": config})
    np.save(tmp_path / "x.npy", np.resize(X, (n, 6)))
    command = [sys.executable, "-c", KILLED, weights, tmp_path / "x.npy", tmp_path / "out"]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    rows = rows_of(tmp_path / "out")
    assert [row["input"] for row in rows] == [f"{tmp_path / 'x.npy'}[{i}]" for i in range(n)]
    assert not list((tmp_path / "out").glob(".writing-*"))
