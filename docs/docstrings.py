"""For the reference: lines such as `x: images, (B, C, H, W)` of a docstring become a list."""

import re
from typing import Any

from griffe import Extension, Function, GriffeLoader

__all__ = ["Arguments"]

LINE = re.compile(r"^(\w+(?:, \w+)*): ", re.M)


class Arguments(Extension):
    """Marks each line that begins with arguments of the function."""

    def on_function(self, *, func: Function, loader: GriffeLoader, **kwargs: Any) -> None:
        """Rewrite the docstring of a function."""
        if func.docstring is None:
            return
        known = {parameter.name.lstrip("*") for parameter in func.parameters}

        def item(line: re.Match[str]) -> str:
            return f"- `{line[1]}`: " if known.issuperset(line[1].split(", ")) else line[0]

        func.docstring.value = LINE.sub(item, func.docstring.value)
