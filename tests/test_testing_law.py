import pytest
import torch

from zoo_core.testing import LAWS, p_value
from zoo_core.testing.law import expect


def test_every_law_has_a_sentence_that_says_it() -> None:
    for name, law in LAWS.items():
        assert law.name == name
        assert (law.check.__doc__ or "").strip().endswith("."), name


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (27.6, 0.05101), (42.9, 0.0003)])
def test_p_value_of_a_chi_square_with_three_degrees_of_freedom(shift: float, p: float) -> None:
    # two cells off by `shift` of 196: the statistic is 2 shift^2 / 196 = 7.77 at 27.6
    counts = torch.tensor([196 + shift, 196 - shift, 196, 196], dtype=torch.float64)
    assert p_value(counts, torch.full((4,), 0.25)) == pytest.approx(p, abs=0.0002)


def test_an_impossible_state_has_p_zero_and_a_certain_one_p_one() -> None:
    assert p_value(torch.tensor([9.0, 1.0]), torch.tensor([1.0, 0.0])) == 0.0
    assert p_value(torch.tensor([10.0, 0.0]), torch.tensor([1.0, 0.0])) == 1.0


def test_expect_says_both() -> None:
    with pytest.raises(AssertionError, match="measured: 1\n  expected: 2"):
        expect(False, 1, 2)
