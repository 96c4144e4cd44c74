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


def test_the_index_of_a_selection_is_no_column() -> None:
    frame = people()
    assert frame_cells(frame[frame.age > 30], "it").names == tuple(frame.columns)


def test_a_frame_of_anything_is_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match=r"the frame is no readable table: .*Conversion failed"):
        frame_cells(pd.DataFrame({"a": [1, "x", (2,)]}), "the frame")
    with pytest.raises(InvalidInput, match=r"column a holds list<.*expected one value"):
        frame_cells(pd.DataFrame({"a": [[1], [2, 3]]}), "the frame")
    with pytest.raises(InvalidInput, match="the frame has no columns"):
        frame_cells(pd.DataFrame(), "the frame")
    with pytest.raises(InvalidInput, match=r"shape \(3,\) and type int64; expected numbers"):
        frame_cells(np.arange(3), "the frame")
    with pytest.raises(InvalidInput, match="type object; expected numbers"):
        frame_cells(np.array([["a", 1]], object), "the frame")


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
    with pytest.raises(InvalidInput, match="the data frame has no column city; the model takes"):
        load_rows([people().drop(columns="city")], columns=columns)


def test_arrays_are_taken_as_npy_files_are(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 1], [1, 0, 0]])
    images = np.array([[[0, 255], [128, 3]]], np.uint8)
    for array, shape in ((rows, (3,)), (images, (1, 2, 2)), (images / 255.0, (1, 2, 2))):
        np.save(tmp_path / "a.npy", array)
        held = load_images([array], shape=shape).data
        of_file = load_images([str(tmp_path / "a.npy")], shape=shape).data
        assert torch.equal(held.x, of_file.x) and held.levels == of_file.levels
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
