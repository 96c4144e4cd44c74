import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from zoo_adversarial.gan import GAN
from zoo_autoregressive.attention import Attention
from zoo_autoregressive.nade import NADE

from zoo_core import loading, output
from zoo_core.cli import root, run
from zoo_core.tasks import running

Zoo = Callable[..., Result]


def weights(path: Path, *shape: int, **metadata: str) -> Path:
    torch.manual_seed(0)
    model = NADE(shape=shape, hidden=5)
    described = {
        "name": path.stem,
        "family": "autoregressive",
        "requires": "zoo-autoregressive>=0.1",
        "architecture": "nade",
        "config": {"shape": list(shape), "hidden": 5},
        "data": "bars-and-stripes-4",
    }
    loading.save(model, path, described | metadata)
    return path


def implicit() -> str:
    """The path of a GAN's weights, untrained."""
    config = {"shape": [1, 4, 4], "z": 3, "hidden": [4]}
    record = {"family": "adversarial", "requires": "zoo-adversarial", "architecture": "gan"}
    more = {"name": "gan.bars", "config": config, "data": "bars-and-stripes-4"}
    loading.save(GAN(**config), Path("gan.bars.safetensors"), record | more)  # type: ignore[arg-type]
    return "gan.bars.safetensors"


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Run the command in a folder that holds a model of images and one of a table."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    weights(Path("nade.bars.safetensors"), 1, 4, 4)
    weights(Path("nade.table.safetensors"), 12)

    def invoke(*args: str) -> Result:
        return CliRunner().invoke(root, ["run", *args], prog_name="zoo")

    return invoke


IMAGES, TABLE = "nade.bars.safetensors", "nade.table.safetensors"
BARS = "bars-and-stripes-4:test[0:5]"


def test_samples_become_a_png_and_its_path_is_printed(zoo: Zoo) -> None:
    result = zoo(IMAGES, "-n", "3", "--seed", "5")
    assert result.exit_code == 0
    assert result.stdout == "nade.bars-sample.png\n"
    assert result.stderr.startswith("3 samples from nade.bars (seed 5, 0.")
    assert result.stderr.endswith(" s) -> nade.bars-sample.png\n")
    provenance = output.read_provenance(Path("nade.bars-sample.png"))
    assert provenance["seed"] == 5
    assert (provenance["entry"], provenance["task"]) == ("nade.bars", "sample")
    assert (provenance["device"], provenance["dtype"]) == ("cpu", "float32")
    assert {"zoo-core", "zoo-autoregressive", "torch", "python"} == set(provenance["versions"])
    assert provenance["command"] == f"zoo run {IMAGES} -n 3 --seed 5"


def test_a_drawn_seed_is_said_and_repeats_the_samples(zoo: Zoo) -> None:
    first = zoo(IMAGES, "-n", "20", "-o", "a.png")
    provenance = output.read_provenance(Path("a.png"))
    seed = str(provenance["seed"])
    assert f"seed {seed}," in first.stderr
    assert zoo(IMAGES, "-n", "20", "-o", "b.png", "--seed", seed).exit_code == 0
    assert Image.open("a.png").tobytes() == Image.open("b.png").tobytes()


def test_the_next_default_name_is_free(zoo: Zoo) -> None:
    assert zoo(IMAGES).stdout == "nade.bars-sample.png\n"
    assert zoo(IMAGES).stdout == "nade.bars-sample-2.png\n"
    before = Path("nade.bars-sample.png").read_bytes()
    assert zoo(IMAGES, "--force", "-n", "3").stdout == "nade.bars-sample.png\n"
    assert Path("nade.bars-sample.png").read_bytes() != before
    assert not Path("nade.bars-sample-3.png").exists()


