"""The task complete of models that take parts: found or given, and what is wrong about either."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from zoo_adversarial.keypatch import KeyPatch

from factories import square
from toy_models import Tinter, nade, run
from zoo_core import loading, tasks
from zoo_core.cli import root
from zoo_core.errors import InvalidInput
from zoo_core.tasks.parts import boxes_of
from zoo_core.tasks.result import Result as Done


def complete(*inputs: str, **options: object) -> Done:
    return run("complete", Tinter(), *inputs, batch_size=2, **options)


def test_what_takes_parts_can_complete_and_no_more() -> None:
    assert tasks.able(Tinter()) == ("complete",)


def test_a_row_is_parts_mask_completions_and_input(tmp_path: Path) -> None:
    inputs = [square(tmp_path / f"{i}.png", 51 * i, 0, 255) for i in range(3)]
    result = complete(*inputs, samples=2)
    assert result.images is not None
    assert result.columns == 2 + 1 + 2 + 1
    assert len(result.images) == 3 * result.columns == 3 * len(result.frames)
    one, other, mask, first, second, x = result.images.unflatten(0, (3, 6)).unbind(1)
    assert torch.equal(one, x) and torch.equal(other, x)
    assert torch.equal(mask, x[:, :1].expand(-1, 3, -1, -1))
    assert not torch.equal(first, second)
    assert result.tensors["boxes"].tolist() == [[[0, 0, 2, 2], [2, 2, 2, 2]]] * 3
    assert result.tensors["completions"].shape == (2, 3, 3, 4, 4)
    assert result.summary == "2 × 3 completions by m from 2 parts each"
    assert result.figures == ("columns: parts, their mask, 2 completions, input",)
    assert result.headings == ["part 1", "part 2", "mask", "completion 1", "completion 2", "input"]
    again = complete(*inputs, samples=2).images
    assert again is not None and torch.equal(again, result.images)


def test_parts_by_hand_are_those_of_each_input(tmp_path: Path) -> None:
    inputs = [square(tmp_path / f"{i}.png", 51 * i, 0, 255) for i in range(3)]
    result = complete(*inputs, samples=1, patches=("1,0,3,2",))
    assert result.columns == 4
    assert result.tensors["boxes"].tolist() == [[[1, 0, 3, 2]]] * 3
    assert result.summary == "1 × 3 completions by m from 1 part each"
    assert result.figures == ("columns: parts, their mask, completion, input",)


@pytest.mark.parametrize("patch", ["1,2,3", "1,2,3,4,5", "1,2,3,a", "1,2,3,-4", "", "1.5,2,3,4"])
def test_a_patch_is_four_whole_numbers(patch: str) -> None:
    with pytest.raises(
        InvalidInput, match=rf"patches='{patch}': expected x,y,w,h, four whole numb"
    ):
        boxes_of([patch])


def test_what_takes_parts_has_no_mask_to_keep(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"keep='left': m completes from parts, not from a"):
        complete(square(tmp_path / "a.png", 1, 1, 1), keep="left")


def test_a_broken_file_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    square(tmp_path / "a.png", 1, 2, 3)
    (tmp_path / "b.png").write_bytes(b"no picture")
    result = complete(str(tmp_path), samples=1)
    assert result.failed == (str(tmp_path / "b.png"),)
    assert len(result.tensors["inputs"]) == 1


# At the terminal


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in a folder that holds a model and a picture of an own size."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    config = {"shape": [3, 8, 8], "channels": 2, "z": 2, "code": 4}
    described = {
        "name": "keypatch.tiny",
        "family": "adversarial",
        "requires": "zoo-adversarial>=0.1",
        "architecture": "keypatch",
        "config": config,
        "data": "emoji",
    }
    loading.save(KeyPatch(**config), Path("keypatch.tiny.safetensors"), described)  # type: ignore[arg-type]
    square(Path("a.png"), 80, 0, 0, 128, size=9)

    def invoke(*args: str) -> Result:
        arguments = ["run", "keypatch.tiny.safetensors", *args]
        return CliRunner().invoke(root, arguments, prog_name="zoo")

    return invoke


def test_completing_is_what_it_does_by_default(zoo: Callable[..., Result]) -> None:
    done = zoo("-i", "a.png", "-o", "out.png", "--seed", "0")
    assert done.exit_code == 0, done.stderr
    assert "4 × 1 completions by keypatch.tiny from 3 parts each" in done.stderr
    assert "a.png: resized and centre-cropped to 8x8" in done.stderr
    width, height = Image.open("out.png").size
    assert width == 9 * 96 + 8 * 2  # 3 parts, their mask, 4 completions, the input
    assert height > 96  # a row below its headings


def test_patches_by_hand_are_in_the_command_that_repeats_it(zoo: Callable[..., Result]) -> None:
    patches = ("--patch", "0,0,4,4", "--patch", "4,4,4,3")
    done = zoo("-i", "a.png", *patches, "-o", "out.npz", "--seed", "0", "--json")
    assert done.exit_code == 0, done.stderr
    assert " ".join(patches) in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--patch", "0,0,9,4"), "the patch 0,0,9,4 is not within an image of 8x8 pixels"),
        (("--patch", "0,0,4"), "--patch 0,0,4: expected x,y,w,h"),
        (("--to", "noto"), "the task complete does not use --to"),
    ],
)
def test_a_patch_that_cannot_be_is_refused(
    zoo: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    done = zoo("-i", "a.png", *arguments, "-o", "out.png")
    assert done.exit_code == 2
    assert message in str(done.exception) + done.output


def test_a_mask_model_takes_no_patches() -> None:
    with pytest.raises(InvalidInput, match=r"patches='0,0,1,1': m completes from a mask, not fr"):
        run("complete", nade(), patches=("0,0,1,1",))
