"""The tasks of latent variables, on models whose latents are known, and on those of the family."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor, nn
from zoo_latent.aae import AAE
from zoo_latent.vae import VAE

import zoo_core
from zoo_core import loading, output, plugins, tasks
from zoo_core.cli import root
from zoo_core.cli.show import commands
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.hookspecs import Task
from zoo_core.protocols import Decoder, Encoder, LatentVariable, Traversal
from zoo_core.registry import Registry
from zoo_core.tasks.context import Context
from zoo_core.tasks.interpolate import arc, line
from zoo_core.tasks.manifold import plane
from zoo_core.tasks.result import Result
from zoo_core.tasks.traverse import walks

TASKS = ("encode", "reconstruct", "interpolate", "traverse", "manifold")
BARS = "bars-and-stripes"


class Logistic(nn.Module):
    """An implicit model whose variables are its latents: x = sigmoid(z), z ~ N(0, I)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.event_shape = shape or (1, 1, 2)
        self.latent_dim = math.prod(self.event_shape)

    def latent(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, self.latent_dim, generator=generator)

    def decode(self, z: Tensor) -> Tensor:
        return z.sigmoid().view(-1, *self.event_shape)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return self.decode(self.latent(n, generator=generator))


class Invertible(Logistic):
    """The same with the exact way back."""

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return x.flatten(1).logit()


