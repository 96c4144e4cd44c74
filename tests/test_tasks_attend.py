"""The task `attend`: maps of heads that look where they are told."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from toy_models import run
from zoo_core.columns import Column, set_columns
from zoo_core.errors import InvalidInput
from zoo_core.tasks.attend import place_of

BARS = "bars-and-stripes-4:test"


class Looks(nn.Module):
    """Two layers of three heads: head j gives 0.5 to variable j, layer 2 gives 0.25 more to it."""

    levels = 2

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.event_shape = shape or (1, 4, 4)

    def attention(self, x: Tensor, variable: int) -> Tensor:
        weights = torch.zeros(len(x), 2, 3, x[0].numel())
        for j in range(3):
            weights[:, :, j, j] = 0.5
            weights[:, 1, j, variable - 1] += 0.25
        return weights


def test_each_head_says_where_it_looks() -> None:
    result = run("attend", Looks(), f"{BARS}[0:2]", pixel="2,1")
    assert len(result.rows) == 2 * 2 * 3
    first, last = result.rows[0], result.rows[-1]
    assert first == {
        "input": f"{BARS}[0]",
        "layer": 1,
        "head": 1,
        "start": 0.5,
        "most": "y0 x0",
        "weight": 0.5,
    }
    assert (last["layer"], last["head"], last["most"], last["start"]) == (2, 3, "y0 x2", 0.25)
    assert result.tensors["weights"][0, 1, 0, 4 * 2 + 0] == 0.25
    assert "seen from y2 x1" in result.summary


def test_a_row_is_an_input_and_the_maps_of_a_layer() -> None:
    result = run("attend", Looks(), f"{BARS}[0:2]", pixel="2,1")
    assert result.images is not None and result.images.shape == (2 * 2 * 4, 3, 4, 4)
    assert result.columns == 4 and list(result.names) == ["layer 1", "layer 2"] * 2
    assert result.images[0, :, 2, 1].tolist() == [1, 0, 0]  # the pixel that looks
    brightness = result.images[2].sum(0)  # layer 1, head 2
    assert int(brightness.argmax()) == 1


def test_the_channels_of_a_pixel_are_taken_together() -> None:
    model = Looks(3, 2, 2)
    x = torch.zeros(1, 3, 2, 2)
    result = run("attend", model, *_table(x))
    assert result.tensors["weights"].shape == (1, 2, 3, 4)
    assert result.tensors["weights"][0, 0, 2].tolist() == [0, 0, 0.5, 0]


def _table(x: Tensor) -> tuple[Path]:
    import numpy as np

    path = Path("x.npy")
    np.save(path, x.flatten(1).byte().numpy())
    return (path,)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_table_has_columns_and_no_picture(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,1,0\n")
    result = run("attend", Looks(4), tmp_path / "t.csv", pixel="3")
    assert result.images is None
    assert [row["most"] for row in result.rows[:3]] == ["x0", "x1", "x2"]


def test_columns_are_called_as_those_of_the_training(tmp_path: Path) -> None:
    model = Looks(4)
    columns = [Column(name, "binary", ("0", "1"), required=True) for name in "abcd"]
    set_columns(model, columns)
    (tmp_path / "t.csv").write_text("d,c,b,a\n0,1,1,0\n")
    result = run("attend", model, tmp_path / "t.csv", pixel="b")
    assert [row["most"] for row in result.rows[:3]] == ["a", "b", "c"]
    assert "seen from b" in result.summary
    assert "seen from d" in run("attend", model, tmp_path / "t.csv", pixel="3").summary


def test_the_middle_looks_where_nothing_is_said() -> None:
    assert place_of("", (1, 28, 28)) == 14 * 28 + 14
    assert place_of("", (16,)) == 8
    assert place_of("0,5", (3, 4, 6)) == 5


@pytest.mark.parametrize("pixel", ["4,0", "-1,0", "1", "1,2,3", "a,b"])
def test_a_pixel_that_there_is_not(pixel: str) -> None:
    with pytest.raises(InvalidInput, match=f"pixel='{pixel}': expected ROW,COLUMN, whole numbers"):
        place_of(pixel, (1, 4, 4))
