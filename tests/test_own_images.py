"""Folders of a user's own: class numbers, photographs, hidden folders, links, pixels and names."""

import io
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo_core import errors
from zoo_core.data import load_dataset, load_images
from zoo_core.data.fitting import Unreadable, fit, open_header, open_image
from zoo_core.data.notes import note
from zoo_core.data.walk import find_images


@pytest.fixture(autouse=True)
def _notes_anew() -> Iterator[None]:
    note.cache_clear()
    yield
    note.cache_clear()


def save(path: Path, image: Image.Image | np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)
    return path


def grey(path: Path, value: int = 200, size: tuple[int, int] = (8, 8)) -> Path:
    return save(path, Image.new("L", size, value))


def greys(folder: Path, n: int) -> Path:
    for i in range(n):
        grey(folder / f"{i:03}.png", i)
    return folder


# Class numbers


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for kind in ("train/cat", "train/dog", "train/eel", "val/eel", "test/dog", "test/eel"):
        greys(tmp_path / "pets" / kind, 2)
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
        greys(tmp_path / kind, 20)
    data = load_dataset(str(tmp_path))
    assert data.classes == ("cat", "test")
    assert data.labels is not None
    assert set(data.labels.tolist()) == {0, 1}


# Photographs


def turned(fmt: str, orientation: int) -> bytes:
    """A picture of 48x32 as it lies, white in its upper left corner, with an EXIF orientation."""
    picture = Image.new("L", (48, 32))
    picture.paste(255, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, fmt, exif=exif)
    return buffer.getvalue()


