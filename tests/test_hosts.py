"""Two machines, made of network namespaces: they compute what one does, and one that is cut off
ends the run of the other, which goes on alone.

Skipped where namespaces cannot be made: it takes Linux, root and iproute2.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SETTINGS = ["nade", "--data", "bars-and-stripes", "--set", "config.hidden=8", "--threads", "1"]
SETTINGS += ["--lr", "0.02", "--batch-size", "50", "--device", "cpu"]
ADDRESSES = ("10.213.7.1", "10.213.7.2")
SECONDS = 30


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two namespaces that reach each other; the name of each is that of its interface, too."""
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not installed: two machines cannot be made")
    names = [f"zoo{end}{os.getpid()}" for end in "ab"]
    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", names[0], "type", "veth", "peer", "name", names[1])
            for name, address in zip(names, ADDRESSES, strict=True):
                ip("link", "set", name, "netns", name)
                ip("-n", name, "addr", "add", f"{address}/24", "dev", name)
                ip("-n", name, "link", "set", name, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces cannot be made here: {error}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def start(
    folder: Path, *arguments: str, host: tuple[int, str] | None = None, home: Path | None = None
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "zoo_core", "train", *arguments, "-o", str(folder)]
    environment = {**os.environ, **({"ZOO_HOME": str(home)} if home else {})}
    if host is not None:
        rank, name = host
        command = ["ip", "netns", "exec", name, *command, "--nodes", "2"]
        environment |= {
            "NODE_RANK": str(rank),
            "MASTER_ADDR": ADDRESSES[0],
            "MASTER_PORT": "29517",
            "GLOO_SOCKET_IFNAME": name,
        }
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


QUIET = ["--threads", "1", "--device", "cpu", "-q"]
NADE = ["--batch-size", "200", "--epochs", "4", *QUIET]
RECIPES = Path(__file__).parent.parent / "plugins" / "autoregressive" / "recipes"
GAN = ["gan", "--size", "8", "--gray", "--batch-size", "8", "--epochs", "13", "--lr", "0.0002"]
GAN += ["--set", "config.hidden=[16]", "--set", "trainer.discriminator.dropout=0.0"]
GAN += ["--set", "trainer.discriminator.dropout_inputs=0.0", *QUIET]
"""A small GAN without noise beside its latents."""


@pytest.mark.parametrize("name", ["nade.nltcs", "gan.images"])
def test_two_machines_follow_the_losses_of_one(name: str, hosts: list[str], tmp_path: Path) -> None:
    if name == "nade.nltcs":
        columns = np.random.default_rng(0).random((2, 16))  # of two groups, of 16 answers each
        group = np.random.default_rng(1).integers(0, 2, 3200)
        x = np.random.default_rng(2).random((3200, 16)) < columns[group]
        np.save(tmp_path / "nltcs.npy", x.astype(np.uint8))
        settings = [str(RECIPES / "nade.nltcs.toml"), "--data", str(tmp_path / "nltcs.npy"), *NADE]
    else:
        images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
        (tmp_path / "images").mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / "images" / f"{i:02}.png")
        settings = [*GAN, "--data", str(tmp_path / "images")]
    alone, both = tmp_path / "one" / name, tmp_path / "both" / name
    process = start(alone, *settings)
    assert process.wait() == 0, process.communicate()[1]
    processes = [
        start(both, *settings, host=host, home=tmp_path / f"home-{host[0]}")
        for host in enumerate(hosts)
    ]
    said = [process.communicate(timeout=20 * SECONDS)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert rows(alone)[-1]["step"] >= 50
    for ours, theirs in zip(rows(both), rows(alone), strict=True):
        for key in theirs.keys() - {"steps_per_s"}:
            assert ours[key] == pytest.approx(theirs[key], abs=1e-4), (ours["step"], key)


def test_two_machines_follow_one_and_one_that_is_cut_off_ends_the_run(
    hosts: list[str], tmp_path: Path
) -> None:
    alone, both = tmp_path / "nade.alone", tmp_path / "nade.both"
    process = start(alone, *SETTINGS, "--epochs", "4")
    assert process.wait() == 0, process.communicate()[1]
    processes = [start(both, *SETTINGS, "--epochs", "80", host=host) for host in enumerate(hosts)]
    try:
        for _ in range(3000):
            if len(rows(both)) >= len(rows(alone)):
                break
            assert [process.poll() for process in processes] == [None, None]
            time.sleep(0.1)
        ip("-n", hosts[1], "link", "set", hosts[1], "down")
        began = time.monotonic()
        said = [process.communicate(timeout=2 * SECONDS)[1] for process in processes]
        took = time.monotonic() - began
    finally:
        for process in processes:
            process.kill()
    for ours, theirs in zip(rows(both), rows(alone), strict=False):
        assert ours["step"] == theirs["step"]
        for key in theirs.keys() - {"steps_per_s"}:
            assert ours[key] == pytest.approx(theirs[key], abs=1e-4), (ours["step"], key)
    assert rows(alone)[-1]["step"] >= 50
    assert [process.returncode for process in processes] == [1, 1]
    assert took < SECONDS
    for text in said:
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        assert errors == [
            "error: another process of this run failed or cannot be reached. "
            f"Go on from the last checkpoint: zoo train --resume {both}"
        ]
    again = start(both, *SETTINGS, "--epochs", "80", "--resume-if-any")
    stderr = again.communicate()[1]
    assert again.returncode == 0, stderr
    assert "goes on with 1 process, where it had 2" in stderr
    assert (both / "entry.toml").is_file()