@pytest.mark.parametrize("name", [None, "a.png"], ids=["default", "given"])
def test_no_work_is_lost_to_a_name_that_is_taken_meanwhile(
    zoo: Zoo, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Path(name or "nade.bars-sample.png")

    run = running.run

    def while_another_writes(*args: Any, **settings: Any) -> Any:
        taken.write_text("another's")
        return run(*args, **settings)

    monkeypatch.setattr(running, "run", while_another_writes)
    result = zoo(IMAGES, *(["-o", name] if name else []))
    beside = taken.with_name(f"{taken.stem}-2.png")
    assert taken.read_text() == "another's"
    assert output.read_provenance(beside)["task"] == "sample"
    assert result.stdout == f"{beside}\n"
    assert result.exit_code == (2 if name else 0)
    assert ("another process wrote a.png" in result.stderr) is bool(name)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".npz", ".safetensors"])
def test_pictures_and_tensors_by_suffix(zoo: Zoo, suffix: str) -> None:
    result = zoo(IMAGES, "-n", "2", "-o", f"a{suffix}")
    assert result.exit_code == 0, result.stderr
    assert output.read_provenance(Path(f"a{suffix}"))["task"] == "sample"


def test_a_table_is_sampled_as_rows_that_can_be_scored(zoo: Zoo) -> None:
    assert zoo(TABLE, "-n", "4").stdout == "nade.table-sample.csv\n"
    result = zoo(TABLE, "--task", "score", "-i", "nade.table-sample.csv", "-o", "s.csv")
    assert result.exit_code == 0, result.stderr
    with Path("s.csv").open() as file:
        assert [row["input"] for row in csv.DictReader(file)] == [
            f"nade.table-sample.csv[{i}]" for i in range(4)
        ]


def test_a_table_is_no_picture(zoo: Zoo) -> None:
    result = zoo(TABLE, "-o", "a.png")
    assert result.exit_code == 2
    assert "Known are .csv, .json, .parquet, .npz, .safetensors." in result.stderr
    assert not Path("a.png").exists()


def test_scores_become_a_table_and_a_histogram(zoo: Zoo) -> None:
    result = zoo(IMAGES, "--task", "score", "-i", BARS)
    assert result.stdout == "nade.bars-score.csv\nnade.bars-score.png\n"
    assert "5 inputs scored by nade.bars (mean " in result.stderr
    assert "seed" not in result.stderr
    assert Path("nade.bars-score.csv.provenance.json").is_file()


def test_json_goes_to_the_standard_output(zoo: Zoo) -> None:
    result = zoo(IMAGES, "--task", "score", "-i", BARS, "--json", "-q")
    document = json.loads(result.stdout)
    assert document["outputs"] == []
    assert len(document["rows"]) == 5
    assert document["rows"][0]["bits_per_dim"] > 0
    assert document["provenance"]["task"] == "score"
    assert not list(Path().glob("*score*"))


def test_completions_become_a_picture(zoo: Zoo) -> None:
    result = zoo(IMAGES, "--task", "complete", "-i", BARS, "--samples", "2")
    assert result.exit_code == 0, result.stderr
    # a column of names, and 4 rows of 5 tiles of 96 pixels: inputs, the known part, two completions
    assert Image.open("nade.bars-complete.png").size == (100 + 5 * 98 - 2, 4 * 98 - 2)


def test_a_file_that_is_named_twice_is_written_once(zoo: Zoo) -> None:
    assert zoo(IMAGES, "-o", "a.png", "-o", "a.npz", "-o", "a.png").stdout == "a.png\na.npz\n"


def test_a_label_is_drawn_and_remembered(zoo: Zoo) -> None:
    config = {"shape": [1, 4, 4], "blocks": 1, "d": 8, "classes": 3}
    described = {
        "name": "attention.bars",
        "family": "autoregressive",
        "requires": "zoo-autoregressive>=0.1",
        "architecture": "attention",
        "config": config,
    }
    loading.save(Attention(**config), Path("attention.safetensors"), described)
    result = zoo("attention.safetensors", "--label", "0", "-n", "2", "--seed", "1")
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("2 samples of label 0 from attention.bars (seed 1, ")
    provenance = output.read_provenance(Path("attention.bars-sample.png"))
    assert provenance["command"].endswith("-n 2 --label 0 --seed 1")
    refused = zoo("attention.safetensors", "--label", "3")
    assert refused.exit_code == 2
    assert "--label 3: attention.bars has the labels 0 to 2." in refused.stderr


