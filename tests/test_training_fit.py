"""The loop that a recipe asks for: which callbacks, in which order."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from toy_training import Bias, Brightness

from zoo_core.data import Dataset
from zoo_core.training.callbacks import Callback
from zoo_core.training.fit import make_loop
from zoo_core.training.recipe import Recipe


@pytest.mark.parametrize(
    ("settings", "publish", "names"),
    [
        ({"ema": 0.0}, False, ["Reporting", "Previews", "Checksums"]),
        (
            {"ema": 0.9, "patience": 2},
            True,
            ["MovingAverages", "Publishing", "Reporting", "Previews", "Checksums", "Patience"],
        ),
    ],
)
def test_callbacks_follow_from_the_recipe(
    settings: dict[str, Any], publish: bool, names: list[str], tmp_path: Path
) -> None:
    rows = Dataset("white", "train", torch.full((4, 1), 255, dtype=torch.uint8), levels=256)
    recipe = Recipe("x", "white", binarize="none", batch_size=2, **settings)
    first = Callback()
    loop = make_loop(
        Brightness(Bias()),
        recipe,
        rows,
        rows,
        tmp_path,
        fabric=Fabric(accelerator="cpu", devices=1),
        publish=(lambda networks, values: None) if publish else None,
        callbacks=[first],
    )
    assert loop.callbacks[0] is first
    assert [type(callback).__name__ for callback in loop.callbacks[1:]] == names
