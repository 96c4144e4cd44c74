"""`zoo run --task score -o FOLDER/` against a bare loop over `log_prob`, and its memory.

    uv run python benchmarks/bulk.py [--rows 1000000] [--threads 1] [--turns 3]
    uv run python benchmarks/bulk.py --memory [--write docs/guides/bulk.md]

Speed is the ratio to the bare loop at its best batch size, from turns that alternate. Memory is the
peak of a process that scores so many rows, over that of one that scores 1,000. Then the command is
killed ten times at random moments, and once more done by two processes: both give the same bytes.

With --memory the peaks of one model of each kind are measured, and nothing else.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

import zoo_core as zoo
from zoo_core.bulk import run_parts
from zoo_core.metrics.rows import over

CASES = {
    "nade.nltcs": (16, 262_144, 0.33),
    "nade.mnist": (784, 1024, 0.13),
    "attention.mnist": (784, 256, 0.13),
}
"""Variables, rows, and the share of ones, of what is scored for speed."""
MEMORY = {
    "nade.mnist": ("score", 10_000),
    "attention.mnist": ("score", 1_000),
    "pixelcnn.mnist": ("score", 2_000),
    "vae.mnist": ("score", 10_000),
    "features.mnist": ("features", 10_000),
    "dcgan.mnist": ("sample", 10_000),
}
"""Task and rows of 784 variables of what is measured for memory."""
SHARE = 10
"""How many times more rows that is than what it is compared with, which is one part."""
MARKS = "<!-- memory: benchmarks/bulk.py --memory writes this table -->", "<!-- end of memory -->"
BATCHES = (8, 16, 32, 64, 128, 256, 512, 1024, 4096)


def seconds(run: Callable[[], object]) -> float:
    """The time that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def rows(path: Path, n: int, D: int, share: float) -> Path:
    """A table of random rows, as bytes."""
    x = np.lib.format.open_memmap(path, "w+", np.uint8, (n, D))
    generator = np.random.default_rng(0)
    for start in range(0, n, 4096):
        x[start : start + 4096] = generator.random(x[start : start + 4096].shape) < share
    return path


def bare(name: str, path: Path, batch: int, rows: int | None = None) -> float:
    """Seconds of a loop that does nothing but score, all rows or the first ones."""
    model = zoo.load(name)
    x = torch.from_numpy(np.load(path)[:rows]).float().view(-1, *model.event_shape)
    return seconds(lambda: over(x.split(batch), model.log_prob, len(x)))


def in_parts(name: str, path: Path) -> float:
    """Seconds of the same in parts, with reading and writing."""
    with tempfile.TemporaryDirectory() as folder:
        return run_parts(zoo.load(name), "score", Path(folder), inputs=(path,)).seconds


def speed(name: str, folder: Path, turns: int) -> float:
    """Rows per second in parts over those of the bare loop."""
    path = rows(folder / f"{name}.npy", CASES[name][1], CASES[name][0], CASES[name][2])
    best = min(BATCHES, key=lambda batch: bare(name, path, batch, CASES[name][1] // 8))
    pairs = [(in_parts(name, path), bare(name, path, best)) for _ in range(turns)]
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    n = CASES[name][1]
    print(f"{name}: bare {n / theirs:,.0f} rows/s (batches of {best}), parts {n / ours:,.0f}")
    return median(other / own for own, other in pairs)


def command(path: Path, out: Path, *more: str) -> list[str]:
    """The command that scores a table."""
    program = [sys.executable, "-m", "zoo_core", "run", "nade.nltcs", "--task", "score", "-q"]
    return [*program, "--input", str(path), "-o", f"{out}/", *more]


def evaluation(folder: Path) -> list[str]:
    """The command that measures the rows of a folder."""
    program = [sys.executable, "-m", "zoo_core", "eval", "nade.nltcs", "--metric", "test_nll"]
    return [*program, "--set", f"data={folder}:test"]


def peak(command: list[str]) -> int:
    """The most memory that a command takes, bytes."""
    code = f"import subprocess, resource; subprocess.run({command!r}, check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout.split()[-1])


def memory(folder: Path) -> list[str]:
    """The table of peaks, of ten parts and of one, line by line."""
    lines = ["| entry | task | rows | peak | of a tenth of the rows | ratio |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, (task, n) in MEMORY.items():
        part = n // SHARE
        peaks = [peak(bulk(name, task, count, part, folder)) for count in (n, part)]
        most, least = (f"{bytes_ / 1e6:,.0f} MB" for bytes_ in peaks)
        ratio = peaks[0] / peaks[1]
        lines.append(f"| `{name}` | {task} | {n:,} | {most} | {least} | {ratio:.2f} |")
        print(lines[-1], flush=True)
    return lines


def bulk(name: str, task: str, n: int, part: int, folder: Path) -> list[str]:
    """The command that does a task of a model of digits in parts of so many rows."""
    program = [sys.executable, "-m", "zoo_core", "run", name, "--task", task, "-q"]
    out = ["-o", f"{folder}/{name}-{n}/", "--part-rows", str(part)]
    if task == "sample":
        return [*program, *out, "-n", str(n)]
    path = rows(folder / f"digits-{n}.npy", n, 784, 0.13)
    return [*program, *out, "--input", str(path)]


def write(page: Path, lines: list[str]) -> None:
    """Replace the table of a page."""
    before, rest = page.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    page.write_text(before + "\n".join([MARKS[0], "", *lines, "", MARKS[1]]) + after)


def kill(path: Path, out: Path, times: int) -> None:
    """Kill the command at random moments, and then let it end."""
    small = ("--part-rows", "1000")
    span = seconds(lambda: subprocess.run(command(path, out, *small), check=True))
    shutil.rmtree(out)
    for _ in range(times):
        process = subprocess.Popen(command(path, out, *small))
        try:
            process.wait(random.uniform(0.3, 0.9) * span)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    subprocess.run(command(path, out, *small), check=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="peaks of one model of each kind")
    parser.add_argument("--write", type=Path, help="page whose table of peaks is replaced")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        with tempfile.TemporaryDirectory() as scratch:
            lines = memory(Path(scratch))
        if options.write:
            write(options.write, lines)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in CASES:
            print(f"{name}: ratio to the bare loop {speed(name, folder, options.turns):.2f}")
        few, many, some = (
            rows(folder / f"{n}.npy", n, 16, 0.33) for n in (1000, options.rows, 50_000)
        )
        ratio = peak(command(many, folder / "many")) / peak(command(few, folder / "few"))
        print(f"peak memory of {options.rows:,} rows over that of 1,000: {ratio:.2f}")
        splits = [folder / name for name in ("many-rows", "few-rows")]
        for split, table in zip(splits, (many, few), strict=True):
            split.mkdir()
            (split / "test.npy").symlink_to(table)
            (split / "train.npy").symlink_to(few)
        ratio = peak(evaluation(splits[0])) / peak(evaluation(splits[1]))
        print(f"of `zoo eval`: {ratio:.2f}")
        kill(some, folder / "killed", 10)
        subprocess.run(
            command(some, folder / "two", "--part-rows", "1000", "--devices", "2"), check=True
        )
        killed, two = (
            {path.name: path.read_bytes() for path in (folder / name).iterdir()}
            for name in ("killed", "two")
        )
        same = "the same bytes" if killed == two else "OTHER BYTES"
        print(f"after ten kills by one process, and by two: {same}")


if __name__ == "__main__":
    main()
