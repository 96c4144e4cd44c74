"""What runs exported files, without torch."""

from pathlib import Path
from typing import Any

import pytest

from factories import case_of, save_case
from zoo_core import loading
from zoo_core.errors import InvalidInput
from zoo_core.export import onnx, runtime


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"needs no_such, .*pip install 'zoo-core\[onnx\]'"):
        runtime.require("no_such", "sys")


def test_a_damaged_file_is_named(tmp_path: Path, onnxruntime: Any) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(InvalidInput, match=r"a\.onnx is no function that zoo exported, or damaged"):
        runtime.load(path)


def test_a_file_runs_and_says_what_it_is(tmp_path: Path, onnxruntime: Any) -> None:
    source = loading.open_source(save_case(case_of("nade"), tmp_path, "mine"))
    ((_, path),) = onnx.write(loading.load(source), tmp_path, ["conditionals"])
    assert isinstance(path, Path)
    call, said = runtime.load(path)
    assert said["name"] == "mine" and len(runtime.code(source)) == 64
    (log_p,) = call(source_inputs(said))
    assert log_p.shape == (count_of(said), 9) and (log_p < 0).all()


def count_of(said: dict[str, Any]) -> int:
    return 1 if "n" in said else 2  # an older torch exports one input at a time


def source_inputs(said: dict[str, Any]) -> Any:
    import numpy as np

    return np.zeros((count_of(said), *said["model"]["event_shape"]), np.float32)
