"""Start-up of the commands that import nothing heavy, against `python -c "import click"`.

    python benchmarks/startup.py [--rounds 15] [--check]

Every round runs every command once, so that what else the machine does meets all of them alike;
figures are medians over rounds. A family whose import sleeps 2 s is installed throughout. The
bytecode is compiled, as after an installation; `uncompiled` runs zoo_core without it, as
where PYTHONDONTWRITEBYTECODE is set and nothing was compiled before. `--check` exits with 1 when a
goal is missed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import zoo_core

HEAVY = ("torch", "numpy", "timm", "torchvision", "matplotlib", "PIL", "fsspec", "slow_family")
MAX_MEGABYTES = 40.0

ENTRY = """
[[entry]]
name = "{name}"
summary = "A neural autoregressive distribution estimator of handwritten digits, raster order"
family = "autoregressive"
requires = "zoo-autoregressive>=0.1,<0.2"
architecture = "nade"
tasks = ["sample", "score", "detect", "complete"]
tags = ["explicit", "exact-likelihood", "binary"]
data = "mnist"
recipe = "plugins/autoregressive/recipes/nade.mnist.toml"
licence = {{code = "Apache-2.0", weights = "CC-BY-SA-3.0"}}
config = {{shape = [1, 28, 28], hidden = 500}}
[entry.weights]
url = "weights/{name}.safetensors"
sha256 = "{digest:064x}"
bytes = 3147000
parameters = 785284
[entry.paper]
title = "The Neural Autoregressive Distribution Estimator"
authors = "Larochelle & Murray"
year = 2011
[[entry.metrics]]
name = "test_nll"
value = 86.1
unit = "nats"
tolerance = 0.05
protocol = {{data = "mnist:test", binarize = "fixed", seed = 0}}
published = 85.65
"""


@dataclass
class Case:
    """One command, with what it costs."""

    name: str
    goal: float
    argv: list[str]
    env: dict[str, str]
    seconds: list[float] = field(default_factory=list)
    megabytes: float = 0.0

    def run(self) -> None:
        """Run it once and note time and peak memory."""
        start = time.perf_counter()
        process = subprocess.Popen(
            self.argv, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds.append(time.perf_counter() - start)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.megabytes = max(self.megabytes, usage.ru_maxrss / 1024)
        if process.returncode:
            raise SystemExit(f"{self.name}: exit code {process.returncode}")

    @property
    def median(self) -> float:
        """Median over the rounds, in seconds."""
        return statistics.median(self.seconds)


def environment(folder: Path, registry: str) -> dict[str, str]:
    """The user's environment, with a home of its own, the slow family and a registry."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "PYTHON", "XDG_"))}
    # HOME and not ZOO_HOME: finding the platform's cache folder is part of what users wait for.
    return env | {
        "HOME": str(folder / "home"),
        "ZOO_REGISTRY": str(folder / registry),
        "PYTHONPATH": str(folder / "site"),
        "COLUMNS": "80",
    }


def prepare(folder: Path) -> None:
    """Write the registries and install the slow family."""
    write_registry(folder / "few.toml", ["nade.mnist", "nade.dna"])
    write_registry(folder / "many.toml", ["nade.mnist", *(f"nade.n{n}" for n in range(999))])
    info = folder / "site" / "zoo_slow-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-slow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo.families.v1]\nslow = slow_family\n")
    (folder / "site" / "slow_family.py").write_text("import time\ntime.sleep(2)\n")
    package = Path(zoo_core.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, folder / "uncompiled" / "zoo_core", ignore=ignore)


def write_registry(path: Path, names: list[str]) -> None:
    """Write a registry of entries that differ in name and digest."""
    entries = (ENTRY.format(name=name, digest=n) for n, name in enumerate(names))
    path.write_text("schema = 1\n" + "".join(entries))


def cases(folder: Path) -> list[Case]:
    """The baseline, then every command that has a goal."""
    zoo = str(Path(sys.executable).parent / "zoo")
    commands = {
        "zoo --help": ([zoo, "--help"], {}),
        "zoo list": ([zoo, "list"], {}),
        "zoo show nade.mnist": ([zoo, "show", "nade.mnist"], {}),
        "completion of a command": ([zoo], completion("zoo sh", 1)),
        "completion of an entry": ([zoo], completion("zoo show na", 2)),
    }
    few, many = environment(folder, "few.toml"), environment(folder, "many.toml")
    bare = few | {"PYTHONDONTWRITEBYTECODE": "1"}
    bare["PYTHONPATH"] += os.pathsep + str(folder / "uncompiled")
    found = [Case('python -c "import click"', 1.0, [sys.executable, "-c", "import click"], few)]
    for title, env, goal in (("", few, 2.5), (", 1,000 entries", many, 4.0)):
        found += [Case(n + title, goal, a, env | extra) for n, (a, extra) in commands.items()]
    found += [
        Case(f"{n}, uncompiled", float("inf"), a, bare | extra)
        for n, (a, extra) in commands.items()
    ]
    return found


def completion(words: str, current: int) -> dict[str, str]:
    """What bash sets when the user presses tab."""
    return {"_ZOO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(current)}


def heavy_modules(case: Case) -> list[str]:
    """Run a command inside an interpreter that tells which heavy modules were imported."""
    code = (
        "import sys\nfrom zoo_core.cli import root\nsys.argv = ['zoo', *sys.argv[1:]]\n"
        "try:\n    root.main(prog_name='zoo')\nexcept SystemExit:\n    pass\n"
        f"print(*[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    argv = [sys.executable, "-c", code, *case.argv[1:]]
    result = subprocess.run(argv, env=case.env, capture_output=True, text=True, check=True)
    return result.stderr.splitlines()[-1].split()


def report(case: Case, base: float) -> bool:
    """Print a line; return whether the goals hold."""
    heavy = [] if case.name.startswith("python") else heavy_modules(case)
    ratio = case.median / base
    good = ratio <= case.goal and case.megabytes <= MAX_MEGABYTES and not heavy
    goal = "" if case.goal == float("inf") else f"{case.goal:4.1f}"
    print(
        f"{case.name:40} {case.median * 1000:7.1f} ms {ratio:5.2f} {goal:>5} "
        f"{case.megabytes:6.1f} MB  {'ok' if good else 'MISSED'} {' '.join(heavy)}"
    )
    return good


def main() -> int:
    """Measure, print, and judge when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        everything = cases(Path(name))
        for number in range(options.rounds + 1):
            for case in everything:
                case.run()
                if number == 0:  # a warm-up: writes bytecode and the registry's cache
                    case.seconds.clear()
        print(f"{'median of ' + str(options.rounds):40} {'time':>10} {'ratio':>5} {'goal':>5}")
        good = [report(case, everything[0].median) for case in everything]
    return int(options.check and not all(good))


if __name__ == "__main__":
    sys.exit(main())
