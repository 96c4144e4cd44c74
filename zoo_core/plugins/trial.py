"""Loads a family in a process of its own, which is named and ended whatever it does.

`zoo plugins` is a diagnosis, so it takes the time for this. A family can leave the process, crash
or loop for ever, which no `except` catches; other commands load families where they run.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from zoo_core.plugins.discovery import Family
from zoo_core.text import printable

__all__ = ["LIMIT_SECONDS", "Trial", "attempt"]

LIMIT_SECONDS = 20.0
_SHOWN = 200
"""Bytes of what a family prints that are kept."""


@dataclass(frozen=True)
class Trial:
    """What came of loading a family apart."""

    seconds: float = 0.0
    error: str | None = None
    records: dict[str, list[str]] = field(default_factory=dict)
    """Names of what it offers: of `architectures`, `metrics`, `datasets` and `tasks`."""
    printed: str = ""
    """The beginning of what it printed."""


def attempt(family: Family, limit: float = LIMIT_SECONDS) -> Trial:
    """Load a family in another process, and end that one after some seconds."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, family.name, str(result)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that what it starts ends with it
        )
        assert process.stdout is not None
        printed: list[bytes] = []
        reader = threading.Thread(target=_drain, args=(process.stdout, printed), daemon=True)
        reader.start()
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            error = (
                f"did not load within {limit:.0f} s and was ended. Importing a family's module "
                "and calling its hooks must neither wait nor compute"
            )
            return Trial(limit, error)
        finally:
            _end(process)
        reader.join(1)
        text = printable(b"".join(printed).decode(errors="replace").strip())
        try:
            return Trial(**json.loads(result.read_bytes()), printed=text)
        except (OSError, ValueError, TypeError):
            return Trial(error=_ending(process.returncode), printed=text)


def _ending(code: int) -> str:
    """How a process ended that said nothing."""
    if code >= 0:
        return f"ends the process with code {code} while it loads, as os._exit does"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"crashes while it loads ({name})"


def _drain(stream: IO[bytes], kept: list[bytes]) -> None:
    """Keep the beginning of a stream, and read on so that its writer never waits."""
    kept.append(stream.read(_SHOWN))
    while stream.read(2**16):
        pass


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and those that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (OSError, AttributeError):  # they are gone, or the system has no groups
        process.kill()
    process.wait()


def _main(name: str, result: str) -> None:
    """What the other process does."""
    from zoo_core.plugins.loading import Loaded, load

    sys.stderr = sys.stdout
    try:
        loaded: Loaded | None = load(name)
    except BaseException as error:
        loaded, said = None, f"{type(error).__name__}: {printable(error)}".rstrip(": ")
    found = {
        "seconds": loaded.seconds if loaded else 0.0,
        "error": loaded.error if loaded else said,
        "records": loaded.names if loaded else {},
    }
    Path(result).write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # threads and exit handlers of the family are no part of loading


if __name__ == "__main__":
    _main(*sys.argv[1:])
