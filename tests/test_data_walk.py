"""Which files below a folder are images of it."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from factories import picture, pictures
from zoo_core.data import load_dataset, load_images
from zoo_core.data.walk import find_images


def test_hidden_folders_are_no_data_and_no_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("cat", "dog", ".ipynb_checkpoints", "__MACOSX", ".git", "cat/.thumbnails"):
        pictures(tmp_path / "a" / kind, 10)
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
    assert len(find_images(pictures(tmp_path / ".cache" / "a", 3))) == 3


def test_links_are_followed_and_circles_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path / "elsewhere", 2)
    pictures(tmp_path / "a" / "cat", 2)
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
    picture(Path("a.png"))
    assert len(find_images(tmp_path)) == 1


def test_a_link_to_itself_is_no_picture_and_fails_none(tmp_path: Path) -> None:
    found = pictures(tmp_path / "a", 3)
    for name in ("self", "self.png"):
        (found / name).symlink_to(name)
    (found / "nowhere.png").symlink_to("gone.png")
    data, names = load_images([found], shape=(1, 8, 8))
    assert len(data) == len(names) == 3


def test_links_that_lead_on_in_millions_are_followed_a_few_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / str(i) for i in range(30)]
    for here, below in pairwise(folders):
        here.mkdir()
        for name in ("x", "y"):
            (here / name).symlink_to(below)
    pictures(folders[-1], 2)
    assert 2 <= len(find_images(folders[0])) <= 2 * 64
    said = capsys.readouterr().err
    assert f"{folders[0]}: folders that are reached in more than 64 ways are left out there" in said


def test_a_class_may_be_linked_several_times(tmp_path: Path) -> None:
    pictures(tmp_path / "elsewhere", 2)
    (tmp_path / "a").mkdir()
    for i in range(20):
        (tmp_path / "a" / f"cat{i}").symlink_to(tmp_path / "elsewhere")
    assert len(find_images(tmp_path / "a")) == 40
