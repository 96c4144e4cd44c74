"""A family's project folder: written from the template, and made importable without installing."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from zoo_core import hookspecs, plugins
from zoo_core.errors import InvalidInput, OutputExists, UnknownName

__all__ = ["check_name", "read_project", "stage", "template", "write"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_IGNORED = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".*_cache", "*.egg-info", "dist")


def template() -> Path:
    """The template's folder: in a checkout, else inside the package."""
    package = Path(__file__).parents[1]
    beside = package.parent / "examples" / "plugin-template"
    return beside if beside.is_dir() else package / "plugin-template"


def check_name(given: str) -> str:
    """The family's name, without the `zoo-` that its distribution has in front.

    Raises InvalidInput for a name that is not sound, or that an installed family has.
    """
    name = given.removeprefix("zoo-")
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"'{given}' cannot name a family: expected lower case letters, digits and single "
            "hyphens, from a letter on, such as my-family."
        )
    if name == "core":
        raise InvalidInput("'core' cannot name a family: zoo-core is zoo itself. Choose another.")
    for loaded in plugins.load_all():
        owns = loaded.family.name == name or name in loaded.architectures
        if owns and loaded.family.distribution != f"zoo-{name}":
            what = "a family" if loaded.family.name == name else "an architecture"
            raise InvalidInput(
                f"'{name}' is {what} of {loaded.family}, which is installed here. Choose another "
                "name: two of one name do not load."
            )
    return name


def write(name: str, folder: Path) -> list[Path]:
    """Write the template to a folder under another name; return its files, relative to it.

    Raises OutputExists when the folder holds anything, and InvalidInput where its parent is absent.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputExists(
            f"{folder} exists and is not empty; nothing was written. Choose another with --path."
        )
    if not folder.absolute().parent.is_dir():
        raise InvalidInput(f"{folder.absolute().parent} is no folder; make it first.")
    # the folder appears whole or not at all
    with tempfile.TemporaryDirectory(dir=folder.absolute().parent, prefix=".zoo-") as scratch:
        partial = Path(scratch) / "project"
        shutil.copytree(template(), partial, ignore=_IGNORED)
        _rename(partial, name)
        partial.replace(folder)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def read_project(folder: Path) -> dict[str, Any]:
    """The `[project]` table of a family's pyproject.toml.

    Raises UnknownName where there is none, and InvalidInput where it declares no family.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        raise UnknownName(f"{folder} holds no pyproject.toml: give a project's folder, or a name.")
    try:
        project: dict[str, Any] = tomllib.loads(path.read_text("utf-8")).get("project", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not TOML: {error}.") from None
    if not project.get("entry-points", {}).get(hookspecs.GROUP):
        raise InvalidInput(
            f'{path} declares no family: expected [project.entry-points."{hookspecs.GROUP}"] with '
            'a line such as my-family = "zoo_my_family.plugin".'
        )
    return project


def stage(folder: Path, project: dict[str, Any], site: Path) -> str:
    """Describe a project as an installer would, in `site`; return the PYTHONPATH that finds it."""
    name, version = project.get("name", folder.name), str(project.get("version", "0"))
    info = site / f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {one}\n" for one in project.get("dependencies", ()))
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\n"
    (info / "METADATA").write_text(head, "utf-8")
    groups = project.get("entry-points", {})
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    source = folder / "src" if (folder / "src").is_dir() else folder
    rest = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(filter(None, [str(site), str(source.absolute()), rest]))


def _rename(folder: Path, name: str) -> None:
    """Give the template's files, and what is in them, the new name."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside before its folder
        if path.is_file():
            path.write_text(_substitute_name(path.read_text("utf-8"), name), "utf-8")
        path.rename(path.with_name(_substitute_name(path.name, name)))


def _substitute_name(text: str, name: str) -> str:
    words = name.split("-")
    text = text.replace("my-family", name).replace("my_family", "_".join(words))
    return text.replace("MyFamily", "".join(map(str.capitalize, words)))