def test_quiet_leaves_the_path_only(zoo: Zoo) -> None:
    result = zoo(IMAGES, "-q")
    assert result.stdout == "nade.bars-sample.png\n"
    assert result.stderr == ""


def test_an_entry_is_pulled_and_run(
    zoo: Zoo,
    entry: Callable[..., dict[str, object]],
    write_registry: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import hashlib

    path = Path(IMAGES).resolve()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = {"url": str(path), "sha256": digest, "bytes": path.stat().st_size, "parameters": 181}
    made = entry(weights=record, config={"shape": [1, 4, 4], "hidden": 5})
    monkeypatch.setenv("ZOO_REGISTRY", str(write_registry(made)))
    result = zoo("nade")
    assert result.exit_code == 0, result.stderr
    assert output.read_provenance(Path("nade.mnist-sample.png"))["sha256"] == digest


def test_sampling_imports_no_more_than_it_needs(zoo: Zoo) -> None:
    program = (
        "import runpy, sys; sys.argv = ['zoo', 'run', sys.argv[1]]\n"
        "try: runpy.run_module('zoo_core', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = 'sympy torch._dynamo matplotlib timm torchvision lightning_fabric pandas'\n"
        "print([name for name in heavy.split() if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, IMAGES], capture_output=True, text=True, check=True
    )
    own = ["sympy"] if torch.__version__ < (2, 8) else []  # torch 2.7's, for arange without memory
    assert done.stdout.splitlines() == ["nade.bars-sample.png", str(own)]


# What is refused: before the model is loaded, and with nothing written


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["-n", "0"], 2, "-n is 0; expected a whole number of at least 1."),
        (["--temperature", "0"], 2, "--temperature is 0.0; expected a number above 0"),
        (["--temperature", "nan"], 2, "--temperature is nan; expected a number above 0"),
        (["--seed", "-1"], 2, "-1 is not in the range"),
        (["-o", "a.jpeg"], 2, "suffix '.jpeg' names no format that can be written here."),
        (["-o", "a"], 2, "a name without a suffix names no format"),
        (["-o", "a.pgn"], 2, "Did you mean .png? Known are .png, .gif, .csv, .json, .parquet"),
        (["-o", "a.csv"], 2, "Known are .png, .gif, .npz, .safetensors."),
        (["-o", "none/a.png"], 2, "the folder none does not exist"),
        (["--task", "transmute"], 3, "there is no task 'transmute'."),
        (
            ["--task", "transmute"],
            3,
            "nade.bars can sample, score, explain, detect, complete, nearest.",
        ),
        (
            ["--to", "noto"],
            2,
            "sample does not use --to: translate would, and this model",
        ),
        (["-i", BARS], 2, "sample does not use --input: name one that does, as --task score or"),
        (
            ["--keep", "top"],
            2,
            "sample does not use --keep: name one that does, as --task complete.",
        ),
        (["--samples", "4"], 2, "sample does not use --samples: name one that does, as --task co"),
        (
            ["--task", "score", "-i", BARS, "-n", "16"],
            2,
            "score does not use -n: name one that does, as --task sample or nearest.",
        ),
        (
            ["--task", "score", "-i", BARS, "--against", BARS],
            2,
            "score does not use --against: name one that does, as --task detect.",
        ),
        (
            ["--task", "score", "-i", BARS, "--label", "0"],
            2,
            "--label 0: nade.bars has no p(x | label): it is no density model",
        ),
        (["--set", "n=3"], 2, "zoo run has no --set: options of a task are flags. Write -n 3."),
        (["--set=a_b=3"], 2, "options of a task are flags. Write --a-b 3."),
        (["--sede", "3"], 2, "the task sample has no option --sede. Did you mean --seed"),
        (["--temperatur", "3"], 2, "Did you mean --temperature? It takes -n, --temperature, "),
        (
            ["--task", "manifold"],
            2,
            "nade.bars cannot manifold: it needs a generator that maps",
        ),
        (["--label", "7"], 2, "--label 7: nade.bars was trained without labels"),
        (["--label", "x"], 2, "--label is 'x'; expected a whole number."),
        (["--device", "quantum"], 2, "device 'quantum' cannot be used here"),
        (["--dtype", "int8"], 2, "dtype 'int8' is unknown: expected float32, bfloat16"),
        (["--task", "score"], 2, "this task needs inputs: give --input"),
        (["--task", "score", "-i", "nowhere"], 3, "data set 'nowhere' is unknown"),
    ],
)
def test_refusals(zoo: Zoo, options: list[str], code: int, text: str) -> None:
    result = zoo(IMAGES, *options)
    assert result.exit_code == code, result.output
    assert text in result.stderr
    assert {path.name for path in Path().iterdir()} == {IMAGES, TABLE}


