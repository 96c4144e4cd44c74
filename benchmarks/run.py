"""`zoo run nade.mnist -n 16` from a warm store, against importing torch alone.

    uv run python benchmarks/run.py [--rounds 9]

The two take turns. The time of the sampling, which the command prints, is taken off first.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORT = [sys.executable, "-c", "import torch, safetensors.torch"]


def timed(argv: list[str]) -> tuple[float, str]:
    """Seconds that a command takes, and what it says on stderr."""
    start = time.perf_counter()
    result = subprocess.run(argv, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, result.stderr


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    zoo = str(Path(sys.executable).parent / "zoo")
    rows: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        run = [zoo, "run", "nade.mnist", "-n", "16", "--seed", "0", "--force"]
        run += ["-o", f"{folder}/digits.png"]
        for number in range(options.rounds + 1):
            base, _ = timed(IMPORT)
            whole, said = timed(run)
            sampling = float(re.search(r"([\d.]+) s\)", said)[1])  # type: ignore[index]
            if number:  # the first round warms the store and the disk
                rows.append((base, whole, sampling))
    base, whole, sampling = (statistics.median(column) for column in zip(*rows, strict=True))
    ratio = statistics.median((w - s) / b for b, w, s in rows)
    print(f"import torch, safetensors.torch   {base:6.2f} s")
    print(f"zoo run nade.mnist -n 16          {whole:6.2f} s, of which sampling {sampling:.2f} s")
    print(f"ratio without sampling            {ratio:6.2f}")


if __name__ == "__main__":
    main()
