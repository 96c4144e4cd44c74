"""Inputs of a task: of every kind, in the model's shape, with labels where all have them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from factories import picture, pictures
from zoo_core import errors
from zoo_core.data import Dataset, image_files, load_dataset, load_images, load_rows
from zoo_core.data.columns import Column
from zoo_core.data.streams import open_stream


def test_inputs_of_every_kind_come_together(tmp_path: Path, mnist: Path) -> None:
    one = picture(tmp_path / "one.png", (5, 5))
    folder = pictures(tmp_path / "more", 2, mode="RGB", fill=(9, 9, 9))
    data, names = load_images([one, folder, "mnist[3:5]"], shape=(1, 28, 28), root=mnist)
    assert data.x.shape == (5, 1, 28, 28)
    assert data.levels == 256
    assert names[0] == str(one)
    assert names[1].endswith("000.png")
    assert names[3:] == ("mnist:test[3]", "mnist:test[4]")


def test_rows_of_a_file_are_its_own_unless_a_split_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "".join(f"{i}.5,{i % 2}\n" for i in range(30)))
    columns = load_dataset(str(path), split="train").columns
    data, names = load_rows([f"{path}[1:3]"], columns=columns)
    assert names == (f"{path}[1]", f"{path}[2]")
    assert data.cells and np.asarray(data.cells.columns[0]).tolist() == [1.5, 2.5]
    data, names = load_rows([f"{path}:test[1:3]", f"{path}[0:1]"], columns=columns)
    assert names == (f"{path}:test[1]", f"{path}:test[2]", f"{path}[0]")
    held_out = load_dataset(str(path), split="test")
    assert data.x[:2].tolist() == held_out.x[1:3].tolist()
    assert data.cells and data.cells.columns[0][2] == 0.5
    other = tmp_path / "other.csv"  # in another order, with a column more
    other.write_text("b,id,a\n1,7,1000000001.5\n")
    data, _ = load_rows([path, other], columns=columns)
    assert data.cells and data.cells.names == ("a", "b") and data.cells.columns[0][30] == 1e9 + 1.5
    data, _ = load_rows([path, held_out], columns=columns)
    assert data.cells is None
    np.save(tmp_path / "y.npy", np.stack([np.zeros((2, 2)), np.full((2, 2), 255)]).astype(np.uint8))
    images, names = load_images([f"{tmp_path / 'y.npy'}[0:1]"], shape=(1, 2, 2))
    assert (images.levels, names) == (256, (f"{tmp_path / 'y.npy'}[0]",))
    (tmp_path / "y.csv").write_text("0,1\n1,1\n1,0\n")
    images, names = load_images([f"{tmp_path / 'y.csv'}[1:3]"], shape=(2,))
    assert images.x.tolist() == [[1, 1], [1, 0]]
    assert names == (f"{tmp_path / 'y.csv'}[1]", f"{tmp_path / 'y.csv'}[2]")


@pytest.mark.parametrize(("levels", "kept"), [(2, 2), (256, 256), (5, None)])
def test_a_tensor_has_the_levels_that_it_holds_exactly(levels: int, kept: int | None) -> None:
    x = torch.arange(levels).repeat(4)[: 4 * 2].view(2, 1, 2, 2) / (levels - 1)
    data, names = load_images([x], shape=(1, 2, 2))
    assert (data.levels, names) == (kept, ("inputs[0]", "inputs[1]"))
    assert torch.equal(data.floats(), x)


def test_a_tensor_of_encoded_rows_keeps_its_values() -> None:
    """They are no bytes: a real value lies below its mean, and an ordinal one may be above 255."""
    columns = [Column("a", "real"), Column("b", "ordinal", tuple(map(str, range(400))))]
    x = torch.tensor([[-1.0, 300.0], [1.0, float("nan")]])
    data, _ = load_rows([x], columns=columns)
    assert torch.equal(data.x.nan_to_num(7), x.nan_to_num(7))
    with pytest.raises(errors.InvalidInput, match=r"a tensor \(1, 3\) of torch.float32; expected"):
        load_rows([torch.zeros(1, 3)], columns=columns)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (torch.zeros(2, 4), r"a tensor \(2, 4\) of torch.float32; expected .* \(B, 1, 2, 2\)"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), "of torch.uint8; expected floats"),
        (torch.full((1, 1, 2, 2), 255.0), r"values from 255 to 255; expected values in \[0, 1\]"),
        (3, "an input is 3; expected a path, the name of a data set, a Dataset, a tensor"),
    ],
)
def test_what_is_no_input_is_refused(x: object, text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=text):
        load_images([x], shape=(1, 2, 2))


@pytest.mark.parametrize(
    ("top", "shape", "levels", "read_as", "said"),
    [
        (7, (4,), 8, 8, ""),
        (3, (4,), 8, 8, ""),
        (1, (4,), 8, 8, "0 and 1 are taken as the first two of the model's 8 categories"),
        (1, (4,), 256, 256, "0 and 1 are taken as the first two of the model's 256 categories"),
        (1, (4,), 2, 2, ""),
        (3, (4,), 2, 4, ""),  # which is refused as no binary variables
        (1, (4,), None, 2, ""),
        (3, (4,), None, 4, "whole numbers are divided by 3, as the model takes real ones to 1"),
        (200, (1, 2, 2), 256, 256, "numbers up to 200 are taken as grey levels from 0 to 255"),
        (200, (1, 2, 2), None, 256, "numbers up to 200 are taken as grey levels from 0 to 255"),
        (200, (1, 2, 2), 2, 256, "numbers up to 200 are taken as grey levels from 0 to 255"),
        (5, (1, 2, 2), 8, 8, "numbers up to 5 are taken as grey levels from 0 to 7"),
        (255, (1, 2, 2), 256, 256, ""),
        (1, (1, 2, 2), 256, 2, "0 and 1, and no other number, are taken as black and white"),
        (1, (1, 2, 2), 2, 2, ""),
    ],
)
def test_whole_numbers_of_a_table_are_those_of_the_model(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    top: int,
    shape: tuple[int, ...],
    levels: int | None,
    read_as: int,
    said: str,
) -> None:
    """Whatever its greatest one is; also where the table is a data set, or read by parts."""
    rows = [[0, 0, 0, top], *([i % (min(top, 2) + 1), 0, top, 0] for i in range(29))]
    np.savetxt(path := tmp_path / "t.csv", rows, "%d", ",")
    data, _ = load_images([path], shape=shape, levels=levels)
    assert (data.levels, data.x.flatten(1).tolist()) == (read_as, rows)
    assert capsys.readouterr().err == (f"{path}: {said}\n" if said else "")
    (some,) = open_stream(path, shape=shape, levels=levels).read([range(30)])
    assert (some.data.levels, some.data.x.tolist()) == (read_as, data.x.tolist())
    held = load_dataset(f"{path}:test")
    for source in (f"{path}:test", held):
        split, _ = load_images([source], shape=shape, levels=levels)
        assert (split.levels, split.x.flatten(1).tolist()) == (read_as, held.x.tolist())


def test_a_number_that_is_no_category_of_the_model_is_refused(tmp_path: Path) -> None:
    """0 and 9 of 10 passed for 0 and 7 of 8."""
    (tmp_path / "t.csv").write_text("0,9\n9,0\n")
    text = r"t\.csv has whole numbers from 0 to 9, but the model has 8 categories: expected 0 to 7"
    with pytest.raises(errors.InvalidInput, match=text):
        load_images([tmp_path / "t.csv"], shape=(2,), levels=8)
    with pytest.raises(errors.InvalidInput, match=text):
        open_stream(tmp_path / "t.csv", shape=(2,), levels=8)


def test_tables_and_tensors_of_a_model_come_together(tmp_path: Path) -> None:
    """Tables of other greatest numbers keep their categories; a tensor holds the model's floats."""
    (tmp_path / "a.csv").write_text("7,0\n")
    (tmp_path / "c.csv").write_text("1,0\n")
    sources = [tmp_path / "a.csv", tmp_path / "c.csv", torch.tensor([[1.0, 0.0]])]
    data, _ = load_images(sources, shape=(2,), levels=8)
    assert (data.levels, data.x.tolist()) == (8, [[7, 0], [1, 0], [7, 0]])


