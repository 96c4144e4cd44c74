"""Whole commands with and without `keep_freed`, which has glibc use freed memory again.

    uv run python benchmarks/memory.py [--rounds 3] ['eval row-lstm.mnist' …]

The two take turns, in processes of their own with one thread. Shown are seconds of the processor
and the largest memory.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = [
    f"eval {name} --metric test_nll"
    for name in ("nade.mnist", "pixelcnn.mnist", "row-lstm.mnist", "diagonal-bilstm.mnist")
]
COMMANDS.append("train --like bernoulli.mnist -q --force -o FOLDER/run")


def used(command: str, **more: str) -> tuple[float, float]:
    """Seconds of the processor and megabytes that a command takes."""
    zoo = str(Path(sys.executable).parent / "zoo")
    process = subprocess.Popen(
        [zoo, *command.split()],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | more,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"zoo {command} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", default=COMMANDS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("ratio  seconds        MB           command")
    with tempfile.TemporaryDirectory() as folder:
        for command in options.commands:
            line = command.replace("FOLDER", folder)
            returned, kept = [], []
            for _ in range(options.rounds):
                # it changes nothing, but a user's setting stands in the place of keep_freed
                returned.append(used(line, GLIBC_TUNABLES="glibc.malloc.perturb=0"))
                kept.append(used(line))
            pairs = zip(returned, kept, strict=True)
            ratio = statistics.median(before[0] / after[0] for before, after in pairs)
            seconds, size = (
                " → ".join(
                    f"{statistics.median(u[i] for u in side):5.0f}" for side in (returned, kept)
                )
                for i in (0, 1)
            )
            print(f"{ratio:5.2f}  {seconds}  {size}  {command}", flush=True)


if __name__ == "__main__":
    main()
