"""Tasks from Python: `zoo_core.run` has the options, defaults and checks of the command."""

import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from zoo_autoregressive.nade import NADE

import toy_models
import zoo_core as zoo
from factories import pictures
from zoo_core import loading, memory, output, tasks
from zoo_core.cli import root
from zoo_core.errors import InvalidInput, InvalidWeights, OutputExists, UnknownName

CONFIG = {"shape": (1, 4, 4), "hidden": 5}
PLANE: dict[str, Any] = {"shape": (1, 4, 4), "z": 2, "hidden": [4], "seed": 0}


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """The path of a NADE's weights, untrained."""
    path = tmp_path / "nade.bars.safetensors"
    zoo.save(zoo.create("nade", seed=0, **CONFIG), path, {"data": "bars-and-stripes-4"})
    return str(path)


def test_a_path_is_loaded_and_a_model_is_run_as_it_is(weights: str) -> None:
    by_path, by_model = (zoo.run(m, n=3, seed=1) for m in (weights, zoo.load(weights)))
    assert torch.equal(by_path.tensors["samples"], by_model.tensors["samples"])
    assert by_path.summary == "3 samples from nade.bars"
    assert len(zoo.run(weights).tensors["samples"]) == 16


def test_the_provenance_holds_what_it_takes_to_make_it_again(weights: str, tmp_path: Path) -> None:
    result = zoo.run(weights, "complete", inputs="bars-and-stripes-4:test[0:2]", samples=1)
    made = result.provenance
    assert (made["entry"], made["task"], made["architecture"]) == ("nade.bars", "complete", "nade")
    assert made["sha256"] == zoo.info(zoo.load(weights)).sha256
    assert {"zoo-core", "zoo-autoregressive", "torch", "python"} == set(made["versions"])
    command = shlex.split(made["command"])
    assert command[:5] == ["zoo", "run", weights, "--task", "complete"]
    again = CliRunner().invoke(root, [*command[1:], "-o", str(tmp_path / "again.npz")])
    assert again.exit_code == 0, again.output
    held = np.load(tmp_path / "again.npz")["completions"]
    assert np.array_equal(held, result.tensors["completions"].numpy())


def test_the_command_names_what_differs_from_the_defaults(weights: str) -> None:
    model = zoo.load(weights, dtype="float64")
    result = zoo.run(model, seed=3, batch_size=5, temperature=0.5)
    said = f"zoo run {weights} --temperature 0.5 --dtype float64 --batch-size 5 --seed 3"
    assert result.provenance["command"] == said
    assert zoo.run(model, "sample", seed=3).provenance["command"].endswith("float64 --seed 3")


def test_the_command_holds_no_password_of_an_address(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 16), np.uint8))
    monkeypatch.setattr("zoo_core.data.resolve.fetch", lambda _: tmp_path / "x.npy")
    result = zoo.run(weights, "score", inputs=["s3://me:secret@bucket/x.npy"])
    assert "--input s3://…@bucket/x.npy" in result.provenance["command"]
    result.save(tmp_path / "scores.csv")
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.glob("scores*"))


def test_an_untrained_model_runs_and_has_no_command() -> None:
    result = zoo.run(zoo.create("nade", seed=0, **CONFIG), seed=0)
    assert "command" not in result.provenance and "sha256" not in result.provenance
    assert result.provenance["entry"] == "nade"


def test_a_result_is_saved_as_what_the_task_writes(weights: str, tmp_path: Path) -> None:
    result = zoo.run(weights, n=2, seed=0)
    for suffix in result.suffixes:
        result.save(str(tmp_path / f"a{suffix}"))
        assert output.read_provenance(tmp_path / f"a{suffix}") == result.provenance
    with pytest.raises(InvalidInput, match=r"suffix '\.csv' .* Known are \.png, \.gif, \.npz, \.s"):
        result.save(tmp_path / "a.csv")
    with pytest.raises(OutputExists):
        result.save(tmp_path / "a.png")
    result.save(tmp_path / "a.png", force=True)


def test_a_model_in_training_is_evaluated_and_goes_on_training() -> None:
    class Dropping(nn.Module):
        event_shape = (1, 2, 2)

        def sample(
            self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
        ) -> torch.Tensor:
            return torch.full((n, 1, 2, 2), float(self.training))

    model = Dropping().train()
    assert not zoo.run(model, seed=0).tensors["samples"].any()
    assert model.training


