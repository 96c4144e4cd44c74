"""Sharded training computes what it does with all weights in each process, and keeps half of them
in each of two. Run as a program, this file is one of the processes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo_core.errors import InvalidInput
from zoo_core.training.callbacks import Callback
from zoo_core.training.loop import Loop
from zoo_core.training.sharding import Whole, find, share_like, whole
from zoo_core.training.train import train

COMMON: dict[str, Any] = {"epochs": 2, "threads": 1, "device": "cpu", "quiet": True}
TABLE: dict[str, Any] = {"data": "bars-and-stripes", "batch_size": 50, "lr": 0.02}
IMAGES: dict[str, Any] = {"data": "images", "batch_size": 8, "size": 16, "gray": True}
CASES: dict[str, dict[str, Any]] = {
    "nade": {**TABLE, "config": {"hidden": 9}, "clip": 0.5, "ema": 0.9, "accumulate": 2},
    # one of its weights is a number
    "vae": {**TABLE, "config": {"hidden": [8], "z": 2, "likelihood": "gaussian"}},
    "gan": {**IMAGES, "config": {"hidden": [8]}, "trainer": {"r1": 1.0, "n_critic": 2}},
    "dcgan": {**IMAGES, "config": {"channels": 4}, "ema": 0.9},
}
STOPPED = 13


class Watch(Callback):
    """Counts what a process keeps of the first network; may end a run after a step."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.kept, self.all = stop, 0, 0

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        loop.finished |= loop.progress.step == self.stop
        shares: Any = loop.optimizers.of["model"].param_groups[0]["params"]
        self.all = sum(share.numel() for share in shares)
        self.kept = sum(getattr(share, "_local_tensor", share).numel() for share in shares)


def run(name: str, strategy: str, folder: str, watch: Watch | None = None, **more: Any) -> None:
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # another run, another meeting
        os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
    callbacks = [watch] if watch else []
    where: Any = {**COMMON, "devices": int(os.environ.get("WORLD_SIZE", 1)), "strategy": strategy}
    train(name, **{**where, **CASES[name], **more}, output=folder, callbacks=callbacks)


def main() -> None:
    """All trainings of one of two processes."""
    kept = {}
    for name in CASES:
        run(name, "ddp", f"ddp/{name}")
        run(name, "fsdp", f"fsdp/{name}", watch := Watch())
        kept[name] = [watch.kept, watch.all]
    run("nade", "fsdp", "stopped", Watch(STOPPED))
    run("nade", "fsdp", "again", Watch(STOPPED))
    run("nade", "fsdp", "stopped", resume_if_any=True)
    Path(f"kept-{os.environ['LOCAL_RANK']}.json").write_text(json.dumps(kept))


def images(folder: Path) -> None:
    from PIL import Image

    folder.mkdir()
    pixels = torch.randint(0, 256, (40, 16, 16), generator=torch.Generator().manual_seed(0))
    for i, image in enumerate(pixels.byte().numpy()):
        Image.fromarray(image).save(folder / f"{i:02}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    images(folder / "images")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(min(port, 65000)), "WORLD_SIZE": "2"}
    shared |= {"NODE_RANK": "0", "OMP_NUM_THREADS": "1", "ZOO_HOME": str(folder / "home")}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__],
            cwd=folder,
            env={**os.environ, **shared, "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=600)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], (
        said[0][-2000:] + said[1][-2000:]
    )
    return folder


def state(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "checkpoints" / "last.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_shares_give_the_weights_the_averages_and_the_moments_of_ddp(
    name: str, trained: Path
) -> None:
    ours, theirs = state(trained / "fsdp" / name), state(trained / "ddp" / name)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, atol=1e-5, rtol=1e-4, msg=key)
    of_fsdp, of_ddp = (load_file(trained / s / name / "model.safetensors") for s in ("fsdp", "ddp"))
    for key, value in of_ddp.items():
        torch.testing.assert_close(of_fsdp[key], value, atol=1e-5, rtol=1e-4, msg=key)


@pytest.mark.parametrize("name", CASES)
def test_each_of_two_processes_keeps_about_half(name: str, trained: Path) -> None:
    kept = [json.loads((trained / f"kept-{rank}.json").read_text())[name] for rank in range(2)]
    (first, every), (second, _) = kept
    assert every <= first + second <= every + 1  # a number is in both
    assert max(first, second) < 0.7 * every


def test_a_sharded_run_resumes_to_the_same_bits_sharded_or_not(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_run = state(trained / "fsdp" / "nade")
    for key, value in state(trained / "stopped").items():
        assert torch.equal(value, whole_run[key]), key
    monkeypatch.chdir(trained)
    run("nade", "fsdp", "again", resume_if_any=True)  # one process: there is nobody to share with
    for key, value in state(trained / "again").items():
        torch.testing.assert_close(value, whole_run[key], atol=1e-5, rtol=1e-4, msg=key)


def test_another_strategy_is_refused() -> None:
    other: Any = "deepspeed"
    with pytest.raises(InvalidInput, match=r"strategy is 'deepspeed'; expected ddp or fsdp\."):
        train("nade", data="bars-and-stripes", strategy=other)


def test_without_processes_nothing_is_shared() -> None:
    network = nn.Linear(2, 3)
    tensor = torch.ones(3, 2)
    assert find(network) is None
    assert whole(tensor) is tensor
    assert share_like(tensor, network.weight) is tensor


def test_a_whole_network_keeps_shapes_without_memory() -> None:
    copy = Whole(nn.Linear(2, 3))
    weight = copy.network.weight
    assert isinstance(weight, Tensor)
    assert weight.shape == (3, 2)
    assert weight.untyped_storage().nbytes() == 4
    copy.fill()
    torch.testing.assert_close(copy.network.state_dict(), copy.source.state_dict())


if __name__ == "__main__":
    main()
