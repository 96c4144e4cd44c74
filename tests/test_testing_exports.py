"""The laws of exports: when they are tried, and a step that breaks its own."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from zoo_autoregressive.nade import NADE

from factories import case_of
from zoo_core.testing import LAWS, Case, LawBroken, table


def names(case: Case) -> set[str]:
    return {row.values[0].name for row in table([case])}


def test_exports_are_tried_where_they_are_declared_and_on_one_config() -> None:
    case = case_of("vae", "latent")
    assert "export_equals_model" in names(case)
    assert "export_equals_model" not in names(replace(case, first=False))
    bare = replace(case, architecture=replace(case.architecture, exports=()))
    assert "export_equals_model" not in names(bare)


class Forgetful(NADE):
    """Its steps forget all variables but the last."""

    def step(self, t: Tensor, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        logits, *state = super().step(t, x, *map(torch.zeros_like, state))
        return (logits, *state)


def test_steps_that_are_not_those_of_the_conditionals_break_their_law() -> None:
    case = case_of("nade")
    LAWS["steps_agree_with_conditionals"](case)
    with pytest.raises(LawBroken, match=r"a difference of \S+ nats"):
        LAWS["steps_agree_with_conditionals"](replace(case, cls=Forgetful))
