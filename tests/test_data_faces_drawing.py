"""Processes that draw, and the file that keeps what they drew."""

from pathlib import Path

import pytest
import torch

from factories import face_jobs
from zoo_core.data import load_dataset
from zoo_core.data.faces import drawing
from zoo_core.errors import DigestMismatch, InvalidInput


@pytest.mark.usefixtures("dicebear")
def test_workers_draw_what_is_drawn_here() -> None:
    _, jobs = face_jobs(4)
    assert torch.equal(drawing.draw(jobs, 64, name="faces"), drawing.draw(jobs, 64))


@pytest.mark.usefixtures("dicebear")
def test_a_worker_that_fails_is_an_error_that_says_why() -> None:
    with pytest.raises(InvalidInput, match=r"faces could not be drawn: .*nobody"):
        drawing.draw([("nobody", {})], 64, name="faces")


def test_a_set_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, torch.Tensor]:
        made.append(1)
        return {"train.x": torch.arange(3), "test.x": torch.arange(2)}

    path = tmp_path / "drawn" / "set.safetensors"
    for split, n in (("train", 3), ("test", 2), ("train", 3)):
        assert len(drawing.load_or_make(path, split, make)["x"]) == n
    assert made == [1] and not list(tmp_path.rglob("*.partial"))


@pytest.mark.usefixtures("dicebear")
def test_many_faces_are_announced_before_they_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    path, said = tmp_path / "set.safetensors", []

    def make() -> dict[str, torch.Tensor]:
        said.append(capsys.readouterr().err)
        return {"train.x": torch.arange(3)}

    for _ in range(2):
        drawing.load_or_make(path, "train", make, faces=48_000)
    line = "48,000 faces are drawn first, once, by 2 processors in about 2 min, and kept in "
    assert said == [f"{line}{path}\n"]
    assert capsys.readouterr().err == ""


def test_other_pixels_than_expected_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    tensors = {"train.x": torch.arange(3)}
    with pytest.raises(DigestMismatch, match="not those that models were trained on"):
        drawing.load_or_make(path, "train", lambda: tensors, digest="0" * 64)
    assert not path.exists()
    drawing.load_or_make(path, "train", lambda: tensors, digest=drawing.digest_of(tensors))
    assert path.exists()


def test_without_the_packages_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def absent(name: str) -> str:
        raise drawing.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(drawing.metadata, "version", absent)
    with pytest.raises(InvalidInput, match=r"not installed: pip install 'zoo-core\[faces\]'"):
        load_dataset("faces", root=tmp_path)
    monkeypatch.setattr(drawing.metadata, "version", lambda name: "0.1")
    with pytest.raises(InvalidInput, match="other versions draw other pixels: there are dicebear"):
        load_dataset("faces", root=tmp_path)


def test_a_version_that_differs_is_named_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**drawing.VERSIONS, "resvg-py": "0.1"}
    monkeypatch.setattr(drawing.metadata, "version", found.__getitem__)
    expected = drawing.VERSIONS["resvg-py"]
    with pytest.raises(
        InvalidInput, match=rf"there are resvg-py 0\.1; expected resvg-py {expected}\."
    ):
        drawing.check_packages()


def test_a_file_that_was_cut_short_is_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, tensors = tmp_path / "set.safetensors", {"train.x": torch.arange(100)}
    drawing.load_or_make(path, "train", lambda: tensors)
    for size in (path.stat().st_size - 8, 3, 0):
        with path.open("r+b") as file:
            file.truncate(size)
        assert torch.equal(
            drawing.load_or_make(path, "train", lambda: tensors)["x"], tensors["train.x"]
        )
    assert "set.safetensors is cut short or damaged, and is made anew" in capsys.readouterr().err
