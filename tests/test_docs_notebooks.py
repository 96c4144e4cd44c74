"""A notebook has the blocks of its page, which other tests run, and its cells run as cells."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_docs_generated import DOCS, notebooks

from zoo_core.cli import root

BLOCK = re.compile(r"(<!-- not run[^\n]*\n\n?)?^```(python|sh)\n(.*?)^```$", re.M | re.S)


def sources(page: Path, kind: str = "code") -> list[str]:
    cells = json.loads(notebooks.notebook(page))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


@pytest.mark.parametrize("page", notebooks.PAGES, ids=lambda page: page.stem)
def test_a_notebook_has_the_blocks_of_its_page(page: Path) -> None:
    blocks = [b for b in BLOCK.findall(page.read_text("utf-8")) if not b[0]]
    found = sources(page)
    assert len(found) == len(blocks)
    for source, (_, language, text) in zip(found, blocks, strict=True):
        plain = re.sub(r"(?m)^!", "", source) if language == "sh" else source
        assert plain.split() == text.replace("\\\n", "").split()
    words = "\n".join(sources(page, "markdown"))
    assert not re.search(r"\]\((?!https?:|attachment:)", words)


def test_pictures_travel_with_the_notebook() -> None:
    cells = json.loads(notebooks.notebook(DOCS / "ideas" / "bayes.md"))["cells"]
    attached = {name for cell in cells for name in cell.get("attachments", {})}
    words = "".join("".join(cell["source"]) for cell in cells)
    assert attached and attached == set(re.findall(r"\(attachment:(.*?)\)", words))


def test_a_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By nbclient where that is installed, else cell by cell in this process."""
    monkeypatch.chdir(tmp_path)
    page = DOCS / "guides" / "notebook.md"
    try:
        import nbclient
        import nbformat
    except ImportError:
        names: dict[str, Any] = {}
        for source in sources(page):
            for line in re.findall(r"(?m)^!zoo (.*)$", source):
                assert CliRunner().invoke(root, line.split()).exit_code == 0
            exec(re.sub(r"(?m)^!.*$", "", source), names)
        assert names["run"].metrics
        return
    book = nbformat.reads(notebooks.notebook(page), 4)
    nbformat.validate(book)
    nbclient.NotebookClient(book, timeout=120).execute()
    outputs = [out for cell in book.cells for out in cell.get("outputs", ())]
    kinds = {kind for out in outputs for kind in out.get("data", ())}
    assert {"image/png", "text/html"} <= kinds
