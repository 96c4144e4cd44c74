"""Each module of the core has a test file of its own name: zoo_core/tasks/score.py is tested in
tests/test_tasks_score.py. A package that only passes on names of its modules needs none. A long
module says why it is one."""

import ast
from pathlib import Path

CORE = Path(__file__).parent.parent / "zoo_core"

EXCEPTIONS = {
    "zoo_core/__init__.py": "passes on names; tests/test_typing.py holds them",
    "zoo_core/__main__.py": "calls the command",
    "zoo_core/groups.py": "two names",
    "zoo_core/model.py": "a type, which tests/test_typing.py checks",
    "zoo_core/output/__init__.py": "passes on names",
    "zoo_core/plugins/__init__.py": "passes on names",
}
"""Modules without a test file, each with the reason."""


def only_passes_on(module: Path) -> bool:
    """Whether a package defines nothing of its own."""
    body = ast.parse(module.read_text()).body
    kinds = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    return module.name == "__init__.py" and all(isinstance(node, kinds) for node in body)


def test_each_module_has_a_test_file() -> None:
    missing = {}
    for module in CORE.rglob("*.py"):
        inside = module.relative_to(CORE).with_suffix("")
        parts = [part for part in inside.parts if part != "__init__"]
        test = Path(__file__).with_name("_".join(["test", *parts]) + ".py")
        if not test.exists() and not only_passes_on(module):
            missing[str(module.relative_to(CORE.parent))] = test.name
    assert {m: t for m, t in missing.items() if m not in EXCEPTIONS} == {}


def test_a_module_of_over_400_lines_says_why_it_is_one() -> None:
    root = CORE.parent
    modules = [*CORE.rglob("*.py"), *root.glob("plugins/*/zoo_*/*.py"), *root.glob("docs/*.py")]
    long = {path: text for path in modules if (text := path.read_text()).count("\n") > 400}
    heads = {path: ast.get_docstring(ast.parse(text)) or "" for path, text in long.items()}
    assert [str(path) for path, head in heads.items() if "Over 400 lines: " not in head] == []
