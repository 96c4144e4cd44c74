"""Directions that are learned from labelled rows: what an attribute adds to latents."""

from typing import Any

import pytest
import torch
from zoo_latent.vae import VAE

from toy_models import Invertible, Logistic, run
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.tasks import directions

ATTRIBUTES = {"hair": ("black", "red"), "skin": ("dark", "light", "pale")}
ROWS = Dataset(
    "people",
    "train",
    torch.tensor([50, 100, 150, 200, 60, 90], dtype=torch.uint8)
    .view(6, 1, 1, 1)
    .expand(6, 1, 1, 2),
    256,
    torch.tensor([0, 1, 3, 4, 0, 1]),  # nobody is pale
    attributes=ATTRIBUTES,
)


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(spec: str, **settings: Any) -> Dataset:
        assert spec == "people:train[0:2000]"
        return ROWS

    monkeypatch.setattr(directions, "load_dataset", load)


def test_a_walk_adds_the_difference_of_the_means() -> None:
    result = run("traverse", Invertible(), data="people", along=("hair", "skin"))
    assert list(result.names) == ["hair: black", "hair: red", "skin: dark", "skin: light"]
    z, start = result.tensors["z"].unflatten(0, (4, 9)), result.tensors["start"][0]
    latent = ROWS.floats().flatten(1).logit()
    red = torch.tensor([False, False, True, True, False, False])
    expected = latent[red].mean(0) - latent[~red].mean(0)
    assert torch.equal(z[1, 0], start)
    torch.testing.assert_close(z[1, 4] - start, expected)
    torch.testing.assert_close(z[1, 8] - start, 2 * expected)
    torch.testing.assert_close(z[0] - start, start - z[1])  # of two values, one is the other's end
    assert any(note.startswith("each adds the mean latents of rows") for note in result.notes)


def test_rows_are_what_the_model_takes() -> None:
    """Of its type, and binarized for a binary one, as inputs are."""
    torch.manual_seed(0)
    model = VAE(shape=(1, 1, 2), z=2, hidden=[3]).eval()
    walks = [
        run("traverse", each, data="people", along=("hair",)) for each in (model, model.double())
    ]
    single, double = (walk.tensors["z"].float() for walk in walks)
    torch.testing.assert_close(single, double)
    assert any("people: grey levels are binarized once" in note for note in walks[0].notes)


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"shape \(1, 1, 2\), the model takes \(1, 2, 2\)"):
        run("traverse", Invertible(1, 2, 2), data="people", along=("hair",))


def test_an_attribute_that_the_data_lack_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"along='hiar': no attribute of people.* hair, skin"):
        run("traverse", Invertible(), data="people", along=("hiar",))


def test_a_direction_needs_an_encoder_and_the_models_data() -> None:
    with pytest.raises(InvalidInput, match="has no encoder"):
        run("traverse", Logistic(), data="people", along=("hair",))
    with pytest.raises(InvalidInput, match="does not say which data it was trained on"):
        run("traverse", Invertible(), along=("hair",))
