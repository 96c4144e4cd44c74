"""Processes that are killed, stopped, refused by the system, or let in by a lock that lies.

A few of each in every session; `ZOO_FAULTS=20` kills ten times as many of a file of 64 MiB.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from zoo_core.partial import partials
from zoo_core.store import Store

PULL = """
import sys
from pathlib import Path
from zoo_core import store, transfer
from zoo_core.store import Blob, Store
transfer.PAUSE, store.PATIENCE = 0.01, float(sys.argv[5])
if sys.argv[6] == "lies":
    import filelock
    filelock.FileLock.acquire = lambda self, **keywords: None
if sys.argv[6] == "missing":
    import errno, filelock
    def refuse(self, **keywords):
        raise OSError(errno.ENOLCK, "No locks available")
    filelock.FileLock.acquire = refuse
from zoo_core.errors import ZooError
try:
    Store(Path(sys.argv[1])).fetch(Blob(sys.argv[3], int(sys.argv[4]), (sys.argv[2],)))
except ZooError as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


def pull(
    home: Path,
    source: object,
    blob: Any,
    *,
    patience: float = 60.0,
    locks: str = "",
    before: tuple[str, ...] = (),
) -> "subprocess.Popen[str]":
    given = [home, source, blob.sha256, blob.bytes, patience, locks]
    command = [*before, sys.executable, "-c", PULL, *map(str, given)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Any, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 30
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, "waited 30 seconds in vain"
        time.sleep(0.002)


def test_killed_at_any_moment(
    serve: Any, blob: Any, check: Any, count: Any, tries: int, tmp_path: Path
) -> None:
    """The blob is right or not there, and what was here of it is not fetched again."""
    body = random.Random(1).randbytes(64 * 2**20 if tries > 1 else 2**22)
    server = serve({"slow": lambda request: request.slowly(0.6)}, body)
    promised = blob(f"{server.url}/slow/w", body=body)
    home, moments = tmp_path / "home", random.Random(2)
    path = Store(home).path(promised.sha256)
    sent: list[int] = []
    for _ in range(10 * tries if tries > 1 else 6):
        process = pull(home, promised.sources[0], promised)
        wait_for(lambda: partials(path), process)
        time.sleep(moments.uniform(0, 0.5))
        held = sum(partial.stat().st_size for partial in partials(path))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        stored = check(home, body)
        count("SIGKILL at a random moment", "stored" if stored else "resumable")
        asked = len(server.asked)
        if stored:
            shutil.rmtree(home)
            continue
        kept = sum(partial.stat().st_size for partial in partials(path))
        assert kept >= held - 2**20, "what had arrived is there"
        if moments.random() < 0.3:
            process = pull(home, promised.sources[0], promised)
            assert process.wait(60) == 0, process.communicate()[1]
            assert check(home, body)
            assert [p.name for p in path.parent.iterdir()] == [path.name]
            if len(server.asked) > asked:
                sent.append(kept - server.asked[asked].start)
            shutil.rmtree(home)
            count("the pull after it", "stored")
    assert all(again <= 0 for again in sent), "bytes that were here were asked for again"


@pytest.mark.parametrize("locks", ["", "lies", "missing"])
def test_four_at_once(
    locks: str, serve: Any, blob: Any, check: Any, count: Any, tries: int, tmp_path: Path
) -> None:
    """Whatever the lock says: all four have the blob, and it is right; a sound lock saves three."""
    server = serve({"slow": lambda request: request.slowly(0.3)})
    promised = blob(f"{server.url}/slow/w")
    for number in range(tries):
        home = tmp_path / str(number)
        asked = len(server.asked)
        processes = [pull(home, promised.sources[0], promised, locks=locks) for _ in range(4)]
        for process in processes:
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
        assert check(home)
        transfers = len(server.asked) - asked
        assert transfers == 1 if not locks else transfers >= 1
        count(f"four processes, a lock that {locks or 'is sound'}", f"stored, {transfers} sent")


def test_the_holder_of_a_lock_is_stopped(
    serve: Any, blob: Any, check: Any, count: Any, tries: int, tmp_path: Path
) -> None:
    """Nobody waits without an end: the others say for whom they waited, and go."""
    go_on = threading.Event()

    def waits(request: Any) -> None:
        request.answer(stop=800_000)
        go_on.wait(60)
        request.send(request.body[800_000:])

    server = serve({"waits": waits})
    promised = blob(f"{server.url}/waits/w")
    for number in range(tries):
        go_on.clear()
        home = tmp_path / str(number)
        path = Store(home).path(promised.sha256)
        holder = pull(home, promised.sources[0], promised)
        wait_for(lambda path=path: partials(path), holder)
        holder.send_signal(signal.SIGSTOP)
        others = [pull(home, promised.sources[0], promised, patience=0.5) for _ in range(3)]
        for other in others:
            _, said = other.communicate(timeout=30)
            assert other.returncode == 9, said
            assert f"is being pulled by process {holder.pid}, which made no progress" in said
        assert not check(home)
        go_on.set()
        holder.send_signal(signal.SIGCONT)
        assert holder.wait(60) == 0, holder.communicate()[1]
        holder.communicate()
        assert check(home)
        count("the lock's holder is stopped", "three ended, then stored")


CALLS = {
    "write": ("EIO", "ENOSPC", "EDQUOT", "EINTR"),
    "fsync": ("EIO", "ENOSPC", "EDQUOT"),
    "rename": ("EIO", "EACCES", "ENOSPC", "EDQUOT"),
    "mkdir": ("EACCES", "EROFS", "ENOSPC"),
    "fchmodat,chmod": ("EPERM",),
}


def trace(call: str, inject: str, log: object = os.devnull) -> tuple[str, ...]:
    """The command before a command, which injects an error into one of its system calls."""
    at_these_only = ("strace", "-f", "--seccomp-bpf", "-o", str(log))
    return (*at_these_only, "-e", f"trace={call}", "-e", f"inject={call}:{inject}")


def can_trace() -> bool:
    if not shutil.which("strace"):
        return False
    run = subprocess.run([*trace("write", "error=EIO:when=99"), "true"], capture_output=True)
    return run.returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace, which injects the errors, cannot run here")
@pytest.mark.parametrize("call", CALLS)
def test_what_the_system_refuses(
    call: str, blob: Any, check: Any, count: Any, tries: int, tmp_path: Path
) -> None:
    """An error of the system ends the pull with a sentence, or costs nothing: no wrong blob."""
    source = tmp_path / "weights"
    source.write_bytes(random.Random(3).randbytes(3 * 2**20))
    promised = blob(source, body=source.read_bytes())
    for number in range(len(CALLS[call]) * tries if tries > 1 else 1):
        error = CALLS[call][number % len(CALLS[call])]
        nth = 1 + number // len(CALLS[call])
        home = tmp_path / f"{call}-{number}"
        inject = f"error={error}:when={nth}"
        log = tmp_path / f"{home.name}.log"
        process = pull(home, source, promised, before=trace(call, inject, log))
        _, said = process.communicate(timeout=60)
        assert process.returncode in (0, 8), said
        assert check(home, source.read_bytes()) or process.returncode == 8
        is_injected = "INJECTED" in log.read_text()
        count(f"{call} fails", f"exit {process.returncode}" if is_injected else "no such call")
        assert pull(home, source, promised).wait(60) == 0
        assert check(home, source.read_bytes())


@pytest.mark.skipif(not can_trace(), reason="strace, which injects the errors, cannot run here")
def test_what_is_written_short(
    blob: Any, check: Any, count: Any, tries: int, tmp_path: Path
) -> None:
    """The system claims to have written what it has not: seen before the blob has its name."""
    source = tmp_path / "weights"
    source.write_bytes(random.Random(3).randbytes(3 * 2**20))
    promised = blob(source, body=source.read_bytes())
    for number in range(tries):
        home = tmp_path / str(number)
        inject = f"retval=1048576:when={2 + number % 3}"
        process = pull(home, source, promised, before=trace("write", inject))
        _, said = process.communicate(timeout=60)
        stored = check(home, source.read_bytes())
        assert stored is (process.returncode == 0), said
        count("a write that was none", f"exit {process.returncode}")