@pytest.mark.parametrize(
    ("task", "options", "error", "text"),
    [
        (
            "sampel",
            {},
            UnknownName,
            "Did you mean sample? nade can sample, score, explain, detect, comp",
        ),
        ("traverse", {}, InvalidInput, "nade cannot traverse: it needs a generator that maps lat"),
        (3, {}, InvalidInput, "task is 3; expected text."),
        ("sample", {"stesp": 1}, InvalidInput, "has no option stesp. It takes n, temperature, l"),
        ("sample", {"temperatur": 1}, InvalidInput, "Did you mean temperature?"),
        ("score", {"n": 1}, InvalidInput, "does not use n: name one that does, as sample or nea"),
        ("sample", {"n": 0}, InvalidInput, "n is 0; expected a whole number of at least 1."),
        ("sample", {"n": "3"}, InvalidInput, "n is '3'; expected a whole number of at least 1."),
        ("sample", {"seed": -1}, InvalidInput, "seed is -1; expected a whole number of at least"),
        ("sample", {"batch_size": 0}, InvalidInput, "batch_size is 0; expected a whole number"),
        (
            "score",
            {"inputs": 3},
            InvalidInput,
            "an input is 3; expected a path, the name of a data",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    task: str, options: dict[str, object], error: type[Exception], text: str
) -> None:
    model = zoo.create("nade", seed=0, **CONFIG)
    with pytest.raises(error) as refused:
        zoo.run(model, task, **options)  # type: ignore[arg-type]
    assert text in str(refused.value)


def test_tensors_and_data_sets_are_inputs_as_files_are(weights: str) -> None:
    data = zoo.dataset("bars-and-stripes-4:test")[0:2]
    given: list[object] = ["bars-and-stripes-4:test[0:2]", data, data.floats(), [data.floats()]]
    nats = [zoo.run(weights, "score", inputs=one, seed=0).tensors["nats"] for one in given]
    assert all(torch.equal(one, nats[0]) for one in nats)
    result = zoo.run(weights, "score", inputs=data.floats(), seed=0)
    assert "command" not in result.provenance
    assert [row["input"] for row in result.rows] == ["inputs[0]", "inputs[1]"]


def test_the_registry_is_believed_only_as_far_as_the_model_goes(weights: str) -> None:
    source = loading.open_source(weights)
    assert tasks.running.task_for(source, None).name == "sample"
    assert tasks.running.task_for(source, "nearest").name == "nearest"
    assert isinstance(loading.blank(source), NADE)
    with pytest.raises(InvalidInput, match=r"nade\.bars cannot encode: .* nade\.bars can sample"):
        tasks.running.task_for(source, "encode")


def test_a_model_that_fails_by_the_weights_of_a_file_names_it(
    weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = zoo.load(weights)
    monkeypatch.setattr(model, "sample", lambda *args, **options: [][1])
    message = r"nade\.bars\.safetensors fails in use: IndexError: .* Take the file again"
    with pytest.raises(InvalidWeights, match=message):
        zoo.run(model, "sample")
    untrained = zoo.create("nade", **CONFIG)
    monkeypatch.setattr(untrained, "sample", lambda *args, **options: [][1])
    with pytest.raises(IndexError):
        zoo.run(untrained, "sample")


BITS = "bars-and-stripes-4:test[0:2]"


@pytest.mark.parametrize(
    ("task", "options", "text"),
    [
        ("sample", {"n": 10**11}, "100,000,000,000 samples of m take about 25,600.0 GB"),
        ("sample", {"n": 2**62}, "or for a folder of parts: `zoo run … -o FOLDER/`."),
        ("manifold", {"side": 10**6}, "side=1000000: 1,000,000,000,000 samples of m take"),
        ("interpolate", {"pairs": 10**11}, "200,000,000,000 samples of m take"),
        ("interpolate", {"steps": 10**11}, "steps=100000000000 pairs=4: 400,000,000,000"),
        ("interpolate", {"steps": 10**11, "inputs": BITS}, "steps=100000000000: 100,000,000,000"),
        ("traverse", {"starts": 10**11}, "starts=100000000000: 900,000,000,000 samples of m"),
        (
            "complete",
            {"samples": 10**11, "inputs": BITS},
            "samples=100000000000: 200,000,000,000",
        ),
    ],
)
def test_what_exceeds_memory_is_refused_before_it_is_made(
    task: str, options: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "machine", lambda device: 64 * 2**30)
    model = toy_models.nade() if task == "complete" else zoo.create("vae", **PLANE)
    start = time.process_time()
    with pytest.raises(InvalidInput) as refused:
        toy_models.run(task, model, **options)
    assert text in str(refused.value)
    assert "and there are 68.7 GB. Ask for fewer" in str(refused.value)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "task", ["score", "complete", "detect", "explain", "encode", "traverse", "nearest"]
)
def test_what_cannot_be_read_is_named_by_every_task(tmp_path: Path, task: str) -> None:
    model = (
        toy_models.nade(1, 1, 2) if task not in ("encode", "traverse") else toy_models.Invertible()
    )
    folder = pictures(tmp_path, 3, size=(2, 1))
    (folder / "001.png").write_bytes(b"no picture")
    options = {"k": 2} if task == "nearest" else {}
    result = toy_models.run(task, model, folder, **options)
    assert result.failed == (str(folder / "001.png"),)


def test_the_command_fails_where_an_input_cannot_be_read(weights: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 3, size=(4, 4))
    (folder / "001.png").write_bytes(b"no picture")
    for out in (str(tmp_path / "x.csv"), f"{tmp_path / 'parts'}/"):
        words = ["run", weights, "--task", "score", "-i", str(folder), "-o", out]
        done = CliRunner().invoke(root, words)
        assert done.exit_code == InvalidInput.exit_code
        assert "1 of the inputs could not be read as images" in done.stderr
    assert "2 rows in 1 part" in done.stderr
    again = CliRunner().invoke(root, words)  # what was done is not done again, nor forgotten
    assert "0 rows in 0 parts" in again.stderr
    assert again.exit_code == InvalidInput.exit_code and "in/001.png" in again.stderr
