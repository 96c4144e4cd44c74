"""Sources are asked in turn, in rounds; tests/faults has what servers do."""

from pathlib import Path
from typing import Any

import pytest

from zoo_core import transfer
from zoo_core.errors import NetworkError
from zoo_core.partial import Partial
from zoo_core.sources import SourceError
from zoo_core.store import Blob
from zoo_core.transfer import fill

BLOB = Blob("0" * 64, 3, ())


@pytest.fixture
def partial(tmp_path: Path) -> Partial:
    return Partial(tmp_path / "blob", lambda more: None)


def test_pauses_grow_and_differ() -> None:
    one, two = list(transfer.pauses()), list(transfer.pauses())
    assert one != two
    assert one[-1] is None
    for number, pause in enumerate(one[:-1]):
        assert pause is not None
        assert 0.75 <= pause / (transfer.PAUSE * 2**number) <= 1.25


def test_a_source_that_may_answer_in_a_moment_is_asked_again(
    partial: Partial, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    slept: list[float] = []

    def read(source: str, *args: Any, **keywords: Any) -> Any:
        asked.append(source)
        raise SourceError("busy", transient=source != "s://gone", pause=7.0)

    monkeypatch.setattr(transfer, "read", read)
    monkeypatch.setattr("time.sleep", slept.append)
    with pytest.raises(NetworkError, match="Cannot fetch s://gone: busy"):
        fill(partial, BLOB, ["s://gone", "s://busy"])
    assert asked == ["s://gone", *["s://busy"] * transfer.ROUNDS]
    assert min(slept) == 7.0 and len(slept) == transfer.ROUNDS - 1
    assert "Cannot fetch s://busy: busy. Trying again in 7.0 seconds" in capsys.readouterr().err
    monkeypatch.setattr(transfer, "LONGEST", 2.0)
    slept.clear()
    with pytest.raises(NetworkError):
        fill(partial, BLOB, ["s://busy"])
    assert slept[0] == 2.0


def test_no_source_is_an_error(partial: Partial) -> None:
    with pytest.raises(Exception, match="names no source of sha256-000"):
        fill(partial, BLOB, [])
