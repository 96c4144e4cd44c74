"""The task translate: into one domain or all, and what it says of inputs that it cannot read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from zoo_adversarial.stargan import StarGAN

from factories import square
from toy_models import Dimmer, run
from zoo_core import loading, tasks
from zoo_core.cli import root
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.tasks.result import Result as Done

STYLES = ("noto", "openmoji", "fluent")


def translate(*inputs: str, to: str) -> Done:
    return run("translate", Dimmer(), *inputs, to=to, batch_size=2)


def test_a_translator_can_translate_and_no_more() -> None:
    assert tasks.able(Dimmer()) == ("translate",)


def test_one_domain_gives_translations_beside_their_inputs(tmp_path: Path) -> None:
    inputs = [square(tmp_path / f"{i}.png", 51 * i, 0, 0) for i in range(3)]
    result = translate(*inputs, to="half")
    assert result.images is not None
    assert result.images[:, 0, 0, 0].tolist() == pytest.approx([0, 0, 0.2, 0.1, 0.4, 0.2])
    assert result.columns == 2 and result.headings == ["input", "half"]
    assert torch.equal(result.tensors["half"], result.images[1::2])
    assert result.texts == {"names": tuple(inputs)}
    assert result.summary == "3 inputs translated to half by m"
    assert not result.failed


def test_one_input_into_one_domain_is_that_picture_alone(tmp_path: Path) -> None:
    result = translate(square(tmp_path / "a.png", 51, 0, 0), to="half")
    assert result.images is not None and result.images.shape[0] == 1
    assert result.columns is None and not result.headings


def test_all_domains_are_columns_beside_the_input(tmp_path: Path) -> None:
    for i in (1, 2):
        square(tmp_path / f"{i}.png", 51 * i, 0, 0)
    result = translate(str(tmp_path), to="all")
    assert result.images is not None
    assert result.columns == 3
    expected = [0.2, 0.1, 0, 0.4, 0.2, 0]
    assert result.images[:, 0, 0, 0].tolist() == pytest.approx(expected)
    assert result.figures == ("columns: input, half, none",)
    assert result.headings == ["input", "half", "none"]
    assert [len(frame) for frame in result.frames] == [2, 2, 2]


def test_a_domain_has_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"needs a domain: give to half or none, or all"):
        translate(square(tmp_path / "a.png", 1, 1, 1), to="")


# At the terminal


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in a folder that holds a model and three pictures of an own size."""
    folder = tmp_path / "here"
    (folder / "in").mkdir(parents=True)
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    config = {"shape": [3, 8, 8], "domains": list(STYLES), "channels": 2, "blocks": 1}
    described = {
        "name": "stargan.tiny",
        "family": "adversarial",
        "requires": "zoo-adversarial>=0.1",
        "architecture": "stargan",
        "config": config,
        "data": "emoji",
    }
    loading.save(StarGAN(**config), Path("stargan.tiny.safetensors"), described)  # type: ignore[arg-type]
    for i in range(3):
        square(Path("in", f"{i}.png"), 80 * i, 0, 0, 128, size=8 + i)

    def invoke(*args: str) -> Result:
        return CliRunner().invoke(root, ["run", "stargan.tiny.safetensors", *args], prog_name="zoo")

    return invoke


def test_translating_is_what_it_does_by_default(zoo: Callable[..., Result]) -> None:
    done = zoo("-i", "in/0.png", "--to", "openmoji", "-o", "out.png")
    assert done.exit_code == 0, done.stderr
    assert "1 input translated to openmoji by stargan.tiny" in done.stderr
    assert "seed" not in done.stderr
    assert Image.open("out.png").size == (96, 96)


def test_pictures_of_another_size_or_with_alpha_are_converted_and_it_says_so(
    zoo: Callable[..., Result], tmp_path: Path
) -> None:
    done = zoo(
        "-i", str(tmp_path / "here" / "in"), "--to", "all", "-o", "grid.png", "-o", "all.npz"
    )
    assert done.exit_code == 0, done.stderr
    assert "2 resized and centre-cropped to 8x8; 3 with transparency laid over white" in done.stderr
    assert "columns: input, noto, openmoji, fluent" in done.stderr


def test_an_unknown_style_lists_those_there_are(zoo: Callable[..., Result]) -> None:
    done = zoo("-i", "in/0.png", "--to", "notto")
    assert done.exit_code == UnknownName.exit_code
    assert "Did you mean noto? It translates to noto, openmoji, fluent." in done.stderr


def test_a_broken_picture_does_not_stop_the_others_but_the_command_fails(
    zoo: Callable[..., Result],
) -> None:
    Path("in", "1.png").write_bytes(b"no picture")
    done = zoo("-i", "in", "--to", "noto", "-o", "out.png")
    assert done.exit_code == InvalidInput.exit_code
    assert "2 inputs translated to noto" in done.stderr
    assert "1 of the inputs could not be read as images: in/1.png. The others are" in done.stderr
    assert Path("out.png").is_file()
