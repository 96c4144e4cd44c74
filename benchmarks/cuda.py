"""A GPU against the processor and against plain loops, with the tests of tests/cuda: one report.

    python benchmarks/cuda.py [--device cuda] [--report cuda.md]

It needs this checkout and its dependencies, and no installation: what the packages say of
themselves is read from their pyproject.toml. `--device cpu` tries the script where there is no GPU.
Each figure is the median of turns that alternate between the two.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [ROOT, *sorted((ROOT / "plugins").iterdir())]
LOADED = ("nade.mnist", "pixelcnn.mnist", "attention.mnist", "vae.mnist", "dcgan.mnist")
SAMPLED = ("nade.mnist", "vae.mnist", "dcgan.mnist")


class Row(NamedTuple):
    """A figure of the report."""

    what: str
    device: float
    """Seconds on the device."""
    other: float
    """Seconds of what it is held against."""
    against: str


@contextmanager
def described(folder: Path) -> Iterator[list[str]]:
    """Paths by which Python finds the packages of a checkout that is not installed."""
    for package in PACKAGES:
        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(head)
        points = project.get("entry-points", {}).get("zoo.families.v1", {})
        lines = [f"{name} = {path}" for name, path in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[zoo.families.v1]", *lines, ""]))
    paths = [str(folder), *map(str, PACKAGES)]
    sys.path[:0] = paths
    yield paths


def seconds(device: torch.device, run: Callable[[], object]) -> float:
    """The time that a call takes, the device's work included."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def pair(
    what: str,
    device: torch.device,
    run: Callable[[], object],
    other: Callable[[], object],
    against: str,
    turns: int,
) -> Row:
    """Two calls by turns, after one of each that is not counted."""
    times = [(seconds(device, run), seconds(device, other)) for _ in range(turns + 1)][1:]
    return Row(what, *(median(column) for column in zip(*times, strict=True)), against)


def step(model: Any, log_prob: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    """One step of training: forward, backward, Adam."""
    optimizer = torch.optim.Adam(model.parameters(), fused=x.is_cuda)

    def run() -> None:
        optimizer.zero_grad()
        (-log_prob(x).mean()).backward()
        optimizer.step()

    return run


def plain_log_prob(model: Any, x: Tensor) -> Tensor:
    """NADE's recursion, a variable at a time, left to autograd."""
    x = x.flatten(1)
    a, logits = model.c.expand(len(x), -1), []
    for x_i, W_i, V_i, b_i in zip(
        x.unbind(1), model.W.unbind(), model.V.unbind(), model.b, strict=True
    ):
        logits.append(torch.mv(torch.relu(a), V_i) + b_i)
        a = a + torch.outer(x_i, W_i)
    errors = torch.nn.functional.binary_cross_entropy_with_logits
    return -errors(torch.stack(logits, 1), x, reduction="none").sum(1)


def measure(device: torch.device, turns: int, n: int) -> Iterator[Row]:
    """Load, sample, score and train."""
    from zoo_autoregressive.nade import NADE

    from zoo_core import loading

    files = {path.stem: path for path in ROOT.glob("plugins/*/weights/*.safetensors")}

    def load(name: str, device: str) -> Any:
        return loading.load(files[name], device=device).requires_grad_(False)

    def sample(model: Any, device: torch.device) -> Callable[[], object]:
        return lambda: model.sample(n, generator=torch.Generator(device).manual_seed(0))

    host, x = torch.device("cpu"), torch.rand(n, 1, 28, 28).round()
    for name in LOADED:
        there, here = (lambda d=str(d): load(name, d) for d in (device, host))  # noqa: B023
        yield pair(f"load {name}", device, there, here, "processor", turns)
    with torch.inference_mode():
        for name in SAMPLED:
            runs = [sample(load(name, str(d)), d) for d in (device, host)]
            yield pair(f"sample {n} of {name}", device, *runs, "processor", turns)
        for name in ("nade.mnist", "pixelcnn.mnist"):
            there, here = load(name, str(device)), load(name, "cpu")
            on = x.to(device)
            yield pair(
                f"score {n} by {name}",
                device,
                lambda m=there, on=on: m.log_prob(on),
                lambda m=here: m.log_prob(x),
                "processor",
                turns,
            )
    model, host_model = NADE().to(device), NADE()
    on, batch = x[:100].to(device), x[:100]
    ours = step(model, model.log_prob, on)
    plain = step(model, lambda x: plain_log_prob(model, x), on)
    yield pair("train a step of NADE", device, ours, plain, "plain loop there", turns)
    here = step(host_model, host_model.log_prob, batch)
    yield pair("train a step of NADE", device, ours, here, "processor", turns)


def tests(device: torch.device, paths: list[str]) -> str:
    """What pytest says of tests/cuda, in its last line."""
    import os

    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*paths, str(ROOT / "tests")]),
        "ZOO_TEST_DEVICE": device.type,
    }
    command = [sys.executable, "-m", "pytest", "-q", "tests/cuda"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    lines = (done.stdout or done.stderr).strip().splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    return "\n".join([*failed, lines[-1] if lines else "pytest said nothing"])


def main() -> None:
    """Measure, test and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--report", type=Path, default=Path("cuda.md"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("-n", type=int, default=1000, help="rows that are sampled and scored")
    parser.add_argument("--no-tests", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.exit(1, "torch finds no GPU here; --device cpu tries the script itself.\n")
    with tempfile.TemporaryDirectory() as folder, described(Path(folder)) as paths:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
        lines = [
            f"# {name}, {platform.machine()}, torch {torch.__version__}",
            "",
            "| what | ms | against | ms | times as fast |",
            "| --- | ---: | --- | ---: | ---: |",
        ]
        for row in measure(device, options.turns, options.n):
            lines.append(
                f"| {row.what} | {1000 * row.device:.2f} | {row.against} | "
                f"{1000 * row.other:.2f} | {row.other / row.device:.2f} |"
            )
            print(lines[-1], flush=True)
        if not options.no_tests:
            lines += ["", "```text", tests(device, paths), "```"]
            print(lines[-2])
    options.report.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
