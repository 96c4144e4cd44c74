"""Files and paths of a user's: regular files only, no further than a limit."""

import os
import resource
from pathlib import Path

import pytest

from zoo_core.errors import InvalidInput, InvalidWeights
from zoo_core.files import check_regular, open_regular, read_limited, user_path
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
