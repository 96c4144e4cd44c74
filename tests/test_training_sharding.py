"""Sharded training computes what it does with all weights in each process, and keeps half of them
in each of two; both follow one process. Run as a program, this file is one of the processes."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo_core import loading, plugins
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.testing import Case, cases
from zoo_core.training.batches import Batches
from zoo_core.training.callbacks import Callback
from zoo_core.training.loop import Loop
from zoo_core.training.recipe import Recipe
from zoo_core.training.sharding import (
    Whole,
    filled,
    find,
    make_strategy,
    share_like,
    shares_of,
    whole,
)
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
ROUNDING: dict[str, float] = {"dcgan": 2e-4}
"""Of those whose batch norm and first steps of Adam make more of the last bits than 1e-5: on one
kind of processor 8 of 12,800 weights differed by up to 2e-5, and moments by 4e-5."""
STOPPED = 13
PICTURE = {"shape": [1, 16, 16]}
TRAINERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gan": ({**PICTURE, "z": 4, "hidden": [16]}, {"loss": "wgan-gp", "n_critic": 2}),
    "infogan": ({**PICTURE, "z": 4, "clusters": 3, "channels": 4, "hidden": 8}, {"r1": 1.0}),
    "progan": ({**PICTURE, "z": 4, "channels": [6, 4, 4]}, {"stable": 8, "fade": 8}),
    "stargan": ({**PICTURE, "channels": 4, "blocks": 1}, {}),
    "cyclegan": ({**PICTURE, "channels": 4, "blocks": 1}, {}),
    "keypatch": ({**PICTURE, "channels": 2, "z": 2, "code": 4}, {"r1": 1.0}),
    "gan-cls": (
        {**PICTURE, "z": 3, "channels": 2, "code": 4, "match": "projection"},
        {"pretrain": 1, "w_words": 0.1},
    ),
}
"""Config and trainer of what takes other than the laws' few pixels."""
WHOLE = ("cyclegan", "gan-cls")
"""Trainers whose weights cannot be shared out."""
OWN_NOISE = ("eonade", "mixed-eonade", "stargan", "cyclegan", "keypatch")
"""Those that take numbers of torch's functions, of which each process has its own."""
OF_A_BATCH = ("gan", "infogan", "progan", "features", "gan-cls")
"""Those with statistics of a batch, or dropout."""
PARTS = ("ar in parts", "progan in parts")
"""With accumulated gradients."""
BATCH, ROWS = 8, 28


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


class Losses(Callback):
    """Keeps what a trainer says of its steps."""

    def __init__(self) -> None:
        self.of_steps: list[dict[str, float]] = []

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        self.of_steps.append({key: float(value) for key, value in losses.items()})


def every_trainer() -> dict[str, Case]:
    """The first case of each trainer, by its architecture."""
    first = {case.architecture.trainer: case for case in reversed(cases()) if case.first}
    return {case.architecture.name: case for case in first.values()}


def rows_of(name: str, shape: tuple[int, ...]) -> Dataset:
    """Random rows with labels, or with captions in their place."""
    levels = 256 if shape == (1, 16, 16) or name == "features" else 2
    random = torch.Generator().manual_seed(1)
    x = torch.randint(levels, (ROWS, *shape), generator=random).byte()
    texts = tuple(f"a red thing number {i % 5}" for i in range(ROWS)) if name == "gan-cls" else ()
    labels = None if texts else torch.randint(2, (ROWS,), generator=random)
    return Dataset("x", "train", x, levels, labels, ("a", "b"), texts)


def steps(case: Case, fabric: Fabric, folder: Path, **changes: Any) -> dict[str, Any]:
    """A few steps: what the trainer said of them, and the validation after them."""
    folder.mkdir(parents=True, exist_ok=True)
    name = case.architecture.name
    config, keywords = TRAINERS.get(name, (dict(case.config), {}))
    recipe = Recipe(
        name, "x", epochs=1, batch_size=BATCH, binarize="none", optimizer={"lr": 0.005}, **changes
    )
    data = rows_of(name, tuple(config["shape"]))
    torch.manual_seed(0)
    model = loading.build(case.cls, config).train()
    trainer = plugins.import_class(case.architecture.trainer)(model, **keywords)
    losses = Losses()
    batches = Batches(recipe, data, data, trainer, fabric)
    loop = Loop(trainer, batches, recipe, folder, fabric=fabric, callbacks=[losses])
    loop.run()
    with filled(loop.optimizers.whole):
        return {"steps": losses.of_steps, "validation": loop.measure()}


