"""The pages for plugin authors hold: the tutorial's family works, hooks and laws are all there."""

import re
from collections.abc import Callable
from pathlib import Path

from zoo_core import hookspecs
from zoo_core.cli import project
from zoo_core.testing import FAMILY_LAWS, LAWS, check

DOCS = Path(__file__).parent.parent / "docs" / "plugins"


def titled(page: str) -> dict[str, str]:
    found = re.findall(
        r'^```python title="(.*?)"\n(.*?)^```', (DOCS / page).read_text(), re.M | re.S
    )
    return dict(found)


def test_the_tutorial_ends_with_a_working_family(
    tmp_path: Path, install_project: Callable[[Path], None]
) -> None:
    folder = tmp_path / "zoo-mixture"
    project.write("mixture", folder)
    files = titled("index.md")
    for name, text in files.items():
        assert (folder / name).is_file()
        (folder / name).write_text(text)
    written = [line for text in files.values() for line in text.splitlines() if line.strip()]
    assert len(written) <= 40
    install_project(folder)
    verdicts = list(check("mixture"))
    assert {verdict.outcome for verdict in verdicts} == {"passed"}, verdicts
    assert len(verdicts) > 20


def test_each_hook_and_record_has_a_page() -> None:
    index = (DOCS / "extending.md").read_text()
    rows = dict(re.findall(r"^\| [\w ]+ \| (.*) \| \[.*\]\((\S+)\) \|$", index, re.M))
    hooks = [name for name in dir(hookspecs) if name.startswith("zoo_")]
    for name in (*hooks, hookspecs.COMMANDS, "Architecture(", "Check(", "DataSet(", "Task("):
        (page,) = (page for by, page in rows.items() if name in by)
        assert name in (DOCS / page).read_text(), name
    assert hookspecs.GROUP in index
    assert len(rows) == 7


def test_each_law_is_documented_in_its_own_words() -> None:
    page = (DOCS / "laws.md").read_text()
    found = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M))
    assert found == {name: law.sentence for name, law in {**FAMILY_LAWS, **LAWS}.items()}
