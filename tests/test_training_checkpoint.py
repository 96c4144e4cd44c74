"""Checkpoints hold networks and optimisers, and refuse what they are not of."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import timm.optim
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

import zoo_core
from zoo_core.errors import InvalidInput
from zoo_core.training import checkpoint
from zoo_core.training.checkpoint import Progress

DATA = {"training": "12", "validation": "34"}

Stepped = tuple[nn.Module, Optimizer]
"""A network, and what steps it."""


def stepped(seed: int) -> Stepped:
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.rand(4, 3)).sum().backward()
    optimizer.step()
    return network, optimizer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    network, optimizer = stepped(0)
    path, progress = tmp_path / "last.safetensors", Progress(7, 2, 0.5, 6, recipe="abc", data=DATA)
    counter = nn.BatchNorm1d(1)
    tensors = checkpoint.collect({"model": network, "counter": counter}, {"model": optimizer})
    checkpoint.write(path, progress, tensors)
    return path


def test_state_and_progress_come_back_whatever_else_it_holds(path: Path) -> None:
    (network, optimizer), (other, other_optimizer) = stepped(0), stepped(1)
    progress = checkpoint.read(
        path, {"model": other}, {"model": other_optimizer}, recipe="abc", data=DATA
    )
    assert progress == Progress(7, 2, 0.5, 6, recipe="abc", data=DATA)
    assert torch.equal(other.get_parameter("weight"), network.get_parameter("weight"))
    left, right = (o.state_dict()["state"][0] for o in (optimizer, other_optimizer))
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


OPTIMIZERS = [
    name
    for name in timm.optim.list_optimizers(exclude_filters=["fused*", "bnb*", "adahessian"])
    if name not in ("kronc", "kronw")  # kron, which compiles for seconds, with other defaults
]


@pytest.mark.filterwarnings("ignore:It is highly recommended to have 'opt_einsum'")
@pytest.mark.parametrize("name", [*OPTIMIZERS, "lookahead_radam", "lookahead_lamb"])
def test_an_optimiser_goes_on_to_the_same_weights(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **settings: function)

    def start() -> Stepped:
        network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
        return network, timm.optim.create_optimizer_v2(network, opt=name, lr=1e-2)

    # lookahead does something at steps 12, 18, …
    whole, resumed = (trained(start, (8, 5), 14, path) for path in (None, tmp_path / "last"))
    assert torch.equal(whole, resumed)


@pytest.mark.parametrize("fused", [False, True])
def test_moments_of_channels_last_weights_go_on_to_the_same_weights(
    fused: bool, tmp_path: Path
) -> None:
    """Files are contiguous, and a fused optimiser goes through memory as it lies."""

    def start() -> Stepped:
        network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return network, torch.optim.Adam(network.parameters(), lr=0.1, fused=fused)

    whole, resumed = (trained(start, (8, 3, 5, 5), 4, path) for path in (None, tmp_path / "last"))
    assert torch.equal(whole, resumed)


def trained(
    start: Callable[[], Stepped], shape: Sequence[int], steps: int, stop: Path | None
) -> Tensor:
    """Weights after some steps, between which the run stops at a checkpoint if one is named."""

    torch.manual_seed(0)
    network, optimizer = start()
    for step in range(steps):
        if stop and step == steps // 2:
            tensors = checkpoint.collect({"model": network}, {"model": optimizer})
            checkpoint.write(stop, Progress(recipe="abc"), tensors)
            network, optimizer = start()
            held = {"model": network}, {"model": optimizer}
            checkpoint.read(stop, *held, recipe="abc", data=DATA)
        torch.manual_seed(step)  # some optimisers draw
        optimizer.zero_grad()
        network(torch.rand(*shape)).square().mean().backward()
        optimizer.step()
    return torch.cat([each.detach().flatten() for each in network.parameters()])


def test_one_from_before_it_held_all_of_a_state_is_read(path: Path) -> None:
    (network, optimizer), (other, other_optimizer) = stepped(0), stepped(1)
    tensors = {f"modules/model/{key}": value for key, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizers/model/{index}/{key}": value for key, value in state.items()}
    checkpoint.write(path, Progress(recipe="abc"), tensors)
    checkpoint.read(path, {"model": other}, {"model": other_optimizer}, recipe="abc", data=DATA)
    left, right = (o.state_dict()["state"] for o in (optimizer, other_optimizer))
    assert left.keys() == right.keys()
    assert all(torch.equal(left[i][key], right[i][key]) for i in left for key in left[i])


def test_a_state_that_cannot_be_written_is_refused() -> None:
    network, optimizer = stepped(0)
    optimizer.state[network.get_parameter("bias")]["past"] = {1, 2}
    message = "the optimiser keeps a set, which a checkpoint cannot hold; .* by optimizer.opt"
    with pytest.raises(InvalidInput, match=message):
        checkpoint.collect({}, {"model": optimizer})


def test_what_scales_gradients_comes_back(path: Path) -> None:
    scaler = {"scale": 1024.0, "_growth_tracker": 7}
    network, _ = stepped(0)
    progress = Progress(7, 2, 0.5, 6, recipe="abc", data=DATA, scaler=scaler)
    checkpoint.write(path, progress, checkpoint.collect({"model": network}, {}))
    assert checkpoint.read(path, {"model": network}, {}, recipe="abc", data=DATA) == progress


def test_one_of_another_recipe_is_refused(path: Path) -> None:
    with pytest.raises(InvalidInput, match="was made with other settings than these"):
        checkpoint.read(path, {}, {}, recipe="other", data=DATA)


def test_one_of_other_data_is_refused_with_both_digests(path: Path) -> None:
    message = "with validation data of the sha256 34, and now it has 56. Resume with the data"
    with pytest.raises(InvalidInput, match=message):
        checkpoint.read(path, {}, {}, recipe="abc", data={**DATA, "validation": "56"})


def test_one_that_names_no_data_is_of_any(path: Path) -> None:
    checkpoint.write(path, Progress(recipe="abc"), {})
    assert checkpoint.read(path, {}, {}, recipe="abc", data=DATA).data == DATA


def test_one_of_other_networks_is_refused(path: Path) -> None:
    for other in (nn.Linear(5, 2), nn.Conv2d(1, 1, 1), nn.BatchNorm1d(2)):
        with pytest.raises(InvalidInput, match=r"another version of .* Resume with the version"):
            checkpoint.read(path, {"model": other}, {}, recipe="abc", data=DATA)


@pytest.mark.parametrize("keep", [0, 10, 300])
def test_a_broken_file_is_no_checkpoint(keep: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInput, match=r"is not a checkpoint: .* start a new run"):
        checkpoint.read(path, {}, {}, recipe="abc", data=DATA)


def test_one_that_is_cut_off_is_said_in_words(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InvalidInput, match="is not a checkpoint") as caught:
        checkpoint.read(path, {}, {}, recipe="abc", data=DATA)
    assert "InvalidWeights" not in str(caught.value) and ".." not in str(caught.value)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.99])
def test_a_changed_byte_is_found(at: float, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(data)
    network, optimizer = stepped(1)
    with pytest.raises(InvalidInput, match="is not a checkpoint"):
        checkpoint.read(path, {"model": network}, {"model": optimizer}, recipe="abc", data=DATA)


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": "7"},
        {"best": float("nan")},
        {"recipe": None},
        {"data": {"test": "12"}},
        {"scaler": {"scale": "7"}},
        {"more": 1},
    ],
)
def test_what_says_no_place_of_a_run_is_no_checkpoint(path: Path, change: dict[str, Any]) -> None:
    said = {"step": 7, "epoch": 2, "best": 0.5, "best_step": 6, "recipe": "abc"} | change
    save_file({}, path, {"progress": json.dumps(said)})
    with pytest.raises(InvalidInput, match="is not a checkpoint"):
        checkpoint.read(path, {}, {}, recipe="abc", data=DATA)


def test_one_of_an_older_version_without_a_checksum_is_read(path: Path) -> None:
    said = {"step": 7, "epoch": 2, "best": 0.5, "best_step": 6, "recipe": "abc"}
    save_file({}, path, {"progress": json.dumps(said)})
    assert checkpoint.read(path, {}, {}, recipe="abc", data=DATA).step == 7


def test_the_one_before_is_kept(path: Path) -> None:
    network, _ = stepped(0)
    first = path.read_bytes()
    tensors = checkpoint.collect({"model": network}, {})
    checkpoint.write(path, Progress(8, 2, 0.5, 6, recipe="abc"), tensors)
    assert checkpoint.previous(path).read_bytes() == first
    assert checkpoint.read(path, {"model": network}, {}, recipe="abc", data=DATA).step == 8


def train(folder: Path, **settings: Any) -> Path:
    return zoo_core.train(
        "fvsbn", data="bars-and-stripes", epochs=3, output=folder, quiet=True, **settings
    ).folder


@pytest.mark.parametrize("keep", [0, -1])
def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    tmp_path: Path, keep: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, run = train(tmp_path / "whole" / "run"), train(tmp_path / "run")
    last = run / "checkpoints" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:keep])
    capsys.readouterr()
    zoo_core.train(resume=run, quiet=True)
    said = capsys.readouterr().err
    assert f"warning: {last} is not a checkpoint" in said
    assert f"The run goes on from {run / 'checkpoints' / 'previous.safetensors'}, step 22." in said
    assert "start a new run" not in said
    weights = [(folder / "model.safetensors").read_bytes() for folder in (whole, run)]
    assert weights[0] == weights[1]


def test_where_no_checkpoint_is_sound_the_last_is_named(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    before = {path.relative_to(run) for path in run.rglob("*")}
    with pytest.raises(InvalidInput, match=r"last\.safetensors is not a checkpoint: .* a new run"):
        zoo_core.train(resume=run, quiet=True)
    assert {path.relative_to(run) for path in run.rglob("*")} == before  # nothing is removed


def test_a_checkpoint_that_is_gone_is_that_before(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    (run / "checkpoints" / "last.safetensors").unlink()
    assert zoo_core.train(resume=run, quiet=True).metrics
