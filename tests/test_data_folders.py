"""Folders of images: splits, classes, one shape for all, and files that cannot be read."""

import os
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factories import picture, pictures, save
from zoo_core import errors
from zoo_core.data import load_dataset, load_images
from zoo_core.data.fitting import fit_tensor


def test_a_folder_is_shared_out_by_the_hash_of_the_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(pictures(tmp_path / "mine", 40))
    sizes = [len(load_dataset(folder, split=s)) for s in ("train", "validation", "test")]
    assert sizes == [36, 2, 2]
    assert "shared out 90/5/5 %" in capsys.readouterr().err


@pytest.mark.parametrize(("broken", "sound"), [("test", "train"), ("train", "test")])
def test_a_split_without_a_readable_picture_is_not_taken_from_the_others(
    broken: str, sound: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path / sound, 40)
    (tmp_path / broken).mkdir()
    (tmp_path / broken / "a.png").write_text("no picture")
    message = (
        rf"none of the 1 images of its {broken} split can be read\. Replace them, or use {sound}"
    )
    with pytest.raises(errors.InvalidInput, match=message):
        load_dataset(str(tmp_path), split=broken)
    assert "a.png (no picture in a format" in capsys.readouterr().err
    assert len(load_dataset(str(tmp_path), split=sound)) == (38 if sound == "train" else 40)


def test_grey_files_are_grey_and_colour_stays(tmp_path: Path) -> None:
    assert load_dataset(str(pictures(tmp_path / "grey", 5))).event_shape == (1, 8, 8)
    colour = pictures(tmp_path / "colour", 5, mode="RGB", fill=(255, 0, 0))
    assert load_dataset(str(colour)).event_shape == (3, 8, 8)
    assert load_dataset(str(colour), gray=True).event_shape == (1, 8, 8)


def test_odd_sizes_and_colours_are_brought_into_line_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "odd" / "train"
    picture(folder / "a.png", (20, 10), "RGB", (255, 0, 0))
    picture(folder / "b.jpg", (7, 9), "L", 9)
    picture(folder / "c.png", (8, 8), "RGBA", (0, 0, 0, 0))
    picture(tmp_path / "odd" / "val" / "d.png", (8, 8))
    data = load_dataset(str(tmp_path / "odd"), size=8, gray=True)
    assert data.x.shape == (3, 1, 8, 8)
    assert int(data.x[2].min()) == 255, "transparency is laid over white"
    said = capsys.readouterr().err
    assert "of 3 images" in said
    assert "2 resized and centre-cropped to 8x8" in said
    assert "1 of colour made grey" in said
    assert "1 with transparency laid over white" in said


def test_different_sizes_need_a_size(tmp_path: Path) -> None:
    pictures(tmp_path, 3)
    picture(tmp_path / "other.png", (9, 5))
    with pytest.raises(errors.InvalidInput) as caught:
        load_dataset(str(tmp_path))
    assert "have 2 sizes, the most frequent are 8x8 (3 images), 5x9 (1 images)" in str(caught.value)
    assert "size=28" in str(caught.value)


def test_images_that_memory_does_not_hold_are_refused_before_one_is_resized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(pictures(tmp_path / "mine", 40))
    monkeypatch.setattr("zoo_core.memory.machine", lambda device=None: 2 * 10**9)
    monkeypatch.setattr("zoo_core.data.fitting.fit", None)
    said = r"36 images of 9000x9000 in 1 channels take about 2\.9 GB .* Take smaller images"
    with pytest.raises(errors.InvalidInput, match=said):
        load_dataset(folder, size=9000)
    with pytest.raises(errors.InvalidInput, match="40 images of 9000x9000 in 3 channels take"):
        fit_tensor(load_dataset(folder).x.repeat(2, 1, 1, 1)[:40], (3, 9000, 9000), Counter())