def test_two_whole_numbers_a_column_are_the_categories_that_the_file_has(tmp_path: Path) -> None:
    """A data set numbers them 0 and 1."""
    np.savetxt(tmp_path / "t.csv", [[3 * (i % 2), 2 + i // 2 % 2] for i in range(40)], "%d", ",")
    assert load_dataset(f"{tmp_path}/t.csv:test").levels == 2
    data, _ = load_images([f"{tmp_path}/t.csv:test"], shape=(2,), levels=4)
    assert data.levels == 4
    assert {*data.x[:, 0].tolist()} == {0, 3} and {*data.x[:, 1].tolist()} == {2, 3}


def test_a_selection_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n0,1\n1,0\n")
    np.save(tmp_path / "x.npy", np.zeros((2, 1, 1, 2), np.uint8))
    empty = Dataset("e", "test", torch.zeros(0, 2, dtype=torch.uint8), 2)
    columns = [Column(name, "binary", ("0", "1")) for name in "ab"]
    table, array = f"{tmp_path / 't.csv'}[5:9]", f"{tmp_path / 'x.npy'}[2:]"
    for source, text in ((table, r"t\.csv\[5:9\]"), (empty, "e:test")):
        with pytest.raises(errors.InvalidInput, match=rf"{text} selects no rows\.$"):
            load_images([source], shape=(2,))
        with pytest.raises(errors.InvalidInput, match=rf"{text} selects no rows\.$"):
            load_rows([source], columns=columns)
    with pytest.raises(errors.InvalidInput, match=r"x\.npy\[2:\] selects no rows\.$"):
        load_images([array], shape=(1, 1, 2))


def test_inputs_have_labels_where_all_of_them_do(tmp_path: Path, mnist: Path) -> None:
    for kind in ("cat", "dog"):
        pictures(tmp_path / "pets" / kind, 2)
    pets = load_images([tmp_path / "pets"], shape=(1, 8, 8)).data
    assert pets.classes == ("cat", "dog")
    assert pets.labels is not None
    assert pets.labels.tolist() == [0, 0, 1, 1]
    digits = load_images(["mnist[3:5]", "mnist[0:1]"], shape=(1, 28, 28), root=mnist).data
    truth = load_dataset("mnist:test", root=mnist).labels
    assert digits.labels is not None
    assert truth is not None
    assert digits.labels.tolist() == truth[[3, 4, 0]].tolist()
    mixed = load_images([tmp_path / "pets", "mnist[3:5]"], shape=(1, 28, 28), root=mnist).data
    assert (mixed.labels, mixed.classes) == (None, ())
    one = load_images([tmp_path / "pets" / "cat" / "000.png"], shape=(1, 8, 8)).data
    assert one.labels is None


def test_inputs_are_looked_for_in_the_root_too(tmp_path: Path) -> None:
    pictures(tmp_path / "mine", 2)
    data, names = load_images(["mine"], shape=(1, 8, 8), root=tmp_path)
    assert len(data) == len(names) == 2


def test_one_split_of_a_folder_of_odd_sizes(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 2)
    picture(tmp_path / "test" / "a.png", (9, 5), "RGB", (1, 2, 3))
    data, names = load_images([f"{tmp_path}:test"], shape=(1, 6, 6))
    assert data.event_shape == (1, 6, 6)
    assert names == (f"{tmp_path}:test[0]",)


def test_binary_images_and_grey_ones_share_the_levels(tmp_path: Path) -> None:
    one = picture(tmp_path / "one.png", (3, 3), fill=100)
    data, _ = load_images([one, "bars-and-stripes"], shape=(1, 3, 3))
    assert set(data.x.unique().tolist()) == {0, 100, 255}


def test_a_flat_table_is_shaped_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("0,1,0,1\n")
    data, names = load_images([tmp_path / "x.csv"], shape=(1, 2, 2))
    assert data.x.tolist() == [[[[0, 1], [0, 1]]]]
    assert data.levels == 2
    assert names == (f"{tmp_path / 'x.csv'}[0]",)


@pytest.mark.parametrize(
    ("rows", "shape", "text"),
    [
        ("0,1,1\n", (4,), "has 3 variables a row, but the model takes 4 variables"),
        ("0,1,1\n", (1, 2, 2), "but the model takes 1x2x2 images"),
    ],
)
def test_a_table_that_does_not_fit(
    tmp_path: Path, rows: str, shape: tuple[int, ...], text: str
) -> None:
    (tmp_path / "x.csv").write_text(rows)
    with pytest.raises(errors.InvalidInput, match=text):
        load_images([tmp_path / "x.csv"], shape=shape)


def test_pictures_of_another_shape_are_fitted_whatever_their_number_of_pixels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They were cut into rows of another length, which scrambles them."""
    x = torch.full((1, 1, 2, 8), 200, dtype=torch.uint8)
    x[..., :3] = x[..., -3:] = 0
    data, _ = load_images([Dataset("wide", "test", x, 256)], shape=(1, 4, 4))
    assert int(data.x[0, 0, :, 1:3].min()) >= 200, "the middle"
    assert "wide:test: " in capsys.readouterr().err
    real = Dataset("real", "test", torch.rand(1, 1, 2, 8), None)
    with pytest.raises(errors.InvalidInput, match="real:test holds real numbers of another shape"):
        load_images([real], shape=(1, 4, 4))
    assert load_images([real], shape=(16,)).data.x.tolist() == real.x.view(1, 16).tolist()


@pytest.mark.parametrize("shape", [(3, 1, 2, 2), (3, 2, 2)])
@pytest.mark.parametrize(
    ("kind", "top", "levels"),
    [("uint8", 1, 2), ("bool", 1, 2), ("uint8", 200, 256), (">i4", 9, 256), ("float64", 1, 2)],
)
def test_an_array_of_images_is_read_as_images(
    tmp_path: Path, shape: tuple[int, ...], kind: str, top: int, levels: int
) -> None:
    rows = (np.arange(12) % 2 * top).astype(kind).reshape(shape)
    np.save(path := tmp_path / "x.npy", rows)
    data, names = load_images([path], shape=(1, 2, 2))
    assert (data.levels, data.event_shape) == (levels, (1, 2, 2))
    assert data.x.flatten().tolist() == rows.flatten().tolist()
    assert names[2] == f"{path}[2]"


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((3, 2, 2, 1)), r"x\.npy holds an array \(3, 2, 2, 1\), but .* \(N, 1, 2, 2\)"),
        (np.zeros((0, 1, 2, 2)), r"holds an array \(0, 1, 2, 2\)"),
        (np.full((1, 1, 2, 2), 256), r"holds int64 from 256 to 256; expected whole numbers from 0"),
        (np.full((1, 1, 2, 2), -0.5), r"holds float64 from -0\.5 to -0\.5; .* real numbers from 0"),
        (np.full((1, 1, 2, 2), np.nan), "holds NaN, or what is masked"),
    ],
)
def test_an_array_that_does_not_fit(tmp_path: Path, array: Any, text: str) -> None:
    np.save(path := tmp_path / "x.npy", array)
    with pytest.raises(errors.InvalidInput, match=text):
        load_images([path], shape=(1, 2, 2))


def test_images_do_not_fit_a_model_of_tables(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="holds images, but the model takes 16 variables"):
        load_images([picture(tmp_path / "one.png")], shape=(16,))


def test_levels_that_cannot_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,2\n")
    (tmp_path / "b.csv").write_text("0,3\n")
    with pytest.raises(errors.InvalidInput, match="of 3 and of 4 levels cannot be mixed"):
        load_images([tmp_path / "a.csv", tmp_path / "b.csv"], shape=(2,))


def test_no_inputs_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="no input was given"):
        load_images([], shape=(1, 3, 3))


def test_an_input_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownName, match=r"there is no file .*nothing\.png"):
        load_images([tmp_path / "nothing.png"], shape=(1, 3, 3), root=tmp_path)


def test_an_input_that_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(errors.InvalidInput, match=r"no image could be read \(1 tried\)"):
        load_images([tmp_path / "broken.png"], shape=(1, 3, 3))
    assert "broken.png" in capsys.readouterr().err


def test_files_that_sources_name(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    files = [picture(tmp_path / name) for name in ("a.png", "more/b.png")]
    sources = [files[0], tmp_path, "bars-and-stripes"]
    named = load_images(sources[:2], shape=(3, 4, 4)).names
    assert [str(file) for file in image_files(sources)] == list(named)


def test_rows_from_the_end_are_named_by_their_places(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("".join(f"{i % 2},{i // 2 % 2}\n" for i in range(40)))
    np.save(tmp_path / "x.npy", np.zeros((40, 2), np.uint8))
    for name in ("t.csv", "x.npy"):
        for rows, first in (("[-3:]", 37), ("[-100:2]", 0), ("[5:7]", 5)):
            names = load_images([f"{tmp_path / name}{rows}"], shape=(2,)).names
            assert names[0] == f"{tmp_path / name}[{first}]"
    names = load_images(["bars-and-stripes:test[-2:]"], shape=(1, 3, 3)).names
    assert names == ("bars-and-stripes:test[14]", "bars-and-stripes:test[15]")
