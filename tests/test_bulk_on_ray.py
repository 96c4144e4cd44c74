"""Workers of Ray do a task in parts as one process does, however often they are killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import toy_models
from zoo_core import loading
from zoo_core.bulk import run_parts
from zoo_core.bulk.on_ray import run_on_ray
from zoo_core.errors import InvalidInput

# Found, not imported: its settings are made where the program imports it.
with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an optional package")

N = 20_000
KILLS = int(os.environ.get("ZOO_FAULTS", "2"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A model, and rows beside it."""
    described = {"family": "autoregressive", "requires": "zoo-autoregressive", "name": "m.x"}
    config = {"shape": [6], "hidden": 5}
    path = tmp_path / "m.safetensors"
    loading.save(toy_models.nade(6), path, {**described, "architecture": "nade", "config": config})
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, (N, 6), np.uint8))
    return path


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def workers_of(driver: int) -> Iterator[int]:
    """The processes below a driver that do its work."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            command = (folder / "cmdline").read_bytes()
            if command.startswith(b"ray::") and b"_work" in command and is_below(folder, driver):
                yield int(folder.name)


def is_below(process: Path, ancestor: int) -> bool:
    """Whether a process, a folder of /proc, is one that another has started."""
    while (number := int(process.name)) > 1:
        if number == ancestor:
            return True
        status = (process / "stat").read_text()
        process = process.with_name(status.rpartition(")")[2].split()[1])
    return False


COMMAND = """
import sys
from zoo_core.bulk.on_ray import run_on_ray
weights, source, folder = sys.argv[1:]
done = run_on_ray(weights, "score", folder, workers=2, inputs=(source,), part_rows=50)
sys.exit(done.missing)
"""


@with_ray
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="workers are found in /proc")
def test_after_kills_of_its_workers_every_row_is_there_once(tmp_path: Path, weights: Path) -> None:
    source, folder = tmp_path / "x.npy", tmp_path / "out"
    command = [sys.executable, "-c", COMMAND, str(weights), str(source), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed, chance = 0, random.Random(0)
    with subprocess.Popen(command, env=environment) as driver:
        while driver.poll() is None and killed < KILLS:
            time.sleep(chance.uniform(0.05, 0.3))
            some = list(workers_of(driver.pid)) if any(folder.glob("part-*")) else []
            if some:
                os.kill(chance.choice(some), signal.SIGKILL)
                killed += 1
        assert driver.wait(timeout=300) == 0
    assert killed == KILLS
    run_parts(str(weights), "score", tmp_path / "one", inputs=(str(source),), part_rows=50)
    assert bytes_of(folder) == bytes_of(tmp_path / "one")


@with_ray
def test_what_a_worker_refuses_is_raised_here(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(InvalidInput, match="this task needs inputs: give --input a table"):
        run_on_ray(weights, "score", tmp_path / "out")


def test_ray_is_optional(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InvalidInput, match=r"--engine ray needs .* 'zoo-core\[ray\]'"):
        run_on_ray(weights, "score", tmp_path / "out")