CORNERS = {1: (0, 0), 2: (0, 2), 3: (1, 2), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (2, 1), 8: (2, 0)}
"""Where the white corner of `turned` is upright, in squares of 16 pixels: row and column."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["jpeg", "png", "tiff", "webp"])
def test_photographs_are_turned_before_their_size_is_taken(
    tmp_path: Path, fmt: str, orientation: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(20):
        path = tmp_path / "photos" / f"{i}.{fmt}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(turned(fmt, orientation))
    assert open_header(path).size == open_image(path, Counter()).size
    data = load_dataset(str(tmp_path / "photos"), gray=True)
    assert data.event_shape == ((1, 48, 32) if orientation > 4 else (1, 32, 48))
    row, column = CORNERS[orientation]
    corner = data.x[0, 0, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
    assert corner.float().mean() > 250
    said = capsys.readouterr().err
    assert ("18 turned upright by EXIF" in said) == (orientation > 1)
    assert "resized" not in said


def test_exif_that_follows_the_pixels_of_a_png_counts_too(tmp_path: Path) -> None:
    data = turned("png", 6)
    at = data.index(b"eXIf") - 4
    length = int.from_bytes(data[at : at + 4]) + 12
    chunk, rest = data[at : at + length], data[:at] + data[at + length :]
    path = tmp_path / "late.png"
    path.write_bytes(rest[:-12] + chunk + rest[-12:])
    assert open_header(path).size == open_image(path, Counter()).size == (32, 48)


# Hidden folders, links


def test_hidden_folders_are_no_data_and_no_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("cat", "dog", ".ipynb_checkpoints", "__MACOSX", ".git", "cat/.thumbnails"):
        greys(tmp_path / "a" / kind, 10)
    train, validation = (
        load_dataset(str(tmp_path / "a"), split=s) for s in ("train", "validation")
    )
    assert train.classes == validation.classes == ("cat", "dog")
    assert len(train) + len(validation) == 19
    said = capsys.readouterr().err
    a = tmp_path / "a"
    hidden = f"{a}/.git, {a}/.ipynb_checkpoints, {a}/__MACOSX, {a}/cat/.thumbnails"
    assert said.count(f"{a}: hidden folders are left out: {hidden}\n") == 1


def test_a_folder_in_a_hidden_one_is_none_itself(tmp_path: Path) -> None:
    assert len(find_images(greys(tmp_path / ".cache" / "a", 3))) == 3


def test_links_are_followed_and_circles_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    greys(tmp_path / "elsewhere", 2)
    greys(tmp_path / "a" / "cat", 2)
    (tmp_path / "a" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a" / "cat" / "round").symlink_to(tmp_path / "a")
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere")
    found = find_images(tmp_path / "a")
    assert [str(path.relative_to(tmp_path / "a")) for path in found] == [
        "cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png"
    ]  # fmt: skip
    said = capsys.readouterr().err
    assert "links that lead back to a folder above them are not followed: " in said
    assert f"{tmp_path}/a/cat/round" in said
    assert f"{tmp_path}/a/dog/self" in said


def test_deep_folders_are_walked(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(600):
        folder /= "d"
    folder.mkdir(parents=True)
    os.chdir(folder)  # the path is near the longest that there can be
    grey(Path("a.png"))
    assert len(find_images(tmp_path)) == 1


# Pixels


def one(path: Path, shape: tuple[int, int, int] = (1, 8, 8)) -> torch.Tensor:
    return load_images([path], shape=shape).data.x[0]


RAMP = np.arange(64).reshape(8, 8)


@pytest.mark.parametrize(
    ("image", "expected", "said"),
    [
        (RAMP.astype(np.uint8), RAMP, ""),
        ((RAMP > 31), 255 * (RAMP > 31), "of 1 bit made 0 and 255"),
        ((RAMP * 1040).astype(np.uint16), RAMP * 1040 / 257, "of 16-bit grey made 8-bit"),
        ((RAMP * 65).astype(np.uint16), RAMP * 65 / 4095 * 255, "of 12-bit grey made 8-bit"),
        ((RAMP * 16).astype(np.uint16), RAMP * 16 / 1023 * 255, "of 10-bit grey made 8-bit"),
        (RAMP.astype(np.uint16), RAMP, "of 8-bit grey made 8-bit"),
        ((RAMP * 1040).astype(np.int32), RAMP * 1040 / 257, "of 16-bit grey made 8-bit"),
        ((RAMP / 63).astype(np.float32), RAMP / 63 * 255, "of real numbers from 0 to 1 made 8-bit"),
    ],
)
def test_grey_pixels_become_eight_bits(
    tmp_path: Path,
    image: np.ndarray,
    expected: np.ndarray,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = save(tmp_path / "a.tif", image)
    assert one(path)[0].tolist() == np.rint(expected).tolist()
    assert capsys.readouterr().err == (f"{path}: {said}\n" if said else "")
    assert open_header(path).grey


def test_depth_is_that_of_all_pictures_of_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(20):
        save(tmp_path / "a" / f"{i:02}.png", np.full((8, 8), 200 * i, np.uint16))
    x = [load_dataset(str(tmp_path / "a"), split=s).x[:, 0, 0, 0] for s in ("train", "test")]
    values = sorted(int(value) for part in x for value in part)
    assert set(values) <= {round(200 * i / 4095 * 255) for i in range(20)}
    assert "18 of 12-bit grey made 8-bit" in capsys.readouterr().err


def test_the_largest_value_that_a_tiff_states_counts(tmp_path: Path) -> None:
    path = save(tmp_path / "dark.tif", np.full((8, 8), 100, np.uint16), tiffinfo={281: 4095})
    assert set(one(path).flatten().tolist()) == {round(100 / 4095 * 255)}


CMYK = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
LAB = Image.new("LAB", (8, 8), (128, 128, 128))


def palette(colour: tuple[int, int, int] = (255, 0, 0)) -> Image.Image:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, *colour])
    picture.putpixel((0, 0), 0)
    return picture


@pytest.mark.parametrize(
    ("image", "options", "pixel", "is_grey", "said"),
    [
        (Image.new("RGB", (8, 8), (1, 2, 3)), {}, [1, 2, 3], False, ""),
        (CMYK, {}, [255, 0, 0], False, "of CMYK made RGB without a colour profile"),
        (Image.new("YCbCr", (8, 8), (76, 85, 255)), {}, [254, 0, 0], False, "of YCbCr made RGB"),
        (palette(), {}, [255, 0, 0], False, ""),
        (palette((9, 9, 9)), {}, [9, 9, 9], True, ""),
        (palette(), {"transparency": 1}, [255, 255, 255], False, "transparency laid over white"),
        (Image.new("LA", (8, 8), (7, 0)), {}, [255] * 3, True, "transparency laid over white"),
        (Image.new("LA", (8, 8), (7, 255)), {}, [7] * 3, True, ""),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 51)), {}, [204] * 3, False, "laid over white"),
    ],
)
def test_colours(
    tmp_path: Path,
    image: Image.Image,
    options: dict[str, Any],
    pixel: list[int],
    is_grey: bool,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    suffix = "tif" if image.mode in ("CMYK", "YCbCr") else "png"
    path = save(tmp_path / f"a.{suffix}", image, **options)
    x = one(path, (3, 8, 8))
    assert x[:, 7, 7].tolist() == pytest.approx(pixel, abs=1)
    assert open_header(path).grey == is_grey
    assert said in capsys.readouterr().err


def test_deep_grey_with_one_transparent_value(tmp_path: Path) -> None:
    deep = np.full((8, 8), 60_000, np.uint16)
    deep[0] = 0
    path = save(tmp_path / "a.png", deep, transparency=0)
    x = one(path)
    assert set(x[0, 0].tolist()) == {255}
    assert set(x[0, 1].tolist()) == {round(60_000 / 257)}


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
    x = load_images([greys(tmp_path / "a", 3)], shape=(1, 8, 8)).data.x
    assert x[:, 0, 0, 0].tolist() == [0, 1, 2, round(4000 / 4095 * 255)]
    said = capsys.readouterr().err
    assert f"skipped 1 that could not be read as images: b.tif ({why}" in said


def test_a_vast_picture_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = greys(tmp_path / "a", 3)
    grey(folder / "vast.png", size=(100, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    assert len(load_images([folder], shape=(1, 8, 8)).data) == 3
    said = capsys.readouterr().err
    assert "vast.png (more than 4,000 pixels: so many are not decoded, because a small file" in said
    assert "scale it down)" in said


def test_a_small_file_that_claims_to_be_large_is_refused_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = greys(tmp_path / "a", 3)
    data = save(folder / "vast.tif", np.zeros((9, 9), np.float32)).read_bytes()
    for tag in (256, 257):  # width and height, as 32-bit numbers
        old, new = (struct.pack("<HHLL", tag, 4, 1, side) for side in (9, 9000))
        assert data.count(old) == 1
        data = data.replace(old, new)
    (folder / "vast.tif").write_bytes(data)
    assert len(load_images([folder], shape=(1, 8, 8)).data) == 3
    assert "vast.tif (81,000,000 pixels in" in capsys.readouterr().err


def test_only_formats_of_pictures_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.png"  # Pillow would start a program to draw this
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(Unreadable, match="no picture in a format that is read"):
        open_header(path)


def test_a_pipe_and_a_link_to_nothing_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = greys(tmp_path / "a", 2)
    os.mkfifo(folder / "p.png")
    (folder / "q.png").symlink_to("nothing")
    assert len(load_images([folder], shape=(1, 8, 8)).data) == 2
    said = capsys.readouterr().err
    assert "p.png (it is a named pipe, and only regular files are read)" in said
    assert "q.png (No such file or directory)" in said


def test_what_is_done_is_counted_of_those_that_are_read(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    with pytest.raises(Unreadable):
        fit(LAB, (1, 8, 8), done)
    assert not done


# Names


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a picture whose name is no Unicode, and one whose name moves the cursor."""
    folder = greys(tmp_path / "odd", 2)
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
    greys(odd, 40)
    (odd / os.fsdecode(b"\xfe.png")).write_bytes(b"broken")
    sizes = [len(load_dataset(str(odd), split=s)) for s in ("train", "validation", "test")]
    assert sum(sizes) == 42
    assert "\\udcfe.png (no picture" in capsys.readouterr().err