class Uniform(Logistic):
    def latent(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return 2 * torch.rand(n, self.latent_dim, generator=generator) - 1


class Coded(Logistic):
    """It has a category of 12 values, and knows which walks and ways there are."""

    def __init__(self) -> None:
        super().__init__(1, 2, 7)

    def traversals(self) -> list[Traversal]:
        category = Traversal("cluster", tuple(range(2, 14)), torch.eye(12).tolist())
        return [category, Traversal("width", (0,), [(-2.0,), (0.0,), (2.0,)])]

    def path(self, z0: Tensor, z1: Tensor, steps: int) -> Tensor:
        return torch.stack([z0, z1]).repeat_interleave(steps // 2, 0)


class Knowing(Invertible):
    """Its last latent tells most of inputs, its first one without any."""

    def traversals(self, x: Tensor | None = None) -> list[Traversal]:
        order = [0, 1] if x is None else [1, 0]
        return [Traversal(f"z{i}", (i,), [(-1.0,), (1.0,)]) for i in order]


def run(task: str, model: nn.Module, *inputs: object, **options: Any) -> Result:
    loading.set_info(model, loading.Info(name="m", architecture=""))
    if inputs:
        options["inputs"] = tuple(map(str, inputs))
    return zoo_core.run(model.requires_grad_(False), task, **{"seed": 0, **options})


def grey(path: Path, *levels: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("L", (len(levels), 1))
    picture.putdata(levels)
    picture.save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Five pictures of two pixels in two classes."""
    for i, (kind, left) in enumerate(zip("aabbb", (10, 60, 110, 160, 210), strict=True)):
        grey(tmp_path / "pets" / kind / f"{i}.png", left, 255 - left)
    return tmp_path / "pets"


def latents(*left: int) -> Tensor:
    """What the pictures above are encoded to, (n, 2)."""
    return (torch.tensor([[a, 255 - a] for a in left]) / 255).logit()


# Which models can


def test_a_task_needs_its_protocol() -> None:
    decodes = ("sample", "interpolate", "traverse", "manifold", "nearest")
    assert tasks.able(Logistic()) == decodes
    assert tasks.able(Invertible()) == ("sample", *TASKS, "nearest")
    with pytest.raises(
        InvalidInput, match=r"gan\.x cannot reconstruct: .* gan\.x can sample, inter"
    ):
        tasks.choose("reconstruct", Logistic(), "gan.x")


def test_a_plane_needs_two_latents() -> None:
    assert "manifold" not in tasks.able(Logistic(1, 3, 3))
    message = r"^m cannot manifold: the task is for models of 2 latents, and it has 9\. m can sam"
    for inputs in ((), (BARS,)):
        with pytest.raises(InvalidInput, match=message):
            run("manifold", Invertible(1, 3, 3), *inputs)


@pytest.mark.parametrize("task", ["interpolate", "traverse", "manifold"])
def test_inputs_need_an_encoder(task: str, pets: Path) -> None:
    with pytest.raises(InvalidInput, match=rf"m has no encoder.*out: --task {task} works without"):
        run(task, Logistic(), pets)


@pytest.mark.parametrize("task", ["encode", "reconstruct"])
def test_a_task_of_inputs_asks_for_them(task: str) -> None:
    with pytest.raises(InvalidInput, match="give --input an image file, a folder, a table"):
        run(task, Invertible())


@pytest.mark.parametrize(
    ("task", "setting", "text"),
    [
        ("interpolate", {"steps": 1}, "steps is 1; expected a whole number of at least 2."),
        ("interpolate", {"path": "zigzag"}, "path is 'zigzag'; expected auto or line or arc."),
        ("interpolate", {"pairs": 0}, "pairs is 0; expected a whole number of at least 1."),
        ("traverse", {"rows": 0}, "rows is 0; expected a whole number of at least 1."),
        ("traverse", {"starts": -1}, "starts is -1; expected a whole number of at least 1."),
        ("manifold", {"side": 0}, "side is 0; expected a whole number of at least 1."),
        ("interpolate", {"temperature": 0.5}, "--temperature is for ways between prompts"),
        ("traverse", {"temperature": 0.5}, "the task traverse does not use temperature: name one"),
    ],
)
def test_options_that_do_not_work_are_explained(
    task: str, setting: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{text}"):
        run(task, Logistic(), **setting)


# Encoding


def test_latents_come_with_names_and_labels(pets: Path, tmp_path: Path) -> None:
    result = run("encode", Invertible(), pets, batch_size=2)
    assert torch.allclose(result.tensors["z"], latents(10, 60, 110, 160, 210))
    assert [row["label"] for row in result.rows] == list("aabbb")
    assert result.rows[0]["input"] == str(pets / "a" / "0.png")
    assert list(result.rows[0]) == ["input", "label", "z0", "z1"]
    result.save(tmp_path / "z.npz")
    with np.load(tmp_path / "z.npz", allow_pickle=False) as saved:
        assert saved["names"].tolist() == [row["input"] for row in result.rows]
        assert saved["classes"][saved["labels"]].tolist() == list("aabbb")
        assert saved["z"].shape == (5, 2)


def test_inputs_without_labels_have_none(pets: Path) -> None:
    result = run("encode", Invertible(), pets / "a" / "0.png")
    assert list(result.rows[0]) == ["input", "z0", "z1"]
    assert set(result.tensors) == {"z"}


# Reconstruction


def test_reconstructions_stand_below_their_inputs(tmp_path: Path) -> None:
    for i in range(20):
        grey(tmp_path / "x" / f"{i:02}.png", 5 + 10 * i, 99)
    result = run("reconstruct", Invertible(), tmp_path / "x")
    assert result.columns == 16
    assert list(result.names) == ["input", "reconstruction"] * 2
    assert result.images is not None
    rows = result.images.view(4, 16, 2)
    assert torch.allclose(rows[0], rows[1], atol=1e-6)
    assert torch.allclose(rows[2, :4], rows[3, :4], atol=1e-6)
    assert (rows[2:, 4:] == rows[2, 4, 0]).all()
    assert max(row["squared_error"] for row in result.rows) < 1e-10


def test_what_a_model_loses_is_its_error(pets: Path) -> None:
    model = Invertible()
    model.decode = lambda z: torch.zeros(len(z), 1, 1, 2)  # type: ignore[method-assign]
    result = run("reconstruct", model, pets / "b" / "2.png")
    expected = ((110 / 255) ** 2 + (145 / 255) ** 2) / 2
    assert result.rows[0]["squared_error"] == pytest.approx(expected)
    assert result.figures[1] == f"mean squared error {expected:.4f} a variable"


def test_a_table_is_reconstructed_as_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,1\n1,0,0\n")
    model = Invertible(3)
    model.levels = 2  # type: ignore[assignment]
    result = run("reconstruct", model, tmp_path / "t.csv")
    assert [[row[f"x{i}"] for i in range(3)] for row in result.rows] == [[0, 1, 1], [1, 0, 0]]
    assert result.images is None


# Interpolation


def test_a_line_is_even_and_an_arc_keeps_the_length() -> None:
    z0, z1 = torch.tensor([3.0, 0, 0]), torch.tensor([0.0, 0, 3])
    straight, bent = line(z0, z1, 7), arc(z0, z1, 7)
    for way in (straight, bent):
        assert torch.allclose(way[[0, -1]], torch.stack([z0, z1]), atol=1e-6)
        assert way.diff(dim=0).norm(dim=1).std() < 1e-5
    assert torch.allclose(bent.norm(dim=1), torch.tensor(3.0))
    assert torch.allclose(straight[3], (z0 + z1) / 2)
    assert torch.allclose(arc(z0, 2 * z1, 3)[1].norm(), torch.tensor(4.5))


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.0, 2.0])
def test_an_arc_without_a_plane_is_a_line(factor: float) -> None:
    z = torch.tensor([1.0, 2.0])
    assert torch.allclose(arc(z, factor * z, 5), line(z, factor * z, 5))


def test_ways_go_from_each_input_to_the_next(pets: Path) -> None:
    result = run("interpolate", Invertible(), pets, steps=5)
    z = latents(10, 60, 110, 160, 210)
    assert result.tensors["z"].shape == (4, 5, 2)
    assert torch.allclose(result.tensors["z"][:, 0], z[:-1], atol=1e-6)
    assert torch.allclose(result.tensors["z"][:, 2], (z[:-1] + z[1:]) / 2, atol=1e-6)
    assert torch.allclose(result.tensors["decoded"].flatten(2), result.tensors["z"].sigmoid())
    assert result.figures == ("5 steps", "along lines")
    assert result.columns == 5
    assert len(result.frames) == 8  # there and back, without stopping at the ends
    assert torch.equal(result.frames[3], result.frames[5])


def test_without_inputs_ways_are_arcs_between_draws() -> None:
    result = run("interpolate", Logistic(), seed=3, pairs=2, steps=3)
    ends = Logistic().latent(4, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(result.tensors["z"][:, [0, 2]].flatten(0, 1), ends)
    lengths = result.tensors["z"].norm(dim=2)
    assert torch.allclose(lengths[:, 1], (lengths[:, 0] + lengths[:, 2]) / 2)
    assert result.figures[1] == "along arcs"
    straight = run("interpolate", Logistic(), path="line").tensors["z"]
    assert torch.allclose(straight[:, 4], (straight[:, 0] + straight[:, 8]) / 2)


def test_a_model_that_knows_the_way_is_followed() -> None:
    result = run("interpolate", Coded(), steps=4)
    assert result.figures[1] == "the model's own path"
    assert torch.equal(result.tensors["z"][:, 0], result.tensors["z"][:, 1])
    asked = run("interpolate", Coded(), steps=4, path="line")
    assert not torch.equal(asked.tensors["z"][:, 0], asked.tensors["z"][:, 1])


def test_one_input_is_no_way(pets: Path) -> None:
    with pytest.raises(InvalidInput, match=r"is one input, and a way has two ends\. Give a second"):
        run("interpolate", Invertible(), pets / "a" / "0.png")


def test_ways_through_a_table_are_rows() -> None:
    result = run("interpolate", Logistic(3), steps=4, pairs=2)
    assert [(row["way"], row["step"]) for row in result.rows][4:6] == [
        ("draw 3 to 4", 0),
        ("draw 3 to 4", 1),
    ]
    assert list(result.rows[0]) == ["way", "step", "x0", "x1", "x2"]


# Traversal


def test_each_latent_is_walked_while_the_others_stay(pets: Path) -> None:
    result = run("traverse", Invertible(), pets)
    z, start = result.tensors["z"].view(2, 9, 2), latents(10)[0]
    assert torch.allclose(result.tensors["start"], start)
    for i in range(2):
        assert torch.allclose(z[i, :, 1 - i], start[1 - i])
        assert (z[i, :, i].diff() > 0).all()
    assert list(result.names) == ["z0", "z1"]
    assert result.figures == (f"from {pets / 'a' / '0.png'}",)


@pytest.mark.parametrize(("model", "end"), [(Logistic(), 3.0), (Uniform(), 1.0)])
def test_walks_end_at_three_deviations_or_where_the_prior_does(
    model: nn.Module, end: float
) -> None:
    for walk in walks(model, Context()):
        values = [value for (value,) in walk.values]
        assert values[0] == pytest.approx(-end, abs=0.06)
        assert values[-1] == pytest.approx(end, abs=0.06)
    assert walks(model, Context(seed=1)) == walks(model, Context(seed=2))


def test_a_models_own_walks_are_shown() -> None:
    result = run("traverse", Coded(), seed=1)
    z = result.tensors["z"]
    assert torch.equal(z[:12, 2:], torch.eye(12))
    assert (z[:12, :2] == z[0, :2]).all()
    assert z[12:, 0].tolist() == [-2, 0, 2]
    # twelve steps take two rows of ten, three steps leave seven places
    assert list(result.names) == ["cluster", "", "width"]
    assert result.images is not None
    assert (len(result.images), result.columns) == (30, 10)
    assert [len(frame) for frame in result.frames] == [2] * 12
    assert "from the top: cluster, width -2 to 2" in result.notes


def test_as_many_walks_and_starts_as_asked_for() -> None:
    result = run("traverse", Logistic(1, 1, 30), rows=3, starts=2)
    assert result.summary.startswith("3 of 30 walks")
    assert list(result.names) == [f"z{i}, start {k}" for i in range(3) for k in (1, 2)]
    assert result.tensors["start"].shape == (2, 30)


def test_inputs_say_which_latents_matter(pets: Path) -> None:
    assert list(run("traverse", Knowing()).names) == ["z0", "z1"]
    assert list(run("traverse", Knowing(), pets).names) == ["z1", "z0"]


def test_walks_through_a_table_are_rows() -> None:
    result = run("traverse", Logistic(3), rows=2)
    assert [row["varies"] for row in result.rows] == ["z0"] * 9 + ["z1"] * 9
    assert result.rows[1]["step"] == 1


# The plane


def test_the_plane_is_the_inverse_of_the_priors_distribution() -> None:
    z = plane(Logistic(), 5, Context()).view(5, 5, 2)
    exact = torch.distributions.Normal(0, 1).icdf((torch.arange(5) + 0.5) / 5)
    assert torch.allclose(z[0, :, 0], exact, atol=0.02)  # z0 grows to the right
    assert torch.allclose(z[:, 0, 1], exact.flip(0), atol=0.02)  # and z1 upwards
    uniform = plane(Uniform(), 5, Context()).view(5, 5, 2)[0, :, 0]
    assert torch.allclose(uniform, torch.linspace(-0.8, 0.8, 5), atol=0.02)


def test_the_plane_is_decoded_and_the_seed_does_not_matter() -> None:
    one, other = (run("manifold", Logistic(), seed=s, side=4) for s in (1, 2))
    assert one.images is not None
    assert other.images is not None
    assert torch.equal(one.images, other.images)
    assert one.images.shape == (16, 1, 1, 2)
    assert one.columns == 4
    assert torch.allclose(one.images.flatten(1), one.tensors["z"].sigmoid())


def test_inputs_are_dots_by_label(pets: Path, tmp_path: Path) -> None:
    result = run("manifold", Invertible(), pets)
    dots = {name: len(points) for name, points in result.points.items()}
    assert dots == {"a": 2, "b": 3}
    assert result.points["a"][1] == pytest.approx(latents(60)[0].tolist())
    result.save(tmp_path / "dots.png")
    assert output.read_provenance(tmp_path / "dots.png")["entry"] == "m"
    alone = run("manifold", Invertible(), pets / "a" / "0.png")
    assert list(alone.points) == ["inputs"]


def test_the_plane_of_a_table_is_rows() -> None:
    result = run("manifold", Logistic(2), side=2)
    assert list(result.rows[0]) == ["z0", "z1", "x0", "x1"]
    assert len(result.rows) == 4


# Real models


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


# From the command


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


def test_a_card_has_a_command_for_each_task(
    entry: Callable[..., dict[str, Any]],
    write_registry: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = list(plugins.own(Task))
    path = write_registry(entry(tasks=names))
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    shown = dict(commands(Registry.load().lookup("nade")))
    assert "zoo run nade.mnist --task traverse" in shown
    assert not set(names) & set(shown.values())  # each says what it does


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
