"""Samples without torch: those of torch by the same seed, or none."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import zoo_core as zoo
from factories import case_of, save_case
from zoo_core import loading, output
from zoo_core.cli import root
from zoo_core.errors import InvalidInput
from zoo_core.export.onnx import NotExported
from zoo_core.store import Store
from zoo_core.tasks import sampler

CASES = [
    ("nade", "autoregressive"),
    ("attention", "autoregressive"),
    ("dcgan", "adversarial"),
    ("vae", "latent"),
]

NEXT = "Use --engine torch, or leave --engine out"


def source(tmp_path: Path, architecture: str, family: str) -> loading.Source:
    return loading.open_source(save_case(case_of(architecture, family), tmp_path, "mine"))


def run(*args: object) -> Result:
    return CliRunner().invoke(root, ["run", *map(str, args)])


@pytest.mark.parametrize(("architecture", "family"), CASES)
def test_samples_are_those_of_torch(
    architecture: str, family: str, tmp_path: Path, onnxruntime: Any
) -> None:
    origin = source(tmp_path, architecture, family)
    made = sampler.export(origin)
    found = sampler.find(origin)
    assert found is not None
    for seed, n in ((0, 5), (2**63 - 1, 3)):
        wanted = zoo.run(origin.path, "sample", n=n, seed=seed)
        assert wanted.images is not None
        for one in (made, found):
            result = one.run(seed=seed, n=n, batch_size=2)
            assert result.summary == wanted.summary and result.suffixes == wanted.suffixes
            assert result.notes == wanted.notes
            x = np.asarray(result.images)
            assert x.dtype == np.float32 and np.abs(x - wanted.images.numpy()).max() < 1e-4


def test_a_temperature_is_that_of_torch(tmp_path: Path, onnxruntime: Any) -> None:
    origin = source(tmp_path, "nade", "autoregressive")
    made = sampler.export(origin)
    wanted = zoo.run(origin.path, "sample", n=50, seed=1, temperature=0.3)
    assert wanted.images is not None
    given = made.run(n=50, seed=1, temperature=0.3)
    assert np.array_equal(np.asarray(given.images), wanted.images.numpy())
    assert made.takes({"n": 3, "temperature": 0.3}) and not made.takes({"label": 1})


def test_other_weights_and_other_code_have_no_sampler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onnxruntime: Any
) -> None:
    origin = source(tmp_path, "nade", "autoregressive")
    assert sampler.find(origin) is None
    sampler.export(origin)
    monkeypatch.setattr(sampler.runtime, "code", lambda source: "other")
    assert sampler.find(origin) is None


def test_what_is_sampled_in_another_way_is_refused(tmp_path: Path, onnxruntime: Any) -> None:
    for architecture, family, why in (
        ("made", "autoregressive", "it has neither a decoder nor a step of its own"),
        ("infogan", "adversarial", "its latents are neither N.*"),
    ):
        folder = tmp_path / architecture
        folder.mkdir()
        origin = source(folder, architecture, family)
        said = f"mine cannot be sampled without torch: {why}. {NEXT}"
        with pytest.raises(InvalidInput, match=said):
            sampler.export(origin)
        assert not Store().sampler(origin.sha256).exists()


def test_a_model_of_tables_is_refused(onnxruntime: Any) -> None:
    with pytest.raises(InvalidInput, match=f"without torch: it is no model of images. {NEXT}"):
        sampler.export(loading.open_source("nade.nltcs"))


def test_what_cannot_be_written_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onnxruntime: Any
) -> None:
    def convert(model: object, function: object) -> None:
        raise NotExported("step of NADE cannot be written as ONNX: no such operation")

    monkeypatch.setattr("zoo_core.export.onnx.convert", convert)
    with pytest.raises(InvalidInput, match=f"torch: step of NADE .*: no such operation. {NEXT}"):
        sampler.export(source(tmp_path, "nade", "autoregressive"))


def test_a_step_of_one_input_at_a_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onnxruntime: Any
) -> None:
    monkeypatch.setattr("zoo_core.export.onnx.takes_one_input", lambda converted: True)
    with pytest.raises(InvalidInput, match="without torch: its step takes one input at a time"):
        sampler.export(source(tmp_path, "nade", "autoregressive"))


def test_the_command_says_which_engine_sampled(tmp_path: Path, onnxruntime: Any) -> None:
    path = save_case(case_of("nade", "autoregressive"), tmp_path, "mine")
    for engine in ("torch", "onnx", "auto"):
        by = () if engine == "auto" else ("--engine", engine)
        result = run(path, "-n", 4, "--seed", 3, *by, "-o", tmp_path / f"{engine}.png")
        assert result.exit_code == 0, result.output
        assert ("exporting mine for onnxruntime, once" in result.stderr) == (engine == "onnx")
    pictures = [Image.open(tmp_path / f"{e}.png").tobytes() for e in ("torch", "onnx", "auto")]
    assert pictures[0] == pictures[1] == pictures[2]
    said = [output.read_provenance(tmp_path / f"{e}.png") for e in ("torch", "onnx", "auto")]
    assert [one["engine"] for one in said] == ["torch", "onnxruntime", "onnxruntime"]
    assert "torch" not in said[2]["versions"] and "onnxruntime" in said[2]["versions"]
    assert {**said[2], "time": ""}.keys() == said[0].keys() - {"device", "dtype"}
    assert said[0]["command"] == said[2]["command"]
    for suffix in (".npz", ".safetensors", ".gif"):
        assert run(path, "--seed", 3, "-q", "-o", tmp_path / f"a{suffix}").exit_code == 0


def test_what_it_cannot_do_is_left_to_torch_or_refused(tmp_path: Path, onnxruntime: Any) -> None:
    path = save_case(case_of("nade", "autoregressive"), tmp_path, "mine")
    sampler.export(loading.open_source(path))
    args = (path, "--dtype", "float64", "-q", "-o")
    assert run(*args, tmp_path / "a.png").exit_code == 0
    assert output.read_provenance(tmp_path / "a.png")["engine"] == "torch"
    result = run(*args, tmp_path / "b.png", "--engine", "onnx")
    assert result.exit_code == 2 and "--engine onnx samples on the CPU" in result.stderr
    result = run(path, "-t", "score", "--engine", "onnx", "-o", tmp_path / "c.csv")
    assert result.exit_code == 2, result.output
    assert "is for the task sample, and mine would run score. Use --engine torch" in result.stderr
    result = run(path, "-q", "-o", f"{tmp_path}/parts/", "--engine", "onnx")
    assert result.exit_code == 2 and "not for a FOLDER/" in result.stderr


def test_an_entry_is_sampled_without_torch(tmp_path: Path, onnxruntime: Any) -> None:
    sample = ["zoo", "run", "nade.mnist", "-n", "2", "-o", str(tmp_path / "a.png")]
    code = (
        f"import sys\nsys.argv = {sample}\nfrom zoo_core.cli import main\ntry:\n    main()\n"
        "finally:\n    assert 'torch' not in sys.modules"
    )
    sampler.export(loading.open_source("nade.mnist"))
    subprocess.run([sys.executable, "-c", code], check=True)
    assert output.read_provenance(tmp_path / "a.png")["engine"] == "onnxruntime"


def test_a_sampler_goes_with_its_weights(tmp_path: Path, onnxruntime: Any) -> None:
    path = Store().sampler("a" * 64)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"1234")
    assert Store().garbage([]) == {path: "the sampler of what no registry names"}
    assert Store().garbage(["a" * 64]) == {}
    assert Store().remove("a" * 64) == 4 and not path.exists()