def all_steps(strategy: Any, processes: int, folder: Path) -> None:
    """A few steps of every trainer that takes a strategy, into a file of this process."""
    found = {}
    fabric = Fabric(accelerator="cpu", strategy=strategy, devices=processes)
    fabric.launch()
    for name, case in every_trainer().items():
        if processes > 1 and shares_of(fabric) > 1 and name in WHOLE:
            continue
        found[name] = steps(case, fabric, folder / name)
        if f"{name} in parts" in PARTS:
            found[f"{name} in parts"] = steps(case, fabric, folder / f"{name}-parts", accumulate=3)
    (folder / f"{fabric.global_rank}.json").write_text(json.dumps(found))


def main() -> None:
    """All trainings of one of two processes."""
    all_steps("ddp", 2, Path("ddp-steps"))
    all_steps(make_strategy(2), 2, Path("fsdp-steps"))
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


def free_ports(count: int) -> int:
    """The first of so many free ports in a row, below those that programs are given when they ask
    for any port."""
    for first in range(20_000 + os.getpid() % 500 * count, 32_000 - count, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as free:
                    free.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError(f"there are no {count} free ports in a row")


def all_end(processes: "list[subprocess.Popen[str]]", seconds: float) -> None:
    """Wait for processes that wait for each other: once one fails, the others are stopped."""
    until = time.monotonic() + seconds
    while any(process.poll() is None for process in processes):
        if time.monotonic() > until or any(process.poll() for process in processes):
            for process in processes:
                process.kill()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    images(folder / "images")
    port = free_ports(2 * len(CASES) + 4)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    shared |= {"NODE_RANK": "0", "OMP_NUM_THREADS": "1", "ZOO_HOME": str(folder / "home")}
    said = [folder / f"stderr-{rank}.txt" for rank in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__],
            cwd=folder,
            env={**os.environ, **shared, "LOCAL_RANK": str(rank)},
            stderr=path.open("w"),
            text=True,
        )
        for rank, path in enumerate(said)
    ]
    all_end(processes, 600)
    assert [process.returncode for process in processes] == [0, 0], "".join(
        path.read_text()[-4000:] for path in said
    )
    return folder


def mean(folder: Path, name: str) -> list[float]:
    """What a trainer said of each step, the mean over the processes, and its validation."""
    said = [json.loads(path.read_text())[name] for path in sorted(folder.glob("*.json"))]
    of_steps = zip(*(each["steps"] for each in said), strict=True)
    losses = [
        sum(losses[key] for losses in at_once) / len(at_once)
        for at_once in of_steps
        for key in at_once[0]
    ]
    return [*losses, *said[0]["validation"].values()]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    all_steps("auto", 1, folder)
    return folder


@pytest.mark.parametrize("name", [*every_trainer(), *PARTS])
def test_processes_follow_one_process(name: str, trained: Path, alone: Path) -> None:
    expected, found = mean(alone, name), mean(trained / "ddp-steps", name)
    assert len(found) == len(expected)
    if name.split()[0] not in (*OWN_NOISE, *OF_A_BATCH):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", [*every_trainer(), *PARTS])
def test_every_trainer_takes_shares_or_says_why_not(name: str, trained: Path) -> None:
    if name in WHOLE:
        trainer = plugins.import_class(every_trainer()[name].architecture.trainer)
        sharded: Any = {"devices": 2, "strategy": "fsdp", "device": "cpu"}
        words = rf"{trainer.__name__} does not train with strategy = 'fsdp': .*\. Use 'ddp', where"
        with pytest.raises(InvalidInput, match=words):
            train(name, data=str(trained / "images"), **sharded)
        return
    expected, found = (mean(trained / f"{each}-steps", name) for each in ("ddp", "fsdp"))
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_networks_grow_by_the_images_of_all_processes(trained: Path, alone: Path) -> None:
    def to_come(folder: Path, name: str) -> float:
        values = json.loads((folder / "0.json").read_text())[name]["validation"]
        return float(values["distance"] - values["sliced_wasserstein"])

    for name in ("progan", PARTS[1]):
        of_one = to_come(alone, name)
        assert 0 < of_one < 1  # the last stage fades in
        for strategy in ("ddp", "fsdp"):
            assert to_come(trained / f"{strategy}-steps", name) == pytest.approx(of_one)


def state(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "checkpoints" / "last.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_shares_give_the_weights_the_averages_and_the_moments_of_ddp(
    name: str, trained: Path
) -> None:
    ours, theirs = state(trained / "fsdp" / name), state(trained / "ddp" / name)
    assert ours.keys() == theirs.keys()
    atol = ROUNDING.get(name, 1e-5)
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, atol=atol, rtol=1e-4, msg=key)
    of_fsdp, of_ddp = (load_file(trained / s / name / "model.safetensors") for s in ("fsdp", "ddp"))
    for key, value in of_ddp.items():
        torch.testing.assert_close(of_fsdp[key], value, atol=atol, rtol=1e-4, msg=key)


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
