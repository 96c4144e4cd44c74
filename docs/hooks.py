"""What mkdocs does beside reading pages.

Readmes of families and the reference of their modules become pages; these and the cards are put
into the menu. A link to a readme or a module, which leads there in a checkout, leads to its page.
The page of commands gets what `--help` says of each, those of tasks and metrics tables of the
options of each. The pages of the course are notebooks too, and the changelog is a page.
Formulas become MathML.
"""

import html
import io
import logging
import posixpath
import re
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import generate
import notebooks
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from zoo_core import plugins
from zoo_core.cli import COMMANDS, root
from zoo_core.export import page as player
from zoo_core.hookspecs import Metric, Task
from zoo_core.metrics import function
from zoo_core.options import Option
from zoo_core.tasks import options_of

__all__ = [
    "archive",
    "commands",
    "formulas",
    "metrics",
    "modules",
    "on_config",
    "on_files",
    "on_page_markdown",
    "played",
    "tables",
]

DOCS = Path(__file__).parent
READMES = {path.parent.name: path for path in sorted(DOCS.parent.glob("plugins/*/README.md"))}
"""The families of the repository."""

CHANGES = DOCS.parent / "CHANGELOG.md"

EXERCISES = DOCS.parent / "examples" / "zoo-exercises"

PLAY = DOCS.parent / "build" / "play"
"""What the page that plays loads, kept from one build to the next."""

WIDTH = 80
"""Columns of the help texts."""

FORMULA = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.M | re.S)
"""TeX between two lines of two dollars."""

THIN_SPACE = ("<mi>log</mi>", '<mi>log</mi><mspace width="0.17em"></mspace>')
"""Before a logarithm's argument, which the converter sets without a space."""

