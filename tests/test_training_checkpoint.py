"""Checkpoints hold networks and optimisers, and refuse what they are not of."""

from pathlib import Path

import pytest
import torch
from torch import nn

from zoo_core.errors import InvalidInput
from zoo_core.training import checkpoint
from zoo_core.training.checkpoint import Progress

DATA = {"training": "12", "validation": "34"}


def stepped(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
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
    checkpoint.write(path, progress, {"model": network, "counter": counter}, {"model": optimizer})
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


def test_one_of_another_recipe_is_refused(path: Path) -> None:
    with pytest.raises(InvalidInput, match="was made with other settings than these"):
        checkpoint.read(path, {}, {}, recipe="other", data=DATA)


def test_one_of_other_data_is_refused_with_both_digests(path: Path) -> None:
    message = "with validation data of the sha256 34, and now it has 56. Resume with the data"
    with pytest.raises(InvalidInput, match=message):
        checkpoint.read(path, {}, {}, recipe="abc", data={**DATA, "validation": "56"})


def test_one_that_names_no_data_is_of_any(path: Path) -> None:
    checkpoint.write(path, Progress(recipe="abc"), {}, {})
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
