import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from factories import checkers
from zoo_core import output
from zoo_core.errors import InvalidInput, OutputExists, ZooError

PROVENANCE = {"entry": "nade.mnist", "seed": 7, "note": "−π"}


Save = Callable[..., None]


SAVERS: dict[str, Save] = {
    "a.png": lambda path, **o: output.save_image(path, torch.ones(2, 1, 4, 4), PROVENANCE, **o),
    "a.gif": lambda path, **o: output.save_gif(
        path, [output.grid(checkers(1)), output.grid(1 - checkers(1))], PROVENANCE, **o
    ),
    "a.csv": lambda path, **o: output.save_table(path, [{"x": 1, "y": 0.5}], PROVENANCE, **o),
    "a.json": lambda path, **o: output.save_table(path, [{"x": 1, "y": 0.5}], PROVENANCE, **o),
    "a.npz": lambda path, **o: output.save_tensors(path, {"x": torch.ones(2)}, PROVENANCE, **o),
    "a.safetensors": lambda path, **o: output.save_tensors(
        path, {"x": torch.ones(2)}, PROVENANCE, **o
    ),
}


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_strings_lie_beside_tensors(tmp_path: Path, suffix: str) -> None:
    path, names = tmp_path / f"a.{suffix}", ["a.png", "mnist:test[3]", "größer"]
    output.save_tensors(path, {"x": torch.ones(3)}, PROVENANCE, texts={"names": names})
    assert output.read_provenance(path) == PROVENANCE
    if suffix == "npz":
        with np.load(path, allow_pickle=False) as saved:
            assert saved["names"].tolist() == names
    else:
        with safe_open(path, "pt") as saved:
            assert json.loads(saved.metadata()["names"]) == names


@pytest.mark.parametrize("name", SAVERS)
def test_every_file_has_its_provenance(tmp_path: Path, name: str) -> None:
    SAVERS[name](tmp_path / name)
    assert output.read_provenance(tmp_path / name) == PROVENANCE


@pytest.mark.parametrize("name", SAVERS)
def test_no_file_is_overwritten_without_force(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"precious")
    with pytest.raises(OutputExists, match=f"{name} exists. Give another path, or force=True"):
        SAVERS[name](path)
    assert path.read_bytes() == b"precious"
    SAVERS[name](path, force=True)
    assert path.read_bytes() != b"precious"


@pytest.mark.parametrize("name", SAVERS)
def test_nothing_but_the_result_is_left(tmp_path: Path, name: str) -> None:
    SAVERS[name](tmp_path / name)
    beside = output.sidecar(tmp_path / name)
    assert set(tmp_path.iterdir()) == {tmp_path / name} | ({beside} if beside else set())


def test_another_files_provenance_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.csv.provenance.json").write_text("precious")
    with pytest.raises(OutputExists, match=r"a\.csv\.provenance\.json exists"):
        SAVERS["a.csv"](tmp_path / "a.csv")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"the folder .*nowhere does not exist\. Make it first"):
        output.write(tmp_path / "nowhere" / "a.png", b"")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it is a folder"):
        output.check_free(tmp_path, force=True)


def test_a_read_only_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InvalidInput, match="is read-only"):
        output.check_free(tmp_path / "a.png")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ZooError, match=r"cannot write .*a\.png: No space left on device\."):
        output.write(tmp_path / "a.png", b"x")
    assert not list(tmp_path.iterdir())


def test_free_names_count_on(tmp_path: Path) -> None:
    assert output.free_name("m-sample", ".png", tmp_path).name == "m-sample.png"
    (tmp_path / "m-sample.png").touch()
    assert output.free_name("m-sample", ".png", tmp_path).name == "m-sample-2.png"
    (tmp_path / "m-sample-2.csv.provenance.json").touch()
    names = [path.name for path in output.free_names("m-sample", (".csv", ".png"), tmp_path)]
    assert names == ["m-sample-3.csv", "m-sample-3.png"]


def test_what_is_saved_late_takes_the_next_free_name(tmp_path: Path) -> None:
    path = tmp_path / "m-sample.csv"
    places = [output.save_free(path, lambda p: output.write(p, b"x")) for _ in range(3)]
    assert [place.name for place in places] == ["m-sample.csv", "m-sample-2.csv", "m-sample-3.csv"]


def test_tables_hold_their_rows(tmp_path: Path) -> None:
    rows = [{"input": "a,b", "nats": 1.5}, {"input": "c", "nats": float("inf")}]
    output.save_table(tmp_path / "a.csv", rows, PROVENANCE)
    assert (tmp_path / "a.csv").read_text() == 'input,nats\n"a,b",1.5\nc,inf\n'
    output.save_table(tmp_path / "a.json", rows, PROVENANCE)
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["rows"] == [{"input": "a,b", "nats": 1.5}, {"input": "c", "nats": None}]


def test_tensors_come_back(tmp_path: Path) -> None:
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    output.save_tensors(tmp_path / "a.safetensors", {"x": x}, PROVENANCE)
    assert torch.equal(load_file(tmp_path / "a.safetensors")["x"], x)
    output.save_tensors(tmp_path / "a.npz", {"x": x, "half": x.bfloat16()}, PROVENANCE)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["x"], x.numpy())
        assert arrays["half"].dtype == np.float32


def test_a_gif_has_its_frames(tmp_path: Path) -> None:
    SAVERS["a.gif"](tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 2


def test_a_strange_picture_has_no_provenance(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInput, match="it was not written by zoo"):
        output.read_provenance(tmp_path / "a.png")
    with pytest.raises(InvalidInput, match="does not exist"):
        output.read_provenance(tmp_path / "b.png")
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(InvalidInput, match="cannot be read"):
        output.read_provenance(tmp_path / "c.json")
