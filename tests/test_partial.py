"""A partial file belongs to one process; what others left is taken over, or copied."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_core import partial as module
from zoo_core.errors import ZooError
from zoo_core.partial import Partial, is_orphan, owner, partials


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / ("sha256-" + "0" * 64)


def start(final: Path) -> Partial:
    return Partial(final, lambda more: None)


def ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(final: Path, data: bytes, host: str, number: int, begun: str = "1") -> Path:
    path = final.with_name(f"{final.name}.{host}-{number}-{begun}-0.partial")
    path.write_bytes(data)
    return path


def test_the_owner_is_in_the_name(final: Path) -> None:
    one, two = start(final), start(final)
    assert one.path != two.path
    assert owner(one.path) == f"process {os.getpid()}"
    assert not is_orphan(one.path)
    other = leave(final, b"", "a-host", 7)
    assert owner(other) == "process 7 on a-host"
    assert not is_orphan(other)
    assert owner(final.with_suffix(".partial")) == ""


def test_what_a_process_left_that_ended_is_taken_over(final: Path) -> None:
    left = leave(final, b"12345", module._host(), ended())
    shorter = leave(final, b"123", module._host(), os.getpid())  # a number that is another's now
    partial = start(final)
    assert partial.size == 5
    assert partial.sha256.hexdigest() == hashlib.sha256(b"12345").hexdigest()
    assert partials(final) == [partial.path]
    assert not left.exists() and not shorter.exists()


def test_what_another_process_or_machine_writes_to_is_copied(final: Path) -> None:
    others = [
        leave(final, b"12345", "elsewhere", 1),
        leave(final, b"123", module._host(), os.getpid(), module._start_of(os.getpid())),
    ]
    partial = start(final)
    partial.append(b"67")
    assert partial.path.read_bytes()[:5] == b"12345"
    assert [path.read_bytes() for path in others] == [b"12345", b"123"]


def test_what_is_released_is_the_next_ones(final: Path) -> None:
    partial = start(final)
    partial.append(b"123")
    partial.release()
    assert partials(final) == [final.with_name(final.name + ".partial")]
    assert start(final).size == 3


def test_nothing_is_left_of_an_empty_one(final: Path) -> None:
    start(final).release()
    assert partials(final) == []


@pytest.mark.parametrize(("more", "kept"), [(b"12", b"12345"), (b"abcdefg", b"abcdefg")])
def test_of_two_beginnings_the_longer_one_stays(final: Path, more: bytes, kept: bytes) -> None:
    steps: list[int] = []
    partial = Partial(final, steps.append)
    partial.append(b"12345")
    with pytest.raises(ConnectionError), partial.anew():
        partial.append(more)
        raise ConnectionError
    assert partial.holds(hashlib.sha256(kept).hexdigest(), len(kept))
    assert sum(steps) == len(kept)
    assert partials(final) == [partial.path]
    partial.append(b"!")
    partial.publish()
    assert final.read_bytes() == kept + b"!"


def test_what_was_appended_since_a_mark_can_be_dropped(final: Path) -> None:
    partial = start(final)
    partial.append(b"123")
    mark = partial.mark()
    partial.append(b"!!")
    partial.rewind(mark)
    partial.append(b"45")
    assert partial.holds(hashlib.sha256(b"12345").hexdigest(), 5)
    assert partial.head() == b"12345"
    partial.append(b"6")
    partial.publish()
    assert final.read_bytes() == b"123456"


def test_only_what_was_hashed_is_published(final: Path) -> None:
    partial = start(final)
    partial.append(b"12345")
    partial.file.flush()
    with partial.path.open("ab") as stranger:
        stranger.write(b"!")
    with pytest.raises(ZooError, match=r"Something else wrote to .* while it was pulled"):
        partial.publish()
    partial = start(final)
    partial.path.unlink()
    partial.path.write_bytes(bytes(partial.size))
    with pytest.raises(ZooError, match="Something else wrote"):
        partial.publish()
    assert not final.exists()
