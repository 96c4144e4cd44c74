"""What a law is: a function of a case that says what it measured and expected when broken."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any
from unittest import SkipTest

from torch import Tensor, nn

from zoo_core import plugins
from zoo_core.testing.case import Case

__all__ = [
    "LAWS",
    "Law",
    "LawBroken",
    "LawSkipped",
    "applies",
    "discrete",
    "expect",
    "law",
    "laws_of",
    "p_value",
    "real",
    "table",
]

_SMALLEST_COUNT = 5.0
_OTHERS = {"zoo_core", "torch"}
"""Folders of code that a family's author did not write."""


class LawBroken(AssertionError):
    """A model does not keep a law; the text says which, what was measured and what expected."""

    def __init__(self, text: str, cause: str = "") -> None:
        super().__init__(text)
        self.cause = cause
        """Where in the family's own code an error was raised; empty where none was."""


class LawSkipped(SkipTest):
    """A law cannot be tried on a case; the text says why, and pytest shows it."""


class _Unexpected(AssertionError):
    """Measured and expected, before it is known of which law and case."""


@dataclass(frozen=True)
class Law:
    """A check with the protocols that a model must implement for it to apply."""

    check: Callable[[Any], None]
    """Of a Case, or, for the laws of a family, of a `plugins.Family`."""
    needs: tuple[Any, ...]
    """Protocols, or predicates of a model."""
    when: Callable[[Case], bool] = lambda case: True
    """Which cases it is tried on; a costly law takes one of each architecture."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.check.__name__

    @property
    def sentence(self) -> str:
        """What the law says."""
        return (self.check.__doc__ or "").strip().splitlines()[0]

    def __call__(self, case: object) -> None:
        """Check a case; raises LawBroken, or LawSkipped where the law cannot be tried."""
        try:
            self.check(case)
        except _Unexpected as error:
            raise LawBroken(
                f"{case} breaks the law {self.name}: {self.sentence}\n{error}"
            ) from None
        except LawSkipped:
            raise
        except Exception as error:
            kind, place = type(error).__name__, _place(error)
            raised = _form(f"{kind}: {error}", "no error")
            raise LawBroken(
                f"{case} breaks the law {self.name}: {self.sentence}\n{raised}\n  at: {place}",
                f"{kind} at {place}",
            ) from error


LAWS: dict[str, Law] = {}
"""Every law, by name."""


def law(
    *needs: object, when: Callable[[Case], bool] = lambda case: True
) -> Callable[[Callable[[Case], None]], Law]:
    """Make a function of a case a law for the models that implement all of `needs`."""

    def register(check: Callable[[Case], None]) -> Law:
        LAWS[check.__name__] = made = Law(check, needs, when)
        return made

    return register


def laws_of(case: Case) -> dict[str, Law]:
    """The laws that a case is checked against, by name: everyone's, and those of its record."""
    own = (Law(plugins.import_object(path), ()) for path in case.architecture.check.laws)
    return LAWS | {law.name: law for law in own}


def expect(kept: bool | Tensor, measured: object, expected: object) -> None:
    """Go on when `kept`; otherwise the law that calls it is broken."""
    if not bool(kept):
        raise _Unexpected(_form(measured, expected))


def _place(error: Exception) -> str:
    """The last line outside of zoo's core and torch that an error came through."""
    lines = traceback.extract_tb(error.__traceback__)
    own = [line for line in lines if not set(Path(line.filename).parts) & _OTHERS]
    line = (own or lines)[-1]
    return f"{line.filename}:{line.lineno}, in {line.name}"


def _form(measured: object, expected: object) -> str:
    return f"  measured: {measured}\n  expected: {expected}"


def applies(rule: Law, case: Case) -> bool:
    """Whether a law is tried on a case, and the case implements what it is about."""
    if not rule.when(case):
        return False
    model = case.fresh()
    return all(
        isinstance(model, need) if isinstance(need, type | UnionType) else need(model)
        for need in rule.needs
    )


def discrete(model: nn.Module) -> bool:
    """Whether a model's variables have states that can be counted."""
    return getattr(model, "levels", None) is not None


def real(model: nn.Module) -> bool:
    """Whether a model's variables are real, so that its probabilities are densities."""
    return not discrete(model)


def table(chosen: Iterable[Case]) -> list[Any]:
    """The parameters of a pytest test of (law, case): every law for every case that it applies to.

    What a case skips is marked as skipped, with its reason; a skip that names no law is an error.
    """
    import pytest

    rows = []
    for case in chosen:
        laws = laws_of(case)
        if unknown := set(case.skips) - set(laws):
            raise ValueError(f"{case} skips unknown laws: {', '.join(sorted(unknown))}")
        for rule in laws.values():
            reason = case.skips.get(rule.name)
            marks = [pytest.mark.skip(reason=reason)] if reason else []
            if applies(rule, case):
                rows.append(pytest.param(rule, case, marks=marks, id=f"{rule.name}-{case}"))
    return rows


def p_value(counts: Tensor, probabilities: Tensor) -> float:
    """Pearson's chi-square: how probable it is to be at least as far from the probabilities.

    Cells of fewer than five expected counts are taken together.

    counts: (K,). probabilities: (K,), summing to one.
    """
    import torch

    expected = probabilities.double() * counts.sum()
    small = expected < _SMALLEST_COUNT
    observed = torch.cat([counts[~small].double(), counts[small].double().sum().view(1)])
    expected = torch.cat([expected[~small], expected[small].sum().view(1)])
    if expected[-1] == 0:
        if observed[-1] > 0:
            return 0.0
        observed, expected = observed[:-1], expected[:-1]
    if len(expected) == 1:
        return 1.0
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = torch.tensor(float(len(expected) - 1), dtype=torch.float64)
    return float(torch.special.gammaincc(freedom / 2, statistic / 2))
