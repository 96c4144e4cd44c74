"""Runs end where they would have ended, whatever happens to them on the way."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from toy_training import Listener, listen
from zoo_autoregressive.nade import NADE

from zoo_core import loading
from zoo_core.data import Dataset, load_dataset
from zoo_core.training import loop
from zoo_core.training import recipe as recipes
from zoo_core.training.fit import make_loop
from zoo_core.training.likelihood import MaximumLikelihood

TINY = ["nade", "--data", "bars-and-stripes", "--set", "config.hidden=8", "--threads", "1"]


EPOCHS = 40


def zoo(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "zoo_core", "train", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wait_for_rows(metrics: Path, rows: int, process: subprocess.Popen[str]) -> None:
    for _ in range(6000):
        if metrics.is_file() and metrics.read_text().count("\n") >= rows:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    pytest.fail(f"{metrics} never had {rows} rows")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    process = zoo(*TINY, "--epochs", str(EPOCHS), "--set", "ema=0.9", folder=folder)
    assert process.wait() == 0, process.stderr and process.stderr.read()
    return folder / "runs" / "nade.bars-and-stripes"


@pytest.mark.parametrize("signal_, code", [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_stopped_run_resumes_to_the_same_bits(
    signal_: int, code: int, uninterrupted: Path, tmp_path: Path
) -> None:
    process = zoo(*TINY, "--epochs", str(EPOCHS), "--set", "ema=0.9", folder=tmp_path)
    run = tmp_path / "runs" / "nade.bars-and-stripes"
    wait_for_rows(run / "metrics.jsonl", 7, process)
    os.kill(process.pid, signal_)
    stderr = process.communicate()[1]
    assert process.returncode == code
    if signal_ == signal.SIGINT:
        assert "go on with: zoo train --resume runs/nade.bars-and-stripes" in stderr
    assert zoo("--resume", str(run), folder=tmp_path).wait() == 0
    for name in ("model.safetensors", "entry.toml"):
        assert digest(run / name) == digest(uninterrupted / name), name
    rows, whole = (
        [json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()]
        for f in (run, uninterrupted)
    )
    assert [row["step"] for row in rows] == [row["step"] for row in whole]


def trained(folder: Path, publish: Callable[..., None], *, resume: bool = False) -> list[float]:
    """Validation values of a small run in this process."""
    settings = {"architecture": "nade", "data": "bars-and-stripes", "epochs": 4, "batch_size": 64}
    recipe = recipes.parse(settings, "")
    rows = load_dataset("bars-and-stripes")[:320]
    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    objective = MaximumLikelihood(NADE((1, 3, 3), hidden=4))
    make_loop(
        objective, recipe, rows, rows, folder, publish=publish, fabric=fabric, quiet=True
    ).run(resume=resume)
    rows_written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["val_nll"] for row in rows_written if "val_nll" in row]


def test_a_run_killed_while_it_validates_validates_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", -1.0)  # a checkpoint after each step
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    expected = trained(whole, lambda networks, values: None)
    assert len(expected) == 4

    def die_at_the_second(networks: object, values: dict[str, float]) -> None:
        if values["nll"] == expected[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(killed, die_at_the_second)
    assert trained(killed, lambda networks, values: None, resume=True) == expected


def test_a_trainer_is_handed_the_label_of_each_input(tmp_path: Path) -> None:
    x = torch.arange(20, dtype=torch.uint8).unsqueeze(1)
    rows = Dataset("numbers", "train", x, levels=256, labels=torch.arange(20))
    for batches in listen(rows, tmp_path).heard.values():
        numbers = torch.cat([x for x, _ in batches]).mul(255).round().long().squeeze(1)
        labels = torch.cat([labels for _, labels in batches if labels is not None])
        assert torch.equal(labels, numbers)
        assert len(labels.unique()) == 20


def test_a_trainer_of_data_without_labels_is_handed_none(tmp_path: Path) -> None:
    rows = Dataset("numbers", "train", torch.zeros(9, 1, dtype=torch.uint8), levels=2)
    for batches in listen(rows, tmp_path).heard.values():
        assert all(labels is None for _, labels in batches)


@pytest.mark.parametrize(
    "arguments", [["--precision", "bf16-mixed"], ["--devices", "2", "--device", "cpu"]]
)
def test_mixed_precision_and_two_processes_learn_too(arguments: list[str], tmp_path: Path) -> None:
    process = zoo(*TINY, "--epochs", "6", "--lr", "0.02", *arguments, folder=tmp_path)
    assert process.wait() == 0, process.stderr and process.stderr.read()
    run = tmp_path / "runs" / "nade.bars-and-stripes"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validations = [row["val_nll"] for row in rows if "val_nll" in row]
    assert len(validations) == 6  # one process speaks for all
    assert validations[-1] < validations[0] - 0.5
    assert loading.load(run).W.dtype == torch.float32


class Product(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((1, 1), 1 / 3))

    def of(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


class Multiplier(Listener):
    """Multiplies by a method that is not forward, before and after its weight moves."""

    def __init__(self) -> None:
        super().__init__()
        self.networks["model"] = Product()
        self.trained: list[torch.Tensor] = []
        self.validated: list[torch.Tensor] = []

    def training_step(
        self,
        x: torch.Tensor,
        update: Any,
        generator: object,
        labels: torch.Tensor | None,
        step: int,
    ) -> dict[str, torch.Tensor]:
        model: Any = self.networks["model"]
        before = model.of(torch.ones(1, 1))
        update["model"](before.sum())
        after = model.of(torch.ones(1, 1))
        self.trained += [before.detach(), after.detach()]
        assert torch.equal(after, model.weight.to(after.dtype))
        return {"nll": before.sum().detach()}

    def validation_step(
        self, x: torch.Tensor, generator: object, labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        model: Any = self.networks["model"]
        self.validated.append(model.of(torch.ones(1, 1)))
        return {"nll": torch.zeros(len(x))}


@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_a_trainer_computes_in_the_precision_of_the_recipe(
    precision: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    rows = Dataset("numbers", "train", torch.zeros(9, 1, dtype=torch.uint8), levels=2)
    multiplier = Multiplier()
    listen(rows, tmp_path, multiplier, precision)
    assert {product.dtype for product in multiplier.trained} == {dtype}
    assert len({float(product) for product in multiplier.trained}) > 1
    assert {product.dtype for product in multiplier.validated} == {torch.float32}
