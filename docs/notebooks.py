"""Pages as notebooks: what is text stays text, what runs becomes a cell.

A block of Python is a cell as it stands, one of commands a cell of `!zoo …` lines; what a page does
not run stays in the text. Pictures travel inside the file, and links of the site, which lead
nowhere from a notebook, become their words.
"""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["PAGES", "cells", "notebook"]

DOCS = Path(__file__).parent
PAGES = [
    *(page for page in sorted(DOCS.glob("ideas/*.md")) if page.stem != "index"),
    DOCS / "ladder.md",
    DOCS / "guides" / "notebook.md",
]
"""The pages that can be downloaded as notebooks."""

_BLOCK = re.compile(
    r"(?P<mark><!-- not run: [^\n]* -->\n\n?)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
_PICTURE = re.compile(r"!\[([^]]*)\]\(([^)\s]+)\)(?:\{[^}]*\})?")
_LINK = re.compile(r"(?<!!)\[([^]]+)\]\((?!https?:)[^)\s]+\)")
_COMMENT = re.compile(r"^<!--.*?-->\n|^</?div[^>]*>\n", re.M | re.S)


def notebook(page: Path) -> str:
    """A page of the documentation as the JSON of a notebook, nbformat 4.5."""
    found = [{"id": f"cell-{i}", "metadata": {}} | cell for i, cell in enumerate(cells(page))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": found, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def cells(page: Path) -> Iterator[dict[str, Any]]:
    """The cells of a page, in its order."""
    text, rest = page.read_text("utf-8"), 0
    for block in _BLOCK.finditer(text):
        if block["mark"] or block["language"] not in ("python", "sh"):
            continue
        yield from _words(text[rest : block.start()], page)
        yield _code(block["text"] if block["language"] == "python" else _commands(block["text"]))
        rest = block.end()
    yield from _words(text[rest:], page)


def _commands(text: str) -> str:
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return "".join(f"!{line}\n" if line else "\n" for line in lines)


def _code(source: str) -> dict[str, Any]:
    lines = source.rstrip().splitlines(keepends=True)
    return {"cell_type": "code", "execution_count": None, "outputs": [], "source": lines}


def _words(text: str, page: Path) -> Iterator[dict[str, Any]]:
    pictures: dict[str, Any] = {}

    def attached(picture: re.Match[str]) -> str:
        file = page.parent / picture[2]
        pictures[file.name] = {"image/png": base64.b64encode(file.read_bytes()).decode("ascii")}
        return f"![{picture[1]}](attachment:{file.name})"

    text = _PICTURE.sub(attached, _LINK.sub(r"\1", _COMMENT.sub("", text))).strip()
    if text:
        cell = {"cell_type": "markdown", "source": text.splitlines(keepends=True)}
        yield cell | ({"attachments": pictures} if pictures else {})
