"""Every test has a store of its own and none of the caller's settings."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "zoo-home"))
    for name in ("REGISTRY", "OFFLINE", "PLUGINS", "DEBUG", "DATA"):
        monkeypatch.delenv(f"ZOO_{name}", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