LINK = re.compile(r"\]\(([^)\s#:]+\.(?:md|py))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put families, their cards and their modules into the menu, and the version into titles."""
    config.site_name += f" {version('zoo-core')}"
    cards: dict[str, list[Any]] = {}
    for entry in generate.entries():
        cards.setdefault(entry.family, []).append({entry.name: f"models/{entry.name}.md"})
    for family in READMES:
        cards.setdefault(family, []).insert(0, f"families/{family}.md")
    menu = {title: pages for item in config.nav or () for title, pages in item.items()}
    menu["Models"] += [{family.capitalize(): pages} for family, pages in cards.items()]
    python = next(item["Python"] for item in menu["Reference"] if "Python" in item)
    python += [{f"zoo-{family}": f"reference/{family}.md"} for family in READMES]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the readmes of the families, and a page of each family's modules."""
    for family, readme in READMES.items():
        parts = [f"# zoo-{family}", *(f"::: {name}" for name in modules(family))]
        files.append(File.generated(config, f"families/{family}.md", content=readme.read_text()))
        files.append(File.generated(config, f"reference/{family}.md", content="\n\n".join(parts)))
    files.append(File.generated(config, "changelog.md", content=CHANGES.read_text("utf-8")))
    for path in notebooks.PAGES:
        uri = path.relative_to(DOCS).with_suffix(".ipynb").as_posix()
        files.append(File.generated(config, uri, content=notebooks.notebook(path)))
    files.append(File.generated(config, "plugins/exercises.zip", content=archive(EXERCISES)))
    for uri, path in played():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def archive(folder: Path) -> bytes:
    """The files of a folder as a ZIP archive, the same bytes from the same files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "cache" not in str(path.relative_to(folder)):
                name = path.relative_to(folder.parent).as_posix()
                zipped.writestr(zipfile.ZipInfo(name), path.read_bytes())
    return packed.getvalue()


def played() -> list[tuple[str, Path]]:
    """The files of the page that plays: where they are on the site, and where they lie.

    Without what exports models, or what runs them in a browser, the page says so.
    """
    manifest = player.build(PLAY, say=logging.getLogger("mkdocs.zoo").info)
    found = [path for path in PLAY.rglob("*") if path.is_file()]
    paths = sorted(path for path in found if path.parent.name != "models")
    for model in manifest["models"].values():  # others may be there from earlier builds
        paths += [PLAY / "models" / function["file"] for function in model["functions"].values()]
    return [(f"play/{path.relative_to(PLAY).as_posix()}", path) for path in paths]


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let a link to a file of the repository lead to the page that shows it; add the commands."""
    here = page.file.src_uri
    if here == "cli.md":
        return markdown + commands()
    if here == "reference/tasks.md":
        return markdown + tables()
    if here == "reference/metrics.md":
        markdown = re.sub(r"<!-- the tables of metrics .* -->", lambda _: metrics(), markdown)
    folder, _, name = here.rpartition("/")
    source = CHANGES if here == "changelog.md" else DOCS / here
    if folder == "families":
        source = READMES[name.removesuffix(".md")]
    elif source in notebooks.PAGES:
        link = f"[This page as a notebook]({source.stem}.ipynb)"
        markdown = re.sub(
            r"(?m)^(# .*\n)", lambda title: f"{title[0]}\n{link}\n", markdown, count=1
        )
    homes = _homes()

    def moved(link: re.Match[str]) -> str:
        target = (source.parent / link[1]).resolve()
        inside = source != DOCS / here and target.is_relative_to(DOCS)
        uri = target.relative_to(DOCS).as_posix() if inside else homes.get(target)
        return f"]({posixpath.relpath(uri, folder)}" if uri else link[0]

    return formulas(LINK.sub(moved, markdown))


def formulas(markdown: str) -> str:
    """Formulas as MathML, which browsers show by themselves: no script, no font, no request."""

    def typeset(formula: re.Match[str]) -> str:
        typed = convert(formula[1], display="block").replace(*THIN_SPACE)
        return f'<div class="formula" tabindex="0">{typed}</div>'

    return FORMULA.sub(typeset, markdown)


def commands() -> str:
    """What `--help` says of each command, under a heading each, and a list of its options."""
    context = click.Context(root, info_name="zoo", terminal_width=WIDTH, **root.context_settings)
    return "".join(_help(context, name, root, "##") for name in COMMANDS)


def tables() -> str:
    """The options of each task of the core and of the repository's families, a table each."""
    families = [plugins.load(family).tasks for family in READMES]
    records = [*plugins.own(Task).values(), *(task for own in families for task in own.values())]
    return "".join(f"\n## Task `{record.name}`\n\n{_table(record)}" for record in records)


def _table(record: Task) -> str:
    needs = record.protocol.rpartition(":")[2]
    latents = f" with {record.latents} latents" if record.latents else ""
    rows = "".join(map(_row, options_of(record).values()))
    head = "| flag | keyword | default | meaning |\n| --- | --- | --- | --- |\n"
    return f"{record.summary}. Needs: {needs}{latents}.\n\n{head}{rows}"


def _row(option: Option) -> str:
    flags = "`, `".join(option.flags)
    return f"| `{flags}` | `{option.name}` | {_default(option)} | {_meaning(option)} |\n"


def _default(option: Option) -> str:
    return "" if option.default in ("", None, ()) else f"`{option.default}`"


def _meaning(option: Option) -> str:
    several = "; several, as a tuple" if option.multiple else ""
    unit = f", in {option.unit}" if option.unit else ""
    return f"{option.help}{unit}. {option.expected[0].upper()}{option.expected[1:]}{several}."


def _help(parent: click.Context, name: str, group: click.Group, level: str) -> str:
    command = group.get_command(parent, name)
    assert command is not None
    context = click.Context(command, parent, name)
    said, _, rest = command.get_help(context).partition("\n\nOptions:\n")
    rest = rest.partition("\n\n")[2]  # the commands of a group
    said += f"\n\n{rest}" * bool(rest)
    text = f"\n{level} {context.command_path}\n\n```text\n{said}\n```\n{_options(context)}"
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        text += "".join(_help(context, sub, command, level + "#") for sub in names)
    return text


def _options(context: click.Context) -> str:
    """The options of a command, each with an anchor of its own, as `#zoo-run--seed`."""
    text = ""
    for option in context.command.get_params(context):
        record = isinstance(option, click.Option) and option.get_help_record(context)
        if record:
            flags, meaning = map(html.escape, record)
            meaning = re.sub("`(.+?)`", r"<code>\1</code>", meaning)
            anchor = context.command_path.replace(" ", "-") + max(option.opts, key=len)
            name = f'<a href="#{anchor}"><code>{flags}</code></a>'
            text += f'<dt id="{anchor}">{name}</dt><dd>{meaning}</dd>\n'
    return f'\n<dl class="options">\n{text}</dl>\n'


def metrics() -> str:
    """A table of all metrics, and one of the options that any of them has."""
    known = plugins.offers(Metric)
    head = ["| metric | model | unit | summary |", "| --- | --- | --- | --- |"]
    rows = [
        f"| `{name}` | {function(name).needs or 'any'} | {metric.unit} | {metric.summary} |"
        for name, metric in known.items()
    ]
    takers: dict[tuple[str, str, str], list[str]] = {}
    for name, metric in known.items():
        for key, option in function(name).options.items():
            default = metric.protocol.get(key, option.default)
            row = (key, "" if default in (None, "", ()) else f"`{default}`", option.help)
            takers.setdefault(row, []).append(name)
    options = ["| option | default | meaning | of |", "| --- | --- | --- | --- |"]
    options += [
        f"| `{key}` | {default} | {text} | {_some(names, len(known))} |"
        for (key, default, text), names in sorted(takers.items())
    ]
    return "\n".join([*head, *rows, "", "### Options", "", *options])


def _some(names: list[str], all_of_them: int) -> str:
    return "all" if len(names) == all_of_them else ", ".join(f"`{name}`" for name in names)


def modules(family: str) -> list[str]:
    """The modules of a family's models and of their trainers, each once."""
    described = plugins.load(family).architectures.values()
    paths = [path for record in described for path in (record.path, record.trainer)]
    modules = dict.fromkeys(path.partition(":")[0] for path in paths)
    return [name for name in modules if name.startswith(f"zoo_{family}.")]


def _homes() -> dict[Path, str]:
    """Where the site shows files that do not lie in the documentation."""
    homes = {DOCS.parent / "README.md": "index.md"}
    for family, readme in READMES.items():
        homes[readme] = f"families/{family}.md"
        for name in modules(family):
            spec = find_spec(name)
            if spec is not None and spec.origin:
                homes[Path(spec.origin)] = f"reference/{family}.md#{name}"
    return homes
