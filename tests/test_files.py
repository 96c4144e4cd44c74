"""Files and paths of a user's: regular files only, no further than a limit; ours appear whole."""

import errno
import os
import resource
import stat
from pathlib import Path
from unittest import mock

import pytest
import torch
from safetensors import SafetensorError

from zoo_core.errors import DiskError, InvalidInput, InvalidWeights, ZooError
from zoo_core.files import (
    atomic,
    check_regular,
    exists,
    make_folder,
    open_regular,
    publish,
    read_limited,
    save_tensors,
    unwritten,
    user_path,
    write_atomic,
)
from zoo_core.header import read_header


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert read_limited(path, 5) == b"12345"
    assert read_limited(tmp_path / "link", 9) == b"12345"
    path.write_bytes(b"")
    assert read_limited(path, 5) == b""


def test_no_further_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)  # sparse: 2 GiB that take no room
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(OSError, match="it has more than the 1,000 bytes that are read"):
        read_limited(path, 1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_a_file_that_lies_about_its_size_is_read_no_further() -> None:
    # the files of /proc have 0 bytes until they are read
    with pytest.raises(OSError, match="more than the 3 bytes"):
        read_limited("/proc/self/status", 3)


def test_what_is_no_regular_file_is_an_error_at_once(pipe: Path) -> None:
    with pytest.raises(OSError, match="a named pipe, and only regular files are read"):
        read_limited(pipe, 9)
    with pytest.raises(OSError, match="it is a device"):
        open_regular("/dev/zero")
    with pytest.raises(FileNotFoundError):
        check_regular(pipe.with_name("nothing"))
    with pytest.raises(InvalidWeights, match=r"weights file .*pipe: it is a named pipe"):
        read_header(pipe)
    with pytest.raises(InvalidWeights, match="it is a device"):
        read_header("/dev/zero")
    with pytest.raises(InvalidWeights, match=r"Cannot read the weights file .*null"):
        read_header("a\0b")


def test_nothing_is_where_no_path_can_be(tmp_path: Path) -> None:
    assert exists(tmp_path)
    assert not any(map(exists, ["x" * 10_000, "a/" * 3000, "a\0b", tmp_path / "x", ""]))


def test_a_path_from_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a") == tmp_path / "a"
    assert user_path("./~nouser") == Path("~nouser")
    with pytest.raises(InvalidInput) as caught:
        user_path("~nouser/x.png")
    assert str(caught.value) == (
        "'~nouser/x.png': there is no user 'nouser' with a home folder here."
    )


def test_a_file_whose_name_begins_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nouser").touch()
    assert user_path("~nouser") == Path("~nouser")


# Written whole or not at all


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with atomic(path) as partial:
        partial.write_bytes(b"new")
        assert (partial.suffix, partial.stat().st_dev) == (".bin", tmp_path.stat().st_dev)
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(failure), atomic(path) as partial:
        partial.write_bytes(b"ne")
        raise failure
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_an_exclusive_file_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        refuse = mock.Mock(side_effect=PermissionError(1, "Operation not permitted"))
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a"
    write_atomic(path, b"first", exclusive=True)
    with pytest.raises(FileExistsError):
        write_atomic(path, b"second", exclusive=True)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def sync(number: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")
        fsync(number)

    def rename(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    write_atomic(tmp_path / "a", b"1")
    assert order == ["file", "rename", "folder"]
    (tmp_path / "b.partial").write_bytes(b"2")
    publish(tmp_path / "b.partial", tmp_path / "b")
    assert order == ["file", "rename", "folder"] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space" })',
    ],
    ids=["safetensors 0.8", "safetensors 0.5"],
)
def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path, text: str) -> None:
    failure = mock.patch("safetensors.torch.save_file", side_effect=SafetensorError(text))
    full = pytest.raises(OSError, match="No space left on device")
    with failure, full as caught, atomic(tmp_path / "a.safetensors") as partial:
        save_tensors({"x": torch.zeros(2)}, partial)
    assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path / "a.safetensors"))
    assert type(unwritten(tmp_path / "a", caught.value)) is DiskError
    assert type(unwritten(tmp_path / "a", OSError(errno.EISDIR, "Is a directory"))) is ZooError
    assert not any(tmp_path.iterdir())


def test_tensors_that_cannot_be_saved_are_no_error_of_the_system(tmp_path: Path) -> None:
    failure = mock.patch("safetensors.torch.save_file", side_effect=SafetensorError("no such"))
    with failure, pytest.raises(SafetensorError):
        save_tensors({"x": torch.zeros(2)}, tmp_path / "a.safetensors")


def test_saved_tensors_are_read_by_all(tmp_path: Path) -> None:
    save_tensors({"x": torch.ones(2)}, tmp_path / "a.safetensors", {"a": "b"})
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o644
    assert read_header(tmp_path / "a.safetensors").metadata == {"a": "b"}


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        with pytest.raises(InvalidInput, match=r"cannot write into .*, a file. Give a folder"):
            make_folder(path)
    with pytest.raises(ZooError, match=r"cannot make the folder /proc/none: .* Give another"):
        make_folder(Path("/proc/none"))
