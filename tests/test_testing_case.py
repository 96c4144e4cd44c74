import json
from typing import Any

import pytest

from zoo_core.testing import Case, cases


def nade(**config: Any) -> Case:
    of_family = cases("autoregressive", {"nade": [config]})
    return next(case for case in of_family if case.architecture.name == "nade")


def test_states_are_every_binary_image_once() -> None:
    states = nade(hidden=4).states()
    assert states.shape == (512, 1, 3, 3)
    assert len(states.flatten(1).unique(dim=0)) == 512
    assert set(states.unique().tolist()) == {0.0, 1.0}


def test_too_many_states_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2\^25 states are too many; give it a smaller shape"):
        nade(shape=[1, 5, 5]).states()


def test_a_case_is_named_by_its_options() -> None:
    assert str(nade(hidden=4, order="random")) == "nade(hidden=4, order=random)"
    assert json.dumps(dict(nade(hidden=4).config))