@pytest.mark.parametrize("spec", ["time_10:30", "time_10:test", "take[0:3]", "take[0]"])
def test_what_exists_comes_before_the_grammar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.chdir(tmp_path)
    greys(tmp_path / spec, 40)
    assert len(load_dataset(spec)) == 36
    assert len(load_dataset(f"{spec}:test[0:1]")) == 1
    assert len(load_images([spec], shape=(1, 8, 8)).data) == 40
    assert len(load_images([f"{spec}:validation"], shape=(1, 8, 8)).data) == 2
    monkeypatch.chdir("/")
    assert len(load_dataset(f"{spec}[0:5]", root=tmp_path)) == 5


def test_the_name_of_a_standard_set_means_that_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    greys(tmp_path / "mnist", 40)
    monkeypatch.chdir(tmp_path)
    for load in (
        lambda: load_dataset("mnist", root=tmp_path),
        lambda: load_images(["mnist"], shape=(1, 8, 8), root=tmp_path),
    ):
        with pytest.raises(errors.InvalidInput, match="the files of mnist are not in"):
            load()
    assert len(load_dataset("./mnist")) == 36


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("mnist:test[0]", "name:split[a:b]; one row is mnist:test[0:1]."),
        ("mnist:test[17]", "name:split[a:b]; one row is mnist:test[17:18]."),
        ("mnist:test[0:5", "expected a name, name:split or name:split[a:b]."),
        ("mnist[1:2:3]", "expected a name, name:split or name:split[a:b]."),
        ("mnist[a:b]", "expected a name, name:split or name:split[a:b]."),
        (f"mnist[0:{'9' * 5000}]", "expected a name, name:split or name:split[a:b]."),
    ],
)
@pytest.mark.parametrize(
    "load", [load_dataset, lambda spec: load_images([spec], shape=(1, 28, 28))]
)
def test_a_spec_that_is_none_is_told_the_grammar(
    spec: str, text: str, load: Callable[[str], object]
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        load(spec)
    assert text in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("spec", ["x" * 5000, "a/" * 5000, "a\0b", "\x1bc", "\udcff"])
@pytest.mark.parametrize(
    "load", [load_dataset, lambda spec: load_images([spec], shape=(1, 28, 28))]
)
def test_no_name_is_too_odd_to_be_unknown(spec: str, load: Callable[[str], object]) -> None:
    with pytest.raises(errors.UnknownName, match="is unknown") as caught:
        load(spec)
    assert str(caught.value).isprintable()


def test_the_home_of_nobody(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="there is no user 'nouser' with a home"):
        load_dataset("~nouser/pictures")
    with pytest.raises(errors.InvalidInput, match="there is no user 'nouser' with a home"):
        load_images(["~nouser/a.png"], shape=(1, 8, 8))
