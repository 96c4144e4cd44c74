"""Each module of the core has a test file of its own name: zoo_core/tasks/score.py is tested in
tests/test_tasks_score.py."""

from pathlib import Path

CORE = Path(__file__).parent.parent / "zoo_core"

EXCEPTIONS = {
    "zoo_core/__init__.py": "re-exports; tests/test_typing.py holds what it names",
    "zoo_core/__main__.py": "calls the command",
    "zoo_core/data/__init__.py": "re-exports",
    "zoo_core/data/faces/__init__.py": "re-exports",
    "zoo_core/export/__init__.py": "re-exports",
    "zoo_core/features/__init__.py": "re-exports",
    "zoo_core/groups.py": "two names",
    "zoo_core/loading/__init__.py": "re-exports",
    "zoo_core/model.py": "a type, which tests/test_typing.py checks",
    "zoo_core/output/__init__.py": "re-exports",
    "zoo_core/plugins/__init__.py": "re-exports",
    "zoo_core/testing/__init__.py": "re-exports",
    "zoo_core/training/__init__.py": "a docstring",
}
"""Modules without a test file, each with the reason."""


def test_each_module_has_a_test_file() -> None:
    missing = {}
    for module in CORE.rglob("*.py"):
        inside = module.relative_to(CORE).with_suffix("")
        parts = [part for part in inside.parts if part != "__init__"]
        test = Path(__file__).with_name("_".join(["test", *parts]) + ".py")
        if not test.exists():
            missing[str(module.relative_to(CORE.parent))] = test.name
    assert {m: t for m, t in missing.items() if m not in EXCEPTIONS} == {}
    assert EXCEPTIONS.keys() <= missing.keys(), "an exception that is none any more"
