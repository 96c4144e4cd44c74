"""Models outside of zoo: functions as ONNX, and a class with its weights as plain PyTorch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo_core import loading
from zoo_core.cli import root
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.export import Function, Value, functions, plain
from zoo_core.export import onnx as exporting
from zoo_core.testing import Case, cases


@pytest.fixture
def onnxruntime() -> Any:
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    return pytest.importorskip("onnxruntime")


def case_of(architecture: str, family: str = "autoregressive") -> Case:
    return next(case for case in cases(family) if case.architecture.name == architecture)


def weights(case: Case, folder: Path, name: str = "model") -> Path:
    path = folder / f"{name}.safetensors"
    loading.save(case.stirred(), path, {"name": name, **case.metadata()})
    return path


# What a model can do


def test_functions_follow_from_protocols() -> None:
    assert list(functions(case_of("nade").fresh())) == ["conditionals", "step"]
    assert list(functions(case_of("eonade").fresh())) == ["log_prob"]
    assert list(functions(case_of("vae", "latent").fresh())) == ["decode", "encode"]
    assert functions(nn.Linear(2, 2)) == {}


def test_a_model_names_functions_of_its_own() -> None:
    class Doubled(nn.Module):
        def exports(self) -> list[Function]:
            x = Value("x", ("n", 2), 0.0, 1.0)
            return [Function("double", "Twice", lambda x: 2 * x, (x,), (Value("y", ("n", 2)),))]

    assert list(functions(Doubled())) == ["double"]


def test_shapes_and_ranges_are_described() -> None:
    step = functions(case_of("nade").fresh())["step"]
    assert [value.as_dict() for value in step.inputs[:2]] == [
        {"name": "t", "shape": (), "low": 0, "high": 8, "dtype": "int64"},
        {"name": "x", "shape": ("n",), "low": 0, "high": 1, "levels": 2, "dtype": "float32"},
    ]
    assert [value.name for value in step.outputs] == ["logits", "next_state_0"]
    t, x, state = step.examples(5)
    assert (t.shape, x.shape) == ((), (5,))
    assert not state.any()


# ONNX


def test_a_file_says_what_it_is(tmp_path: Path, onnxruntime: Any) -> None:
    path = weights(case_of("nade"), tmp_path, "mine")
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
        )
        model = loading.load(tmp_path / "a.safetensors")
        ((_, path),) = exporting.write(model, tmp_path, ["decode"], force=True)
        sizes.append(path.stat().st_size)
        z = functions(model)["decode"].examples(3)
        (x,) = exporting.session(path)(z[0].numpy())
        with torch.no_grad():
            assert torch.allclose(torch.as_tensor(x), model.decode(z[0]), atol=1e-5)
    assert sizes[1] < 0.7 * sizes[0]


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
    assert exporting.fixed(exporting.convert(model, functions(model)["f"]))


def test_what_cannot_be_written_is_named_with_the_reason(onnxruntime: Any) -> None:
    class Eigen(nn.Module):
        def exports(self) -> list[Function]:
            x, y = Value("x", ("n", 2, 2)), Value("y", ("n", 2))
            return [Function("f", "Eigen", torch.linalg.eigvals, (x,), (y,))]

    model = Eigen()
    with pytest.raises(exporting.NotExported, match=r"f of Eigen cannot be written as ONNX: .+"):
        exporting.convert(model, functions(model)["f"])


def test_an_unknown_function_names_those_there_are(tmp_path: Path, onnxruntime: Any) -> None:
    model = loading.load(weights(case_of("nade"), tmp_path))
    with pytest.raises(UnknownName, match=r"no function 'stp'.*step.*It has conditionals, step"):
        list(exporting.write(model, tmp_path, ["stp"]))


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(InvalidInput, match=r"pip install 'zoo-core\[onnx\]'"):
        exporting.require("no_such_package")


# The command


def test_export_writes_a_file_for_each_function(tmp_path: Path, onnxruntime: Any) -> None:
    path = weights(case_of("bernoulli"), tmp_path)
    folder = tmp_path / "out"
    arguments = ["export", str(path), "-f", "conditionals", "-o", str(folder)]
    done = CliRunner().invoke(root, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert row["function"] == "conditionals" and Path(row["path"]).stat().st_size == row["bytes"]
    again = CliRunner().invoke(root, arguments)
    assert again.exit_code == 2 and "--force" in again.stderr
    assert CliRunner().invoke(root, [*arguments, "--force"]).exit_code == 0


def test_functions_are_of_onnx_alone(tmp_path: Path) -> None:
    done = CliRunner().invoke(root, ["export", "x", "-f", "step", "--format", "torch"])
    assert done.exit_code == 2 and "--function chooses ONNX files" in done.stderr


# Plain PyTorch

LOAD = """
import importlib, json, sys
import torch
from safetensors.torch import save_file
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[2].split(","):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
for name in sys.argv[3:]:
    model = importlib.import_module(name).load()
    if hasattr(model, "sample"):
        x = model.sample(2, generator=torch.Generator().manual_seed(0))
        save_file({"x": x.contiguous()}, f"{sys.argv[1]}/{name}.sample.safetensors")
"""


def test_every_architecture_loads_without_zoo(tmp_path: Path) -> None:
    """In a process where neither zoo nor its families can be imported, with equal samples."""
    models = {}
    for case in cases():
        name = case.architecture.name.replace("-", "_")
        path = weights(case, tmp_path, name)
        models[name] = model = loading.load(path)
        folder = tmp_path / "out"
        source = loading.open_source(path)
        assert [p.suffix for p in plain.write(model, source, folder)] == [".py", ".safetensors"]
    blocked = {"zoo_core", *(case.cls.__module__.partition(".")[0] for case in cases())}
    arguments = [str(tmp_path / "out"), ",".join(blocked), *models]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, model in models.items():
        if not hasattr(model, "sample"):
            continue
        x = load_file(tmp_path / "out" / f"{name}.sample.safetensors")["x"]
        assert torch.equal(x, model.sample(2, generator=torch.Generator().manual_seed(0))), name