def test_broken_images_are_named_skipped_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path / "train", 4, fill=200)
    pictures(tmp_path / "validation", 1)
    (tmp_path / "train" / "broken.png").write_bytes(b"no image")
    whole = (tmp_path / "train" / "000.png").read_bytes()
    (tmp_path / "train" / "cut.png").write_bytes(whole[: len(whole) - 20])
    assert len(load_dataset(str(tmp_path))) == 4
    said = capsys.readouterr().err
    assert "skipped 2 that could not be read as images: broken.png (no picture in a" in said
    assert ", cut.png (image file is truncated" in said


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="holds no readable image"):
        load_dataset(str(tmp_path))


def test_too_few_images_for_three_splits(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="2 rows: too few to take three splits"):
        load_dataset(str(pictures(tmp_path, 2)))


def test_classes_are_the_sub_folders(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            pictures(tmp_path / split / name, 2)
    data = load_dataset(f"{tmp_path}:test")
    assert data.classes == ("cat", "dog")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1, 1]


def test_train_lends_a_validation_split(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 40)
    pictures(tmp_path / "test", 3)
    sizes = [len(load_dataset(str(tmp_path), split=s)) for s in ("train", "validation", "test")]
    assert sizes == [38, 2, 3]


def test_no_test_images_are_made_up(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 4)
    pictures(tmp_path / "val", 4)
    with pytest.raises(errors.InvalidInput, match="has no test split; it has train, validation"):
        load_dataset(f"{tmp_path}:test")


def test_images_without_captions_have_none(tmp_path: Path) -> None:
    for i in range(30):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i}.png")
    assert load_dataset(str(tmp_path)).texts == ()


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for kind in ("train/cat", "train/dog", "train/eel", "val/eel", "test/dog", "test/eel"):
        pictures(tmp_path / "pets" / kind, 2)
    return tmp_path / "pets"


@pytest.mark.parametrize(
    ("split", "labels"),
    [("train", [0, 0, 1, 1, 2, 2]), ("validation", [2, 2]), ("test", [1, 1, 2, 2])],
)
def test_a_class_has_one_number_in_all_splits(pets: Path, split: str, labels: list[int]) -> None:
    data = load_dataset(str(pets), split=split)
    assert data.classes == ("cat", "dog", "eel")
    assert data.labels is not None
    assert data.labels.tolist() == labels


def test_a_split_that_is_given_as_a_folder_numbers_as_the_whole(pets: Path) -> None:
    inputs = load_images([pets / "test"], shape=(1, 8, 8)).data
    assert inputs.classes == ("cat", "dog", "eel")
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [1, 1, 2, 2]


def test_a_broken_picture_renumbers_no_class(pets: Path) -> None:
    for path in (pets / "train" / "cat").iterdir():
        path.write_bytes(b"broken")
    data = load_dataset(f"{pets}:test")
    assert data.classes == ("cat", "dog", "eel")
    assert data.labels is not None
    assert data.labels.tolist() == [1, 1, 2, 2]


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    for kind in ("cat", "test"):
        pictures(tmp_path / kind, 20)
    data = load_dataset(str(tmp_path))
    assert data.classes == ("cat", "test")
    assert data.labels is not None
    assert set(data.labels.tolist()) == {0, 1}


def test_depth_is_that_of_all_pictures_of_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(20):
        save(tmp_path / "a" / f"{i:02}.png", np.full((8, 8), 200 * i, np.uint16))
    x = [load_dataset(str(tmp_path / "a"), split=s).x[:, 0, 0, 0] for s in ("train", "test")]
    values = sorted(int(value) for part in x for value in part)
    assert set(values) <= {round(200 * i / 4095 * 255) for i in range(20)}
    assert "18 of 12-bit grey, 0 to 4095, made 8-bit" in capsys.readouterr().err


