"""How much memory there is, and what is refused because it needs more."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from zoo_core import memory
from zoo_core.cli import root
from zoo_core.errors import InvalidInput


def test_memory_is_that_of_the_machine_or_of_its_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory.machine(torch.device("cpu"))
    assert whole is not None
    assert 2**28 < whole < 2**50
    (limit := tmp_path / "memory.max").write_text("1000000\n")
    monkeypatch.setattr(memory, "_LIMITS", (str(limit), str(tmp_path / "none")))
    assert memory.machine(torch.device("cpu")) == 1_000_000
    limit.write_text("max\n")
    assert (memory.machine(torch.device("cpu")) or 0) >= whole


def test_what_needs_more_than_there_is_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine", lambda device: 10**9)
    memory.require("it takes", 10**9, "Ask for fewer.")
    with pytest.raises(InvalidInput) as caught:
        memory.require("it takes", 2 * 10**12, "Ask for fewer.")
    assert str(caught.value) == (
        "it takes about 2,000.0 GB of memory, and there are 1.0 GB. Ask for fewer."
    )
    monkeypatch.setattr(memory, "machine", lambda device: None)
    memory.require("it takes", 2 * 10**12, "Ask for fewer.")


_FAULTS = """
import resource
import sys
import torch
from zoo_core.memory import keep_freed

if sys.argv[1] == "keep":
    keep_freed()

def faults():  # pages that the system had to give
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(faults() for _ in range(9)))  # a small block behind a freed one can keep it from fitting
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or [*map(int, platform.libc_ver()[1].split("."))] < [2, 35],
    reason="older ones take no such threshold",
)
def test_freed_memory_is_used_again_unless_the_user_has_settings() -> None:
    ours = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    environ = {name: v for name, v in os.environ.items() if not name.startswith(ours)}

    def faults(what: str, **more: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _FAULTS, what],
            env=environ | more,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    pages = 2**26 // os.sysconf("SC_PAGE_SIZE")
    assert faults("keep") < pages / 100
    assert faults("leave") > pages / 2
    assert faults("keep", MALLOC_ARENA_MAX="2") < pages / 100  # a setting of something else
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="131072") > pages / 2
    assert faults("keep", GLIBC_TUNABLES="glibc.malloc.mmap_threshold=131072") > pages / 2


@pytest.mark.parametrize("accepts", [0, 1])
def test_a_libc_that_takes_no_such_threshold_is_left_as_it_is(
    accepts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[int]()

    def mallopt(parameter: int, value: int) -> int:
        calls.append(parameter)
        return accepts

    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)
    memory.keep_freed()
    assert calls == [-3, -1][: 1 + accepts]


def test_it_is_kept_by_commands_that_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[str]()
    monkeypatch.setattr(memory, "keep_freed", lambda: calls.append("kept"))
    for command in ("run", "list", "eval", "train", "env", "compare", "ladder"):
        assert CliRunner().invoke(root, [command, "--help"]).exit_code == 0
    assert len(calls) == 5
