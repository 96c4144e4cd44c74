"""ONNX files: what they say and compute, and what cannot be one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from factories import case_of, save_case
from zoo_core import loading
from zoo_core.columns import Column, set_columns
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.export import Function, Value, functions
from zoo_core.export import onnx as exporting


def test_a_file_says_what_it_is(tmp_path: Path, onnxruntime: Any) -> None:
    path = save_case(case_of("nade"), tmp_path, "mine")
    model = loading.load(path)
    ((name, written),) = exporting.write(model, tmp_path / "out", ["step"])
    assert (name, written) == ("step", tmp_path / "out" / "step.onnx")
    session = onnxruntime.InferenceSession(written)
    said = json.loads(session.get_modelmeta().custom_metadata_map["zoo"])
    assert said["name"] == "mine" and said["architecture"] == "nade"
    assert said["weights_sha256"] == loading.info(model).sha256
    assert said["model"]["order"] == list(range(9))
    assert said["function"]["inputs"][0]["dtype"] == "int64"
    assert [value.name for value in session.get_inputs()] == ["t", "x", "state_0"]
    assert "columns" not in said["model"]
    columns = [Column(f"c{i}", "binary", ("no", "yes"), required=True) for i in range(9)]
    set_columns(model, columns)
    assert exporting.metadata(model, functions(model)["step"])["model"]["columns"] == [
        column.table() for column in columns
    ]


def test_weights_in_half_precision_are_stored_so(tmp_path: Path, onnxruntime: Any) -> None:
    case = case_of("vae", "latent")
    config = {**case.config, "shape": [1, 8, 8], "hidden": [64]}
    sizes = []
    for dtype in ("float32", "float16"):
        loading.save(
            loading.build(case.cls, config),
            tmp_path / "a.safetensors",
            {**case.metadata(), "config": config},
            dtype=dtype,
            force=True,
        )
        model = loading.load(tmp_path / "a.safetensors")
        ((_, path),) = exporting.write(model, tmp_path, ["decode"], force=True)
        sizes.append(path.stat().st_size)
        z = functions(model)["decode"].examples(3)
        (x,) = exporting.session(path)(z[0].numpy())
        with torch.no_grad():
            assert torch.allclose(torch.as_tensor(x), model.decode(z[0]), atol=1e-5)
    assert sizes[1] < 0.7 * sizes[0]


def test_a_masked_layer_is_one_matrix(tmp_path: Path, onnxruntime: Any) -> None:
    """Where its connections belong takes four times as much as they do."""
    case = case_of("made")
    config = {**case.config, "shape": [1, 12, 12], "hidden": [200], "direct": False}
    path = tmp_path / "a.safetensors"
    loading.save(loading.build(case.cls, config), path, {**case.metadata(), "config": config})
    ((_, file),) = exporting.write(loading.load(path), tmp_path, ["conditionals"])
    assert file.stat().st_size < 4 * 2 * 200 * 144 + 20_000


def test_log_probabilities_far_from_zero_are_finite(onnxruntime: Any) -> None:
    """The exporter's own log(sigmoid(x)) is −inf at −200."""

    class Far(nn.Module):
        def exports(self) -> list[Function]:
            x, y = Value("x", ("n",)), Value("y", ("n",))
            return [Function("f", "log p", nn.functional.logsigmoid, (x,), (y,))]

    model = Far()
    run = exporting.session(exporting.convert(model, functions(model)["f"]))
    (y,) = run(torch.tensor([-200.0, 0.0, 200.0]).numpy())
    assert y.tolist() == pytest.approx([-200.0, -0.6931472, 0.0])


def test_a_number_made_of_the_batch_fixes_it(onnxruntime: Any) -> None:
    class Fixed(nn.Module):
        def exports(self) -> list[Function]:
            def f(x: Tensor) -> Tensor:
                return x + torch.arange(len(x))

            return [Function("f", "Sum", f, (Value("x", ("n",)),), (Value("y", ("n",)),))]

    model = Fixed()
    assert exporting.takes_one_input(exporting.convert(model, functions(model)["f"]))


def test_what_cannot_be_written_is_named_with_the_reason(onnxruntime: Any) -> None:
    class Eigen(nn.Module):
        def exports(self) -> list[Function]:
            x, y = Value("x", ("n", 2, 2)), Value("y", ("n", 2))
            return [Function("f", "Eigen", torch.linalg.eigvals, (x,), (y,))]

    model = Eigen()
    with pytest.raises(exporting.NotExported, match=r"f of Eigen cannot be written as ONNX: .+"):
        exporting.convert(model, functions(model)["f"])


def test_an_unknown_function_names_those_there_are(tmp_path: Path, onnxruntime: Any) -> None:
    model = loading.load(save_case(case_of("nade"), tmp_path))
    with pytest.raises(UnknownName, match=r"no function 'stp'.*step.*It has conditionals, step"):
        list(exporting.write(model, tmp_path, ["stp"]))


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(InvalidInput, match=r"pip install 'zoo-core\[onnx\]'"):
        exporting.require("no_such_package")
