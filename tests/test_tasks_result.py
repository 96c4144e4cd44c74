"""A result is written as what its path's suffix stands for, with its provenance."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo_core.errors import InvalidInput, OutputExists
from zoo_core.output import read_provenance
from zoo_core.tasks.result import SUFFIXES, Result, check_suffix

RESULT = Result(
    summary="2 samples from m",
    images=torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4),
    columns=2,
    frames=[torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)],
    rows=[{"input": "a", "nats": 1.5}],
    tensors={"samples": torch.tensor([0.0, 1.0])},
    texts={"names": ("a", "b")},
    provenance={"seed": 3},
)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_suffix_writes_its_part_with_the_provenance(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    RESULT.save(path)
    assert read_provenance(path) == {"seed": 3}
    with pytest.raises(OutputExists, match=rf"a\{suffix} exists"):
        RESULT.save(path)
    RESULT.save(path, force=True)


def test_what_files_hold(tmp_path: Path) -> None:
    for suffix in (".png", ".gif", ".json", ".npz"):
        RESULT.save(str(tmp_path / f"a{suffix}"))
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    assert left.mean() < right.mean()
    with Image.open(tmp_path / "a.gif") as gif:
        assert getattr(gif, "n_frames", 1) == 2
    assert {"input": "a", "nats": 1.5} in json.loads((tmp_path / "a.json").read_text())["rows"]
    with np.load(tmp_path / "a.npz") as held:
        assert held["samples"].tolist() == [0.0, 1.0] and held["names"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "parts", [{"groups": {"inputs": [1.0, 2.0]}}, {"points": {"inputs": [(0.0, 1.0)]}}]
)
def test_without_images_a_picture_is_a_plot(tmp_path: Path, parts: dict[str, object]) -> None:
    result = Result(summary="scores", provenance={"seed": 4}, **parts)  # type: ignore[arg-type]
    result.save(tmp_path / "a.png")
    assert read_provenance(tmp_path / "a.png") == {"seed": 4}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.jpeg",
            r"^a\.jpeg: suffix '\.jpeg' names no format that can be written here\.",
        ),
        ("a.pgn", r"Did you mean \.png\? Known are \.png, \.gif\.$"),
        ("a", "^a: a name without a suffix names no format"),
    ],
)
def test_a_suffix_of_no_format_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        check_suffix(Path(name), (".png", ".gif"))
    check_suffix(Path("a.PNG"), (".png",))


def test_a_notebook_shows_images_or_rows() -> None:
    png = RESULT._repr_png_()
    assert png is not None and RESULT._repr_html_() is None
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size[0] > picture.size[1]  # two columns
    rows = replace(RESULT, images=None, rows=[{"input": "<a>", "nats": 1.23456789}] * 30)
    assert rows._repr_png_() is None
    html = rows._repr_html_()
    assert html is not None and "<td>&lt;a&gt;</td><td>1.2346</td>" in html
    assert html.endswith("<p>and 10 more</p>")
    drawn = replace(RESULT, images=None, rows=(), bars={"z": 1.0}, suffixes=(".png",))
    assert drawn._repr_html_() is None and (drawn._repr_png_() or b"").startswith(b"\x89PNG")
