"""The tasks of latent variables, on models of the latent family, from Python and the command."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn
from zoo_latent.aae import AAE
from zoo_latent.vae import VAE

from toy_models import run
from zoo_core import loading, output
from zoo_core.cli import root
from zoo_core.data import load_dataset
from zoo_core.protocols import Decoder, Encoder, LatentVariable

TASKS = ("encode", "reconstruct", "interpolate", "traverse", "manifold")


BARS = "bars-and-stripes"


def small(architecture: str, **config: Any) -> tuple[nn.Module, dict[str, Any]]:
    config = {"shape": [1, 3, 3], "z": 2, "hidden": [8], **config}
    torch.manual_seed(0)
    model: nn.Module = {"vae": VAE, "aae": AAE}[architecture](**config)
    return model, config


MODELS = {
    "vae": small("vae"),
    "aae": small("aae"),
    "supervised": small("aae", classes=3, prior="mixture", labels="prior"),
    "styles": small("aae", classes=3, labels="decoder"),
    "clusters": small("aae", clusters=3),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_latent_variable_models_do_them_all(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    import copy

    model = copy.deepcopy(MODELS[name][0]).to(dtype)
    assert isinstance(model, LatentVariable)
    assert isinstance(model, Encoder)
    assert isinstance(model, Decoder)
    for task in TASKS:
        if task == "manifold" and model.latent_dim != 2:
            continue
        inputs = () if task == "manifold" else (f"{BARS}:test[0:4]",)
        result = run(task, model, *inputs)
        for suffix in result.suffixes:
            result.save(tmp_path / f"{task}{suffix}")
            assert output.read_provenance(tmp_path / f"{task}{suffix}")["task"] == task


def test_a_class_is_walked_and_drawn() -> None:
    model, _ = MODELS["clusters"]
    result = run("traverse", model, f"{BARS}:test[0:4]")
    assert list(result.names) == ["cluster", "z0", "z1"]
    assert torch.equal(result.tensors["z"][:3, 2:], torch.eye(3))
    for label in range(3):
        drawn = run("sample", model, label=label, n=5)
        again = run("sample", model, label=label, n=5)
        assert torch.equal(drawn.tensors["samples"], again.tensors["samples"])
        assert drawn.summary == f"5 samples of label {label} from m"


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the command in a folder with the weights of each model above."""
    monkeypatch.chdir(tmp_path)
    for name, (model, config) in MODELS.items():
        described = {
            "name": f"{name}.bars",
            "family": "latent",
            "requires": "zoo-latent>=0.1",
            "architecture": "vae" if name == "vae" else "aae",
            "config": config,
            "data": BARS,
        }
        loading.save(model, Path(f"{name}.safetensors"), described)

    def invoke(*args: str) -> Any:
        return CliRunner().invoke(root, ["run", *args], prog_name="zoo")

    return invoke


@pytest.mark.parametrize(
    ("task", "options", "files"),
    [
        ("encode", ["-i", BARS], ["csv"]),
        ("reconstruct", ["-i", BARS], ["png"]),
        ("interpolate", ["-i", f"{BARS}:test[0:2]", "--steps", "3"], ["png", "gif"]),
        ("interpolate", ["--seed", "1"], ["png", "gif"]),
        ("traverse", ["--rows", "1"], ["png"]),
        ("manifold", ["--side", "3"], ["png"]),
        ("manifold", ["-i", BARS], ["png"]),
    ],
)
def test_each_task_writes_its_files(
    zoo: Callable[..., Any], task: str, options: list[str], files: list[str]
) -> None:
    result = zoo("vae.safetensors", "--task", task, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [f"vae.bars-{task}.{suffix}" for suffix in files]
    provenance = output.read_provenance(Path(f"vae.bars-{task}.{files[0]}"))
    assert (provenance["entry"], provenance["task"]) == ("vae.bars", task)


def test_latents_become_a_table(zoo: Callable[..., Any]) -> None:
    assert zoo("aae.safetensors", "--task", "encode", "-i", BARS).exit_code == 0
    with Path("aae.bars-encode.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["input", "label", "z0", "z1"]
    assert rows[3]["input"] == f"{BARS}:test[3]"


@pytest.mark.parametrize("name", ["supervised", "styles", "clusters"])
def test_an_adversarial_autoencoder_draws_a_class(zoo: Callable[..., Any], name: str) -> None:
    result = zoo(f"{name}.safetensors", "--label", "2", "-n", "3")
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(f"3 samples of label 2 from {name}.bars")


def test_the_latents_that_tell_most_of_inputs_come_first() -> None:
    model, _ = small("vae", z=4)
    assert isinstance(model, VAE)
    result = run("traverse", model, BARS)
    x = load_dataset(f"{BARS}:test").floats()
    order = model.kl_per_dimension(x).argsort(descending=True).tolist()
    assert [name.split()[0] for name in result.names] == [f"z{i}" for i in order]


def test_one_without_classes_says_so(zoo: Callable[..., Any]) -> None:
    result = zoo("aae.safetensors", "--label", "2")
    assert result.exit_code == 2
    assert "aae.bars was trained without labels" in result.stderr
    assert zoo("aae.safetensors", "--task", "score", "-i", BARS).exit_code == 2
