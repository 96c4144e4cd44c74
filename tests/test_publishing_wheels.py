"""Wheels of what is installed."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo_core.errors import InvalidInput
from zoo_core.publishing import wheels


def hashed(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest},{len(data)}"


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution of one module, as pip would from a wheel."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def write(name: str, *needs: str, tags: tuple[str, ...] = ("py3-none-any",)) -> Path:
        module = name.replace("-", "_")
        info = f"{module}-1.0.dist-info"
        needed = "".join(f"Requires-Dist: {each}\n" for each in needs)
        files = {
            f"{module}.py": f"NAME = {name!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needed}",
            f"{info}/WHEEL": "".join(["Wheel-Version: 1.0\n", *(f"Tag: {tag}\n" for tag in tags)]),
            f"{info}/INSTALLER": "pip\n",
            f"{module}_vendor/other-2.0.dist-info/METADATA": "Name: other\n",
            f"__pycache__/{module}.cpython-311.pyc": "compiled",
        }
        (site / info).mkdir(parents=True)
        (site / f"{module}_vendor/other-2.0.dist-info").mkdir(parents=True)
        (site / "__pycache__").mkdir(exist_ok=True)
        lines = ["../bin/a-script,,"]
        for path, text in files.items():
            (site / path).write_text(text)
            lines.append(f"{path},{hashed(text.encode())}")
        (site / info / "RECORD").write_text("\n".join([*lines, f"{info}/RECORD,,"]))
        return site / info

    return write


def test_a_wheel_is_made_again_of_each_that_is_needed(install: Install, tmp_path: Path) -> None:
    install("toy-a", "toy-b[more]>=0.5", "toy-d; extra == 'never'")
    install("toy-b", "toy-c; extra == 'more'", "nowhere; python_version < '3'")
    install("toy-c", tags=("py2-none-any", "py3-none-any"))
    written = wheels.write(["toy-a>=1"], tmp_path / "wheels")
    assert written == [
        "toy_a-1.0-py3-none-any.whl",
        "toy_b-1.0-py3-none-any.whl",
        "toy_c-1.0-py2.py3-none-any.whl",
    ]
    with zipfile.ZipFile(tmp_path / "wheels" / written[0]) as wheel:
        info = "toy_a-1.0.dist-info"
        assert wheel.namelist() == [
            f"{info}/METADATA",
            f"{info}/WHEEL",
            "toy_a.py",
            "toy_a_vendor/other-2.0.dist-info/METADATA",
            f"{info}/RECORD",
        ]
        record = wheel.read(f"{info}/RECORD").decode().splitlines()
        assert f"toy_a.py,{hashed(wheel.read('toy_a.py'))}" in record
        assert record[-1] == f"{info}/RECORD,,"
    again = wheels.write(["toy-a"], tmp_path / "again")
    for name in again:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "wheels" / name).read_bytes()


def test_an_installer_takes_the_wheels(install: Install, tmp_path: Path) -> None:
    """Without a network, into a place that has never seen them."""
    install("toy-a", "toy-b")
    install("toy-b")
    wheels.write(["toy-a"], tmp_path / "wheels")
    for tool in ([sys.executable, "-m", "pip"], ["uv", "pip"]):
        flags = ["--no-index", "--find-links", str(tmp_path / "wheels"), "--target"]
        try:
            done = subprocess.run(
                [*tool, "install", *flags, str(tmp_path / "new"), "toy-a"],
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            break
    else:
        pytest.skip("there is neither pip nor uv that can install here")
    code = "import toy_a, toy_b; print(toy_a.NAME, toy_b.NAME)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "new")}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert ran.stdout == "toy-a toy-b\n"


def test_what_no_wheel_can_be_made_of_is_named(install: Install, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere-7 can be made: it is not installed"):
        wheels.write(["nowhere-7"], tmp_path / "1")
    info = install("toy-a")
    (info.parent / "toy_a.py").unlink()
    with pytest.raises(InvalidInput, match=r"toy-a can be made: toy_a.py cannot be read \(No such"):
        wheels.write(["toy-a"], tmp_path / "2")
    (info / "WHEEL").unlink()
    with pytest.raises(InvalidInput, match="toy-a can be made: it was not installed from one"):
        wheels.write(["toy-a"], tmp_path / "3")


def test_what_is_installed_from_its_source_is_built(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = install("toy-a")
    place = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(place))
    asked: list[list[str]] = []

    def run(command: list[str], **keywords: object) -> "subprocess.CompletedProcess[str]":
        asked.append(command)
        Path(command[-2], "toy_a-1.0-py3-none-any.whl").touch()
        return subprocess.CompletedProcess(command, len(asked) - 1, "", "why\nno backend")

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert wheels.write(["toy-a"], tmp_path / "1") == ["toy_a-1.0-py3-none-any.whl"]
    assert asked[0][:3] == ["/bin/uv", "build", "--wheel"] and asked[0][-1] == str(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InvalidInput, match="can be built: no backend"):
        wheels.write(["toy-a"], tmp_path / "2")
    assert asked[1][1:4] == ["-m", "pip", "wheel"]
