"""What mkdocs does beside reading pages: readmes of families are pages, cards are in the menu."""

import posixpath
import re
from pathlib import Path
from typing import Any

import generate
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_config", "on_files", "on_page_markdown"]

DOCS = Path(__file__).parent
READMES = {
    f"families/{readme.parent.name}.md": readme
    for readme in sorted(DOCS.parent.glob("plugins/*/README.md"))
}
"""Pages of the site that lie elsewhere in the repository."""

LINK = re.compile(r"\]\(([^)\s#:]+\.md)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the families and their cards under "Models" in the menu."""
    sections: dict[str, list[Any]] = {}
    for entry in generate.entries():
        cards = sections.setdefault(entry.family, [])
        cards.append({entry.name: f"models/{entry.name}.md"})
    for uri in READMES:
        sections.setdefault(Path(uri).stem, []).insert(0, uri)
    (models,) = (item["Models"] for item in config.nav or () if "Models" in item)
    models += [{family.capitalize(): pages} for family, pages in sections.items()]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the readmes of the families."""
    for uri, readme in READMES.items():
        files.append(File.generated(config, uri, content=readme.read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to and from a readme lead where its page is."""
    here = page.file.src_uri
    source = READMES.get(here, DOCS / here)
    return LINK.sub(lambda link: f"]({_moved(link[1], source, here)}", markdown)


def _moved(link: str, source: Path, here: str) -> str:
    target = (source.parent / link).resolve()
    homes = {readme: uri for uri, readme in READMES.items()} | {
        DOCS.parent / "README.md": "index.md"
    }
    uri = homes.get(target)
    if uri is None and here in READMES and target.is_relative_to(DOCS):
        uri = target.relative_to(DOCS).as_posix()
    return posixpath.relpath(uri, posixpath.dirname(here)) if uri else link
