"""Processes of one machine have their data once: the first one loads them, the others map them."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from zoo_core.data import Dataset
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.training import host
from zoo_core.training.host import Host, host_of

ROWS = Dataset(
    name="rows",
    split="train",
    x=torch.randint(0, 256, (5000, 1, 3, 3)).byte(),
    levels=256,
    labels=torch.arange(5000),
    classes=("a", "b"),
    texts=tuple(f"row {i}" for i in range(5000)),
    attributes={"hair": ("red", "grey")},
)
REAL = Dataset(
    name="table",
    split="train",
    x=torch.randn(7, 2),
    levels=None,
    columns=(Column("sex", "binary", ("f", "m")), Column("age", "real", mean=3.0, std=2.0)),
)


def never() -> Dataset:
    raise AssertionError("the first process has it")


@pytest.mark.parametrize("data", [ROWS, REAL])
def test_others_map_what_the_first_one_loads(data: Dataset, tmp_path: Path) -> None:
    first, other = (Host(tmp_path / "shared", first=first) for first in (True, False))
    found: list[Dataset] = []
    waiting = threading.Thread(target=lambda: found.append(other.load("train", never)))
    waiting.start()
    found.append(first.load("train", lambda: data))
    waiting.join()
    first.close()
    assert not (tmp_path / "shared").exists()
    assert first.kept and other.kept
    for one in found:  # which stays when the files are gone
        assert one.digest == data.digest
        assert one.x.dtype == data.x.dtype and torch.equal(one.x, data.x)
        if data.labels is not None:
            assert torch.equal(one.labels, data.labels)
        for name in ("name", "split", "levels", "classes", "texts", "attributes", "columns"):
            assert getattr(one, name) == getattr(data, name), name


def test_what_a_process_that_was_killed_left_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_PATIENCE_SECONDS", 0.3)
    folder = tmp_path / "shared"
    code = f"""
import os, signal, torch
from pathlib import Path
from zoo_core.data import Dataset
from zoo_core.training.host import Host
old = Dataset("old", "train", torch.ones(2, 2), None)
Host(Path({str(folder)!r}), first=True).load("train", lambda: old)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert (folder / "train.json").is_file()
    assert Host(folder, first=False).load("train", lambda: ROWS) is ROWS
    again = Host(folder, first=True)
    assert again.load("train", lambda: ROWS).name == "rows"
    assert Host(folder, first=False).load("train", never).name == "rows"
    again.close()


def test_without_room_each_process_loads_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    first, other = (Host(tmp_path / "shared", first=first) for first in (True, False))
    assert first.load("train", lambda: ROWS) is ROWS
    assert other.load("train", lambda: ROWS) is ROWS
    assert not (first.kept or other.kept)
    first.close()


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Host(tmp_path / "shared", first=True)
    first.load("train", lambda: ROWS)
    with monkeypatch.context() as patch:
        patch.setattr(host.os, "getuid", lambda: 12345)
        with pytest.raises(InvalidInput, match=r"belongs to another user\. Set TMPDIR"):
            Host(tmp_path / "shared", first=False).load("train", never)
    first.close()


def test_one_process_shares_nothing(tmp_path: Path) -> None:
    alone = host_of(Fabric(accelerator="cpu", devices=1), tmp_path)
    assert alone.folder is None and alone.load("train", lambda: ROWS) is ROWS
    alone.close()


def test_the_processes_of_a_machine_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(local: int, node: int, port: int = 29500, run: str = "run") -> Host:
        environment = SimpleNamespace(main_address="here", main_port=port)
        strategy = SimpleNamespace(num_processes=2, cluster_environment=environment)
        fabric: Any = SimpleNamespace(strategy=strategy, node_rank=node, local_rank=local)
        return host_of(fabric, tmp_path / run)

    first, second = found(0, 0), found(1, 0)
    assert first.folder == second.folder and (first.first, second.first) == (True, False)
    others = [found(0, 1), found(0, 0, port=29501), found(0, 0, run="other")]
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    others.append(found(0, 0))
    assert len({each.folder for each in (first, *others)}) == 5
