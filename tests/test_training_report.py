"""The rows of `metrics.jsonl` that a resumed run goes on from."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from zoo_core.training.report import Report, Reporting


def test_a_value_of_some_steps_is_the_mean_of_those(tmp_path: Path) -> None:
    loop: Any = SimpleNamespace(
        folder=tmp_path,
        fabric=SimpleNamespace(is_global_zero=True, world_size=1),
        recipe=SimpleNamespace(epochs=1),
        batches=SimpleNamespace(steps_per_epoch=6),
        progress=SimpleNamespace(step=0, epoch=0),
        optimizers=SimpleNamespace(rates={}),
    )
    reporting = Reporting(quiet=True)
    reporting.begin(loop)
    for step in range(1, 7):
        loop.progress.step = step
        own = {"spread": torch.tensor(2.0)} if step % 2 else {}
        reporting.after_step(loop, {"loss": torch.tensor(float(step)), **own})
    reporting.end(loop)
    (row,) = reporting.report.rows if reporting.report else ()
    assert (row["loss"], row["spread"]) == (3.5, 2.0)


def test_rows_that_are_none_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "metrics.jsonl"
    damaged = [
        b"nothing",
        b"\xff",
        b"[1]",
        b'{"loss": 1}',
        b'{"step": "1"}',
        b'{"step": 1, "loss": [2]}',
        b'{"step": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ]
    rows = [b'{"step": 1, "nll": 2.5}', *damaged, b'{"step": 2, "nll": NaN}', b'{"step": 9}']
    path.write_bytes(b"\n".join(rows) + b'\n{"step": 3, "nl')
    report = Report(tmp_path, 9, 5, quiet=True)
    report.close()
    assert [row["step"] for row in report.rows] == [1, 2]
    assert path.read_text() == '{"step": 1, "nll": 2.5}\n{"step": 2, "nll": NaN}\n'
    said = capsys.readouterr().err
    assert f"{path}: {len(damaged)} of its lines, from line 2 on, are no rows of numbers" in said


def test_half_a_line_at_the_end_is_nothing_to_speak_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"st')
    report = Report(tmp_path, 9, 5, quiet=True)
    report.close()
    assert (report.rows, capsys.readouterr().err) == ([{"step": 1}], "")


def test_a_line_without_end_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n')
    os.truncate(path, 2 * 10**9)  # takes no place on the disk
    report = Report(tmp_path, 9, 5, quiet=True)
    report.close()
    assert report.rows == [{"step": 1}] and path.stat().st_size == 12
    assert "1 of its lines, from line 2 on, are no rows of numbers" in capsys.readouterr().err
