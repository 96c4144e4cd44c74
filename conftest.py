"""Folders of tests run on every core; the tests of named files run in this process.

Each process computes with one thread, so that none competes with another.
"""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Drop the size of the terminal, which readline puts into the environment of the workers."""
    if hasattr(config, "workerinput"):
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """None, for as many processes as there are cores; 0 where to start them takes longer."""
    paths = [config.invocation_params.dir / name.partition("::")[0] for name in config.args]
    return None if any(path.is_dir() for path in paths) else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Set the threads of the processes before they start; commands in tests inherit the number."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
