"""torchvision's data sets: which rows are validation, and files that are damaged or missing."""

from pathlib import Path

import pytest
import torch

from zoo_core import errors
from zoo_core.data import Dataset, load_dataset


def images(x: torch.Tensor) -> Dataset:
    return Dataset("made", "test", x.to(torch.uint8), 256)


def test_validation_is_the_last_ten_thousand_of_train_never_test(mnist: Path) -> None:
    train, validation, test = (
        load_dataset("mnist", split=split, root=mnist) for split in ("train", "validation", "test")
    )
    assert (len(train), len(validation), len(test)) == (20, 10_000, 30)
    assert validation.x[0, 0, 0, 0] == 20
    assert validation.x[-1, 0, 0, 0] == 10_019 % 251
    assert test.x[:, 0, 0, 0].tolist() == list(range(30))
    assert test.labels is not None
    assert test.labels[:3].tolist() == [0, 1, 2]
    assert len(test.classes) == 10
    assert test.event_shape == (1, 28, 28)


def test_a_slice_and_a_size_of_mnist(mnist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_dataset("mnist:test[2:5]", root=mnist, size=14)
    assert data.x.shape == (3, 1, 14, 14)
    assert data.x[:, 0, 0, 0].tolist() == [2, 3, 4]
    assert "mnist: of 3 images, 3 resized and centre-cropped to 14x14" in capsys.readouterr().err


def test_damaged_files_are_said_to_be_damaged(mnist: Path) -> None:
    images = mnist / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-9])
    with pytest.raises(errors.InvalidInput, match=r"MNIST/raw are damaged \(.*\): replace them"):
        load_dataset("mnist:test", root=mnist)


def test_missing_files_in_a_root_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        load_dataset("mnist", root=tmp_path)
    assert f"the files of mnist are not in {tmp_path}/MNIST/raw" in str(caught.value)
    assert "ZOO_DATA" in str(caught.value)
    assert not (tmp_path / "MNIST").exists(), "nothing is downloaded there"
    assert "leave both unset to have them downloaded." in str(caught.value)


def test_missing_files_in_a_root_of_ones_own_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(errors.InvalidInput) as caught:
        load_dataset("mnist", root=tmp_path)
    assert str(caught.value).endswith(
        "or have them downloaded where there is a network. Downloads are off: ZOO_OFFLINE or "
        "HF_HUB_OFFLINE is set."
    )


def test_missing_files_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(errors.NetworkError, match=r"Downloads are off: ZOO_OFFLINE"):
        load_dataset("mnist")


def test_a_download_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def fail(self: object) -> None:
        raise RuntimeError("no route")

    monkeypatch.setattr(datasets.MNIST, "download", fail)
    with pytest.raises(errors.NetworkError, match="The download failed: no route"):
        load_dataset("mnist")
