"""Checksums of the weights while a run trains."""

from pathlib import Path

import pytest
import torch
from torch import nn
from toy_training import Bias, loop_of

from zoo_core.training.checksums import Checksums, checksum, read_checksums
from zoo_core.training.patience import TimeLimit


def test_powers_of_two_have_one_and_a_resumed_run_gives_the_same(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    loop_of(whole, Checksums(), epochs=5).run()
    lines = read_checksums(whole)
    assert [line.partition(":")[0] for line in lines] == ["0", "1", "2", "4", "8"]
    assert len({line.partition(":")[2] for line in lines}) == 5, "each step moved the weights"
    loop_of(parts, Checksums(), TimeLimit(0.0), epochs=5).run()
    # an attempt that was killed later than its last checkpoint
    with (parts / "checksums.txt").open("a") as file:
        file.write("2:0123456789abcdef\n4:0123")
    loop_of(parts, Checksums(), epochs=5).run(resume=True)
    assert read_checksums(parts) == lines


def test_a_run_from_the_start_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "checksums.txt").write_text("0:0123456789abcdef\n")
    loop_of(tmp_path, Checksums(), epochs=1).run()
    assert [line[:2] for line in read_checksums(tmp_path)] == ["0:", "1:", "2:"]
    assert "0:0123456789abcdef" not in read_checksums(tmp_path)


def test_a_folder_without_them_has_none(tmp_path: Path) -> None:
    assert read_checksums(tmp_path) == ()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_every_bit_and_name_counts(dtype: torch.dtype) -> None:
    model = Bias().to(dtype)
    before = checksum({"model": model})
    assert len(before) == 16
    assert checksum({"model": model}) == before != checksum({"other": model})
    model.value.data = -model.value.data
    assert checksum({"model": model}) != before, "-0 is not 0"


def test_what_is_no_parameter_counts_too() -> None:
    norm = nn.BatchNorm1d(2)
    before = checksum({"model": norm})
    norm.num_batches_tracked += 1
    assert checksum({"model": norm}) != before
