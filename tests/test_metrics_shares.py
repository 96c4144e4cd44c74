"""Held-out rows that several processes share have the figures of one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo_latent.vae import VAE

import toy_models
from zoo_core import loading
from zoo_core.metrics import evaluation, likelihood, measure, rows, shares
from zoo_core.metrics.shares import Crew, by_the_first, crew, free_port, gather, put_together


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A protocol of 17 rows, which are read 6 and measured 3 at a time."""
    for module in (rows, likelihood):
        monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(rows, "_PART", 6)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, (340, 6), np.uint8))
    return {"data": f"{tmp_path}/x.npy:test"}


def by_each_of(
    processes: int, name: str, model: Any, protocol: Any, monkeypatch: pytest.MonkeyPatch
) -> float:
    """A metric by several processes, of which each runs after the others."""
    every: list[tuple[int, Tensor]] = []

    def together(own: list[tuple[int, Tensor]]) -> Tensor:
        every.extend(own)
        every.sort(key=lambda batch: batch[0])
        return torch.cat([values for _, values in every])

    monkeypatch.setattr(likelihood, "put_together", together)
    for rank in range(processes):
        monkeypatch.setattr(likelihood, "crew", lambda rank=rank: Crew(rank, processes))
        measured = measure(name, model, protocol)
    assert [number for number, _ in every] == list(range(len(every)))
    return measured.value


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_figures_are_those_of_one_process(
    processes: int, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, bound = toy_models.nade(6), VAE(shape=(6,), z=2, hidden=[5]).eval()
    for name, one, more in (("test_nll", model, {}), ("active_units", bound, {"seed": 0})):
        expected = measure(name, one, {**table, **more}).value
        with monkeypatch.context() as patch:
            assert by_each_of(processes, name, one, {**table, **more}, patch) == expected


def test_noise_of_a_bound_does_not_depend_on_the_number_of_several_processes(
    table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bound, found = VAE(shape=(6,), z=2, hidden=[5]).eval(), []
    for processes in (2, 3):
        with monkeypatch.context() as patch:
            protocol = {**table, "seed": 4, "k": 3}
            found.append(by_each_of(processes, "iw_bound", bound, protocol, patch))
    assert found[0] == found[1] != measure("iw_bound", bound, {**table, "seed": 4, "k": 3}).value


def test_one_process_is_alone() -> None:
    assert crew() == Crew(0, 1) and crew().takes(7)
    with shares.joined(0, 1):
        assert crew() == Crew(0, 1)
    assert gather([(1, "b"), (0, "a")]) == ["a", "b"]
    assert put_together([(0, torch.ones(2)), (1, torch.zeros(1))]).tolist() == [1, 1, 0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", free_port()))


def test_what_cannot_be_shared_is_measured_by_the_first_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[list[Any]] = []

    def exchanged(own: list[Any]) -> list[list[Any]]:
        heard.append(own)
        return [heard[0], []]

    monkeypatch.setattr(shares, "_exchanged", exchanged)
    for rank in range(2):
        token = shares._CREW.set(Crew(rank, 2))
        assert by_the_first(lambda: (crew(), "measured")) == (Crew(), "measured")
        assert crew() == Crew(rank, 2)
        shares._CREW.reset(token)
    assert [len(own) for own in heard] == [1, 0]


def test_a_metric_of_samples_is_for_the_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(evaluation, "by_the_first", lambda compute: asked.append(compute.args[0]))
    monkeypatch.setattr(evaluation, "measure", lambda name, *_: name)
    for name in ("fid", "test_nll", "precision"):
        evaluation._measure(name, toy_models.nade(6), {}, None)
    assert asked == ["fid", "precision"]


def by_two_as_by_one(folder: Path, *command: str) -> Any:
    """What a command prints as JSON, by two processes as by one."""
    alone, two = (
        subprocess.run(
            [*command, *more],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        for more in ([], ["--devices", "2"])
    )
    assert two.returncode == 0, two.stderr
    assert json.loads(two.stdout) == json.loads(alone.stdout)
    return json.loads(two.stdout)


def test_two_processes_evaluate_as_one(tmp_path: Path) -> None:
    config = {"shape": [6], "hidden": 5}
    described = {"family": "autoregressive", "requires": "zoo-autoregressive", "name": "m.x"}
    record = {**described, "architecture": "nade", "config": config}
    loading.save(toy_models.nade(6), tmp_path / "m.safetensors", record)
    x = np.random.default_rng(0).integers(0, 2, (30_000, 6), np.uint8)  # six batches
    np.save(tmp_path / "x.npy", x)
    metric = ["--metric", "test_nll", "--set", "data=x.npy:test", "--json"]
    command = [sys.executable, "-m", "zoo_core", "eval", "./m.safetensors", *metric]
    assert by_two_as_by_one(tmp_path, *command)[0]["n"] == 3000


def test_two_processes_compare_as_one(tmp_path: Path) -> None:
    config = {"shape": [6], "hidden": 5}
    described = {"family": "autoregressive", "requires": "zoo-autoregressive"}
    names = [f"{letter}.safetensors" for letter in "abc"]
    for name in names:
        record = {**described, "name": f"{name[0]}.x", "architecture": "nade", "config": config}
        loading.save(toy_models.nade(6), tmp_path / name, record)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, (500, 6), np.uint8))
    command = [sys.executable, "-m", "zoo_core", "compare", *(f"./{name}" for name in names)]
    command += ["--data", "x.npy:test", "--json"]
    assert len(by_two_as_by_one(tmp_path, *command)["models"]) == 3
