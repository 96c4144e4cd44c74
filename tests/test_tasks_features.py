"""Features of inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from toy_models import save_feature_net
from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import load_dataset

BARS = "bars-and-stripes-4"


def test_a_feature_net_gives_its_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    weights = save_feature_net(tmp_path)
    result = CliRunner().invoke(root, ["run", weights, "-i", f"{BARS}:test[0:5]", "--seed", "0"])
    assert result.exit_code == 0, result.output
    held = np.load("features.small-features.npz")
    x = load_dataset(f"{BARS}:test[0:5]")
    with torch.no_grad():
        expected = loading.load(weights).features(x.floats())
    np.testing.assert_allclose(held["features"], expected.numpy(), rtol=1e-5)
    assert x.labels is not None and held["labels"].tolist() == x.labels.tolist()
    assert held["names"].tolist()[0] == f"{BARS}:test[0]"
