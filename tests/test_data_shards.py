"""Pictures in a tar file are those of the folder that it was made of."""

import tarfile
from pathlib import Path

import pytest
import torch

from factories import picture, pictures
from zoo_core.data import load_images
from zoo_core.data.shards import find_members, open_picture
from zoo_core.data.streams import open_stream
from zoo_core.errors import InvalidInput


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard of five pictures, one of them broken, with labels beside them."""
    folder = pictures(tmp_path / "in", 5, size=(9, 8))
    (folder / "002.png").write_bytes(b"no picture")
    picture(folder / "004.png", (4, 4), mode="I;16", fill=4000)
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for file in sorted(folder.iterdir()):
            (label := file.with_suffix(".cls")).write_text("3")
            tar.add(file, f"./digits/{file.name}")
            tar.add(label, f"./digits/{label.name}")
    return tmp_path / "shard.tar"


def test_a_picture_is_read_where_it_lies(shard: Path) -> None:
    members = find_members(shard)
    assert [member.name for member in members] == [f"00{i}.png" for i in range(5)]
    assert str(members[1]) == f"{shard}/./digits/001.png"
    files = (shard.parent / "in").glob("*.png")
    expected = [file.read_bytes() for file in sorted(files)]
    assert [open_picture(member).read() for member in members] == expected


@pytest.mark.filterwarnings("ignore")
def test_a_shard_is_an_input_like_its_folder(shard: Path) -> None:
    shape, ranges = (1, 8, 8), [range(2), range(2, 3), range(3, 5)]
    whole = load_images([str(shard)], shape=shape)
    folder = load_images([str(shard.parent / "in")], shape=shape)
    assert torch.equal(whole.data.x, folder.data.x)
    stream = open_stream(str(shard), shape=shape)
    parts = list(stream.read(ranges))
    assert torch.equal(torch.cat([part.data.x for part in parts]), whole.data.x)
    assert tuple(name for part in parts for name in part.names) == whole.names
    assert parts[1].failed == (f"{shard}/./digits/002.png",)
    assert (stream.rows, len(stream.digest)) == (5, 64)


def test_what_is_no_shard_of_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("none")
    with pytest.raises(InvalidInput, match=r"text\.tar is not a readable tar file: .* unpacked"):
        find_members(tmp_path / "text.tar")
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as tar:
        tar.add(picture(tmp_path / "a.png"))
    with pytest.raises(InvalidInput, match=r"packed\.tar is not a readable tar file"):
        find_members(tmp_path / "packed.tar")
    with tarfile.open(tmp_path / "labels.tar", "w") as tar:
        tar.add(tmp_path / "text.tar", "a.cls")
    with pytest.raises(InvalidInput, match=r"labels\.tar holds no image"):
        find_members(tmp_path / "labels.tar")


def test_hidden_folders_are_no_data_as_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a/0.png", "__MACOSX/a/0.png", "a/.ipynb_checkpoints/0.png"):
        picture(tmp_path / "in" / name)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(tmp_path / "in", ".")
    assert [member.inside for member in find_members(tmp_path / "x.tar")] == ["./a/0.png"]
    said = "x.tar: hidden folders are left out: __MACOSX, a/.ipynb_checkpoints"
    assert said in capsys.readouterr().err
    with tarfile.open(tmp_path / "y.tar", "w") as tar:
        tar.add(tmp_path / "in" / "__MACOSX", "__MACOSX")
        tar.add(tmp_path / "in" / "a" / "0.png", "../0.png")
    assert [member.inside for member in find_members(tmp_path / "y.tar")] == ["../0.png"]


@pytest.mark.parametrize("kept", [3 * 512, 4 * 512 + 100, 4 * 512])
def test_a_shard_that_was_cut_is_refused(tmp_path: Path, kept: int) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(pictures(tmp_path / "in", 4, size=(4, 4)).iterdir()):
            tar.add(file, file.name)
    whole = (tmp_path / "shard.tar").read_bytes()
    (cut := tmp_path / "cut.tar").write_bytes(whole[:kept])
    with pytest.raises(InvalidInput, match=r"cut\.tar is not a readable tar file"):
        find_members(cut)
    cut.write_bytes(whole[: 8 * 512 + 512])  # a block of zeros is an end
    assert len(find_members(cut)) == 4