LAB = Image.new("LAB", (8, 8), (128, 128, 128))


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (LAB, "its pixels are LAB; expected grey, RGB, a palette or CMYK: save it as RGB"),
        (np.float32([[0.5, np.nan]]), "some of its values are not numbers; expected 0 to 1"),
        (np.float32([[0.5, 254]]), "its values are 0.5 to 254; expected 0 to 1"),
        (np.float32([[0.5, np.inf]]), "its values are 0.5 to inf; expected 0 to 1"),
        (np.int32([[-1, 254]]), "its values are -1 to 254; expected 0 to "),
        (np.int32([[0, 70_000]]), "its values are 0 to 70000; expected 0 to "),
    ],
)
def test_what_no_rule_fits_is_refused_by_name_and_the_rest_is_done(
    tmp_path: Path,
    image: Image.Image | np.ndarray,
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(tmp_path / "a" / "b.tif", image)
    save(tmp_path / "a" / "deep.png", np.full((8, 8), 4000, np.uint16))
    x = load_images([pictures(tmp_path / "a", 3)], shape=(1, 8, 8)).data.x
    assert x[:, 0, 0, 0].tolist() == [0, 1, 2, round(4000 / 4095 * 255)]
    said = capsys.readouterr().err
    assert f"skipped 1 that could not be read as images: b.tif ({why}" in said


def test_a_vast_picture_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(tmp_path / "a", 3)
    picture(folder / "vast.png", size=(100, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    assert len(load_images([folder], shape=(1, 8, 8)).data) == 3
    said = capsys.readouterr().err
    assert "vast.png (more than 4,000 pixels: so many are not decoded, because a small file" in said
    assert "scale it down)" in said


def test_a_small_file_that_claims_to_be_large_is_refused_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(tmp_path / "a", 3)
    data = save(folder / "vast.tif", np.zeros((9, 9), np.float32)).read_bytes()
    for tag in (256, 257):  # width and height, as 32-bit numbers
        old, new = (struct.pack("<HHLL", tag, 4, 1, side) for side in (9, 9000))
        assert data.count(old) == 1
        data = data.replace(old, new)
    (folder / "vast.tif").write_bytes(data)
    assert len(load_images([folder], shape=(1, 8, 8)).data) == 3
    assert "vast.tif (81,000,000 pixels in" in capsys.readouterr().err


def test_a_pipe_and_a_link_to_nothing_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(tmp_path / "a", 2)
    os.mkfifo(folder / "p.png")
    (folder / "q.png").symlink_to("nothing")
    assert len(load_images([folder], shape=(1, 8, 8)).data) == 2
    said = capsys.readouterr().err
    assert "p.png (it is a named pipe, and only regular files are read)" in said
    assert "q.png (No such file or directory)" in said


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a picture whose name is no Unicode, and one whose name moves the cursor."""
    folder = pictures(tmp_path / "odd", 2)
    for name in (b"\xff.png", b"\x1b[2J.png"):
        os.link(folder / "000.png", folder / os.fsdecode(name))
    return folder


def test_names_that_are_no_unicode_are_shown_and_cost_nothing(odd: Path) -> None:
    names = load_images([odd], shape=(1, 8, 8)).names
    assert len(names) == 4
    assert all(name.isprintable() for name in names)
    assert f"{odd}/\\udcff.png" in names
    assert f"{odd}/\\x1b[2J.png" in names


def test_such_names_are_shared_out_and_named_when_broken(
    odd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(odd, 40)
    (odd / os.fsdecode(b"\xfe.png")).write_bytes(b"broken")
    sizes = [len(load_dataset(str(odd), split=s)) for s in ("train", "validation", "test")]
    assert sum(sizes) == 42
    assert "\\udcfe.png (no picture" in capsys.readouterr().err


def test_what_lies_beside_the_splits_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "boat", "car"):
        pictures(tmp_path / name, 6)
    assert len(load_dataset(str(tmp_path), split="train")) < 6
    assert "what lies beside the splits is left out: boat, car" in capsys.readouterr().err