def test_cuda_without_a_gpu(zoo: Zoo) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    result = zoo(IMAGES, "--device", "cuda")
    assert result.exit_code == 2
    assert "device 'cuda' cannot be used here" in result.stderr


def test_no_file_is_overwritten_and_no_model_loaded_for_it(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.png").write_text("precious")
    with monkeypatch.context() as patched:
        patched.setattr(loading, "load", lambda *_, **__: pytest.fail("loaded"))
        result = zoo(IMAGES, "-o", "a.png")
    assert result.exit_code == 2
    assert "a.png exists. Give another path, or --force" in result.stderr
    assert Path("a.png").read_text() == "precious"
    assert zoo(IMAGES, "-o", "a.png", "--force").exit_code == 0


def test_a_family_that_is_not_installed(zoo: Zoo) -> None:
    path = weights(Path("x.safetensors"), 4, family="flows", requires="zoo-flows>=0.1,<0.2")
    result = zoo(str(path))
    assert result.exit_code == 4
    assert "pip install 'zoo-flows>=0.1,<0.2'" in result.stderr


def test_a_task_that_the_model_cannot_do(zoo: Zoo) -> None:
    result = zoo(implicit(), "--task", "score")
    assert result.exit_code == 2
    can = "sample, interpolate, traverse, nearest"
    assert (
        f"gan.bars cannot score: it needs a model that gives the exact probability of any input "
        f"or a model whose likelihood is bounded. gan.bars can {can}." in result.stderr
    )
    assert "It can be sampled, but has no likelihood: no probability of an input" in result.stderr


def test_models_that_can_score_are_named_those_of_the_same_data_first(
    zoo: Zoo,
    published: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gan = implicit()
    registry = published("nade.a", "nade.b", "gan.c")
    text = registry.read_text().replace('data = "mnist"', 'data = "bars-and-stripes-4"', 2)
    text = text.replace('data = "bars-and-stripes-4"', 'data = "mnist"', 1)
    names, scoring = text.rsplit('tasks = ["sample", "score"]', 1)
    registry.write_text(f'{names}tasks = ["sample"]{scoring}')
    monkeypatch.setenv("ZOO_REGISTRY", str(registry))
    result = zoo(gan, "--task", "score")
    assert "Models that score: nade.b, nade.a.\n" in result.stderr
    assert "Models that" not in zoo(gan, "--task", "complete").stderr


def test_an_unknown_name(zoo: Zoo) -> None:
    assert zoo("nothing.like-this").exit_code == 3
    assert "does not exist" in zoo("none.safetensors").stderr


# On a terminal


def test_a_preview_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    wide = [{f"x{i}": i % 2 for i in range(30)}] * 18
    lines = run._preview(wide)
    assert lines[0] == "0101010101010101010…"
    assert lines[-1] == "… and 2 more"
    named = [{"input": "a.csv[0]"} | {f"x{i}": 1 for i in range(9)}]
    assert run._preview(named) == ["a.csv[0] 111111111"]
    narrow = [{"input": "a.png", "nats": 1.23456}]
    assert run._preview(narrow) == ["input  nats", "a.png  1.2346"]


def test_an_input_is_not_overwritten(zoo: Zoo, tmp_path: Path) -> None:
    row = ",".join("01" * 6) + "\n"
    (table := tmp_path / "own.csv").write_text(row)
    named = str(table)
    result = zoo(TABLE, "--task", "score", "--input", named, "-o", named, "-f")
    assert result.exit_code == 2
    assert f"--output {table} is read, too, and would be lost" in result.stderr
    assert table.read_text() == row
