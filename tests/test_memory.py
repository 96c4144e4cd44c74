"""How much memory there is, and what is refused because it needs more."""

from pathlib import Path

import pytest
import torch

from zoo_core import memory
from zoo_core.errors import InvalidInput


def test_memory_is_that_of_the_machine_or_of_its_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory.machine(torch.device("cpu"))
    assert whole is not None
    assert 2**28 < whole < 2**50
    (limit := tmp_path / "memory.max").write_text("1000000\n")
    monkeypatch.setattr(memory, "_LIMITS", (str(limit), str(tmp_path / "none")))
    assert memory.machine(torch.device("cpu")) == 1_000_000
    limit.write_text("max\n")
    assert (memory.machine(torch.device("cpu")) or 0) >= whole


def test_what_needs_more_than_there_is_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine", lambda device: 10**9)
    memory.require("it takes", 10**9, "Ask for fewer.")
    with pytest.raises(InvalidInput) as caught:
        memory.require("it takes", 2 * 10**12, "Ask for fewer.")
    assert str(caught.value) == (
        "it takes about 2,000.0 GB of memory, and there are 1.0 GB. Ask for fewer."
    )
    monkeypatch.setattr(memory, "machine", lambda device: None)
    memory.require("it takes", 2 * 10**12, "Ask for fewer.")
