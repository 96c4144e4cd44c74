import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import packaging.specifiers  # noqa: F401 - before the path changes
import pytest

Make = Callable[[str], Path]


def test_the_pytest_plugin_runs_the_laws(
    make_family: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_family("broken")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "hooks or event or start"]
    done = subprocess.run(
        [sys.executable, *command, "--strict-markers", str(folder)],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_pytest_without_the_mark_imports_no_torch() -> None:
    code = "import sys, zoo_core.pytest_plugin; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
