"""The file that type checkers read uses every public name; CI runs the checkers themselves."""

import ast
from pathlib import Path

import pytest

import zoo_core

TREE = ast.parse((Path(__file__).parent / "typing" / "public.py").read_text("utf-8"))
USED = {
    node.attr
    for node in ast.walk(TREE)
    if isinstance(node, ast.Attribute)
    and isinstance(node.value, ast.Name)
    and node.value.id == "zoo"
}


@pytest.mark.parametrize("name", zoo_core.__all__)
def test_each_public_name_is_type_checked(name: str) -> None:
    assert name in USED, "use it in tests/typing/public.py"
