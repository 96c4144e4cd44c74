"""The suite outside of pytest: every law against every case of a family, one verdict each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from zoo_core import plugins
from zoo_core.errors import PluginError
from zoo_core.testing.case import Case, cases
from zoo_core.testing.family import FAMILY_LAWS
from zoo_core.testing.law import Law, LawBroken, LawSkipped, applies, laws_of

__all__ = ["Verdict", "check"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one law."""

    law: str
    case: str
    """The family, or the architecture with its config."""
    outcome: str
    """`passed`, `failed` or `skipped`."""
    text: str
    """What the law says, what was measured and expected, or why it is skipped."""
    cause: str = ""
    """Of an error: what and where; laws that fail by it have one cause."""


def check(
    name: str, laws: Collection[str] | None = None, architectures: Collection[str] | None = None
) -> Iterator[Verdict]:
    """Check a family against the laws.

    name: the family's.
    laws: names of the laws; None for all.
    architectures: names of those that are checked, without the laws of the family; None for all.

    Raises PluginError when no such family is installed, or for architectures of one that does not
    load, and UnknownName for an architecture that it does not have.
    """
    families = plugins.installed()
    if name not in families:
        plugins.load(name)  # says why
    family = families[name]
    for law in FAMILY_LAWS.values() if architectures is None else ():
        if laws is None or law.name in laws:
            yield _verdict(law, family)
    for architecture in architectures or ():
        plugins.architecture(architecture, family=name)  # says why there is none
    if plugins.load(name).error or not _are_built(name):
        return  # there is no model to ask
    for case in cases(name):
        if architectures is None or case.architecture.name in architectures:
            yield from _of_case(case, laws)


def _of_case(case: Case, laws: Collection[str] | None) -> Iterator[Verdict]:
    known = laws_of(case)
    if unknown := sorted(set(case.skips) - set(known)):
        raise PluginError(f"{case} skips unknown laws: {', '.join(unknown)}.")
    for law in known.values():
        if (laws is not None and law.name not in laws) or not applies(law, case):
            continue
        reason = case.skips.get(law.name)
        if reason:
            yield Verdict(law.name, str(case), "skipped", reason)
        else:
            yield _verdict(law, case)


def _verdict(law: Law, case: object) -> Verdict:
    try:
        law(case)
    except LawBroken as broken:
        return Verdict(law.name, str(case), "failed", str(broken), broken.cause)
    except LawSkipped as skipped:
        return Verdict(law.name, str(case), "skipped", str(skipped))
    return Verdict(law.name, str(case), "passed", law.sentence)


def _are_built(name: str) -> bool:
    """Whether the family's models can be built; its own law says why they cannot."""
    try:
        for case in cases(name):
            case.fresh()
    except Exception:
        return False
    return True
