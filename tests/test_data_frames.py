"""Arrays and data frames are read as files of the same tables are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo_core.columns import Column, set_columns
from zoo_core.data import load_images, load_rows
from zoo_core.data.frames import frame_cells, is_frame
from zoo_core.errors import InvalidInput

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


def people() -> Any:
    return pd.DataFrame(
        {
            "age": [31, 47, None, 22],
            "city": pd.Categorical(["Bern", "Ulm", "Bern", None]),
            "code": ["01", "1", "2", "na"],
            "member": [True, False, True, True],
        }
    )


@pytest.mark.parametrize("as_arrow", [False, True])
def test_a_frame_has_the_cells_of_its_parquet_file(tmp_path: Path, as_arrow: bool) -> None:
    from zoo_core.data.cells import read_cells

    frame = people()
    frame.to_parquet(tmp_path / "people.parquet")
    held = pa.table(frame) if as_arrow else frame
    found, of_file = frame_cells(held, "it"), read_cells(tmp_path / "people.parquet")
    assert found.names == of_file.names == ("age", "city", "code", "member")
    for a, b in zip(found.columns, of_file.columns, strict=True):
        if isinstance(b, list):
            assert a == b
        else:
            assert np.array_equal(a, b, equal_nan=True)


def test_an_index_is_a_column_where_it_has_a_name() -> None:
    frame = people()
    assert frame_cells(frame[frame.age > 30], "it").names == tuple(frame.columns)
    assert frame_cells(frame.set_index("city"), "it").names == ("city", "age", "code", "member")
    assert frame_cells(frame.rename_axis("age"), "it").names == tuple(frame.columns)


def test_whole_numbers_are_no_names() -> None:
    cells = frame_cells(pd.DataFrame([[1, 0], [0, 1]]), "it")
    assert cells.numbered and cells.names == ("x0", "x1")
    assert frame_cells(pd.DataFrame([[1, 0]], columns=[1, 2]), "it").names == ("1", "2")


def test_what_arrow_has_no_type_for_is_what_a_csv_file_would_have() -> None:
    frame = pd.DataFrame(
        {
            "mixed": ["a", 1, None],
            "lists": [[1], [2, 3], None],
            "long": [2**70 + 1, 1, 2],
            "sparse": pd.arrays.SparseArray([0.0, 1.0, 0.0]),
            "month": pd.period_range("2024-01", periods=3, freq="M"),
            "day": pd.to_datetime(["2024-01-03", "2024-01-04", None]),
            "hour": pd.to_datetime(["2024-01-03 10:00", "2024-01-04 00:00", None]),
            "maybe": pd.array([1, None, 3], "Int64"),
        }
    )
    cells = dict(zip(frame.columns, frame_cells(frame, "it").columns, strict=True))
    assert cells["mixed"] == ["a", "1", ""]
    assert [text.replace(".", ",") for text in cells["lists"]] == ["[1]", "[2, 3]", ""]
    assert cells["long"] == [str(2**70 + 1), "1", "2"]
    assert np.array_equal(cells["sparse"], [0, 1, 0])
    assert cells["month"] == ["2024-01", "2024-02", "2024-03"]
    assert cells["day"] == ["2024-01-03", "2024-01-04", ""]
    assert cells["hour"] == ["2024-01-03 10:00:00", "2024-01-04", ""]
    assert np.array_equal(cells["maybe"], [1, np.nan, 3], equal_nan=True)


def test_what_is_no_table_is_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match=r"the frame is a Series, and no table; .*frame\[\['age"):
        frame_cells(people().age, "the frame")
    with pytest.raises(InvalidInput, match="the frame has two columns 'a'; rename one"):
        frame_cells(pd.DataFrame([[1, 2]], columns=["a", "a"]), "the frame")
    with pytest.raises(InvalidInput, match="the frame has no columns"):
        frame_cells(pd.DataFrame(), "the frame")
    with pytest.raises(InvalidInput, match=r"shape \(3,\); expected \(rows, variables\)"):
        frame_cells(np.arange(3), "the frame")
    with pytest.raises(InvalidInput, match="holds object; expected numbers"):
        frame_cells(np.array([["a", 1]], object), "the frame")


def test_what_is_masked_is_missing_and_infinity_is_said() -> None:
    masked = np.ma.masked_array([[0, 1, 99]], mask=[[0, 0, 1]])
    assert [float(column[0]) for column in frame_cells(masked, "it").columns[:2]] == [0, 1]
    assert np.isnan(frame_cells(masked, "it").columns[2]).all()
    assert frame_cells(np.array([[0, 1]]).view(np.matrix), "it").columns[1].tolist() == [1]
    assert frame_cells(np.array([[np.inf], [2.0], [np.nan]]), "it").columns[0] == ["inf", "2", ""]
    with pytest.raises(InvalidInput, match="row 1, column 1: 'inf' is no category"):
        load_images([np.array([[np.inf, 1.0]])], shape=(2,))
    grey = np.ma.masked_array(np.zeros((1, 2, 2)), mask=[[[1, 0], [0, 0]]])
    with pytest.raises(InvalidInput, match="the array holds NaN, or what is masked"):
        load_images([grey], shape=(1, 2, 2))


def test_what_is_a_table_in_memory() -> None:
    assert is_frame(people()) and is_frame(pa.table(people())) and is_frame(np.zeros((2, 2)))
    assert not is_frame(torch.zeros(2, 2)) and not is_frame("people.csv") and not is_frame([1])


def test_columns_of_a_frame_are_taken_by_their_names() -> None:
    columns = (
        Column("member", "binary", categories=("False", "True")),
        Column("city", "categorical", categories=("Bern", "Ulm")),
    )
    data, names = load_rows([people()], columns=columns)
    assert names == ("inputs[0]", "inputs[1]", "inputs[2]", "inputs[3]")
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, torch.nan]])
    assert torch.allclose(data.x, expected, equal_nan=True)
    with pytest.raises(InvalidInput, match="has no column city; its columns are age, code, member"):
        load_rows([people().drop(columns="city")], columns=columns)


def test_arrays_are_taken_as_npy_files_are(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 1], [1, 0, 0]])
    images = np.array([[[0, 255], [128, 3]]], np.uint8)
    for array, shape in ((rows, (3,)), (images, (1, 2, 2)), (images / 255.0, (1, 2, 2))):
        np.save(tmp_path / "a.npy", array)
        held = load_images([array], shape=shape).data
        of_file = load_images([str(tmp_path / "a.npy")], shape=shape).data
        assert torch.equal(held.x, of_file.x) and held.levels == of_file.levels
    flat = images.reshape(1, 4) / 255.0
    assert torch.equal(load_images([flat], shape=(1, 2, 2)).data.x, torch.tensor(images)[None])
    assert torch.equal(
        load_images([pd.DataFrame(flat)], shape=(1, 2, 2)).data.x[0, 0], held.x[0, 0]
    )
    whole = load_images([images.astype("f4")], shape=(1, 2, 2)).data
    assert whole.levels == 256 and torch.equal(whole.x[0, 0], torch.tensor(images[0]))
    with pytest.raises(InvalidInput, match=r"of shape \(4, 4\), .* One image is array\[None\]"):
        load_images([np.zeros((4, 4))], shape=(1, 4, 4))
    eye = load_images([torch.eye(2).to_sparse()], shape=(2,)).data.x
    assert eye.tolist() == [[1, 0], [0, 1]]
    assert load_images([np.array([[True, False]])], shape=(2,)).data.x.tolist() == [[1, 0]]
    bits = pd.DataFrame({"a": [True], "b": [False]})
    assert load_images([bits], shape=(2,)).data.x.tolist() == [[1, 0]]
    last = np.zeros((2, 4, 4, 3))
    with pytest.raises(InvalidInput, match=r"come first: array\.transpose\(0, 3, 1, 2\)"):
        load_images([last], shape=(3, 4, 4))
    with pytest.raises(InvalidInput, match=r"One image is array\[None\]"):
        load_images([np.zeros((3, 4, 4))], shape=(3, 4, 4))
    with pytest.raises(InvalidInput, match="the array, row 1, column 1: 300 is no category"):
        load_images([np.array([[300, 1]])], shape=(2,))
    with pytest.raises(InvalidInput, match="the array selects no rows"):
        load_images([np.zeros((0, 3))], shape=(3,))


def test_a_model_of_a_table_scores_a_frame_and_gives_its_columns_back() -> None:
    import zoo_core as zoo

    model = zoo.create("bernoulli", shape=[2], seed=0)
    set_columns(
        model,
        (
            Column("smokes", "binary", categories=("no", "yes")),
            Column("drinks", "binary", categories=("no", "yes")),
        ),
    )
    frame = pd.DataFrame({"id": ["p", "q"], "drinks": ["no", "yes"], "smokes": ["yes", "yes"]})
    result = zoo.run(model, "score", inputs=frame)
    expected = -model.log_prob(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    back = pd.DataFrame(result.rows)
    assert back["nats"].tolist() == pytest.approx(expected.tolist())
    assert back[["id", "drinks", "smokes"]].equals(frame)


def test_rows_of_several_frames_are_told_apart() -> None:
    columns = (Column("member", "binary", categories=("False", "True")),)
    _, names = load_rows([people().head(1), people().tail(1)], columns=columns)
    assert names == ("inputs[0][0]", "inputs[1][0]")
    bad = pd.DataFrame({"member": ["x"]})
    with pytest.raises(
        InvalidInput, match=r"the data frame inputs\[1\], row 1, column member: 'x'"
    ):
        load_rows([people(), bad], columns=columns)
    _, names = load_images([torch.zeros(1, 2), np.zeros((1, 2))], shape=(2,))
    assert names == ("inputs[0][0]", "inputs[1][0]")
