"""A model as plain PyTorch: one Python file with its classes, and the weights beside it.

The file is put together from the sources of zoo and of the model's family: the class, and whatever
definitions it reaches, each as it stands in its module with its comments. What comes from other
packages stays an import. It needs torch, NumPy and safetensors, and no zoo.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pprint
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from zoo_core import loading, plugins
from zoo_core.errors import InvalidInput
from zoo_core.files import atomic, make_folder
from zoo_core.header import read_header
from zoo_core.loading.names import match, name_tensors
from zoo_core.output import files
from zoo_core.text import printable

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.loading import Source

__all__ = ["source_of", "write"]

_Key = tuple[str, str]
"""A module and a name that it defines."""


def write(model: nn.Module, source: Source, folder: Path, *, force: bool = False) -> Iterator[Path]:
    """Write `NAME.py` and `NAME.safetensors` into a folder; yield their paths.

    Raises OutputExists for a file that is there, and InvalidInput for a class whose source cannot
    be read or a folder that cannot be made.
    """
    stem = re.sub(r"\W", "_", source.name)
    code, weights = folder / f"{stem}.py", folder / f"{stem}.safetensors"
    content = source_of(type(model), source.config, _heading(model, stem), _renames(model, source))
    make_folder(folder)
    for path in (code, weights):
        files.check_free(path, force=force)
    files.write(code, content.encode(), force=force)
    with atomic(weights) as partial:
        shutil.copyfile(source.path, partial)
    yield code
    yield weights


def source_of(
    cls: type, config: Mapping[str, object], heading: str, renamed: Mapping[str, str]
) -> str:
    """The text of a module that defines a class and loads it with a config.

    heading: what its docstring says.
    renamed: the name in the weights file of each tensor that has another name there.
    """
    closure = _Closure(_packages(cls))
    closure.take((cls.__module__, cls.__name__))
    body = "\n\n\n".join(closure.definitions())
    shown = pprint.pformat(dict(config), width=96, sort_dicts=False)
    imports = "\n".join(closure.import_lines())
    names = pprint.pformat(dict(renamed), width=96)
    return _FILE.format(
        heading=heading, imports=imports, body=body, config=shown, names=names, cls=cls.__name__
    )


def _renames(model: nn.Module, source: Source) -> dict[str, str]:
    """Tensors that the weights file has by another name: tied ones, and those of a wrapper."""
    own = name_tensors(model)
    given = match(read_header(source.path).tensors, own)
    return {
        name: given[first]
        for first, each in own.items()
        for name in each.names
        if name != given[first]
    }


_FILE = '''"""{heading}"""

from __future__ import annotations

{imports}


{body}


CONFIG = {config}
NAMES = {names}
"""The names in the file of tensors that have another one there."""


def load(path=None, device="cpu") -> {cls}:
    """Return the model in evaluation mode, with the weights of a file; by default that beside."""
    from pathlib import Path

    from safetensors.torch import load_file

    model = {cls}(**CONFIG)
    state = load_file(path or Path(__file__).with_suffix(".safetensors"))
    state = {{name: state[NAMES.get(name, name)] for name in model.state_dict()}}
    # where they are stored in half precision, they become what the model's own are
    model.load_state_dict(state)
    return model.to(device).eval().requires_grad_(False)


if __name__ == "__main__":
    print(load())
'''


def _heading(model: nn.Module, stem: str) -> str:
    known = loading.info(model)
    lines = [
        f"{known.name}: {type(model).__name__} with trained weights.",
        "",
        "It needs torch, NumPy and safetensors.",
        "",
        f"    import {stem}",
        f"    model = {stem}.load()",
        "",
        f"Put together by zoo from the sources of {known.family}. The weights have the SHA-256",
        f"{known.sha256}",
    ]
    if licence := known.licence:
        lines.append(f"Licences: {licence.code} (code), {licence.weights} (weights).")
    # a weights file's own words, in a docstring
    text = "\n".join(printable(line, None) if line else "" for line in lines) + "\n"
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _packages(cls: type) -> set[str]:
    """The packages whose sources are taken over: zoo's, and those of the families here."""
    families = (family.module.partition(".")[0] for family in plugins.installed().values())
    return {"zoo_core", cls.__module__.partition(".")[0], *families}


@dataclass
class _Module:
    """A module's source, by the names that it defines at its top."""

    lines: list[str]
    nodes: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Where each definition is, from and to a line."""
    uses: dict[str, set[str]] = field(default_factory=dict)
    """The names that each definition needs when it runs."""
    mentions: dict[str, set[str]] = field(default_factory=dict)
    """Those in its annotations too, which are not evaluated."""
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Imported name -> (module, name in it); an empty name stands for the module."""

    @classmethod
    def of(cls, name: str) -> _Module:
        try:
            text = inspect.getsource(importlib.import_module(name))
        except (OSError, TypeError):
            raise InvalidInput(
                f"the source of {name} cannot be read, so no Python file can be written. "
                "`--format onnx` needs none."
            ) from None
        module = cls(text.splitlines())
        body = ast.parse(text).body
        for node, after in zip(body, [*body[1:], None], strict=True):
            module._enter(node, after, name)
        return module

    def _enter(self, node: ast.stmt, after: ast.stmt | None, package: str) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports[alias.asname or alias.name.partition(".")[0]] = (alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            origin = (
                importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                if node.level
                else str(node.module)
            )
            for alias in node.names:
                self.imports[alias.asname or alias.name] = (origin, alias.name)
        else:
            for name in _defined_names(node):
                end = node.end_lineno or node.lineno
                if isinstance(after, ast.Expr) and isinstance(node, ast.Assign | ast.AnnAssign):
                    end = after.end_lineno or end  # the string that documents it
                start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
                self.nodes.setdefault(name, []).append((start, end))
                self.uses.setdefault(name, set()).update(_names(node))
                every = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                self.mentions.setdefault(name, set()).update(every)


class _Closure:
    """The definitions that a class reaches, in an order in which they can be executed."""

    def __init__(self, packages: set[str]) -> None:
        self.packages = packages
        self.modules: dict[str, _Module] = {}
        self.taken: dict[_Key, str] = {}
        """Text of each definition, in the order in which they are written."""
        self.begun: set[_Key] = set()
        self.others: dict[str, str] = {}
        """Import line of each name that comes from elsewhere."""

    def take(self, key: _Key) -> None:
        """Take a definition, after those that it needs."""
        module_name, name = key
        if key in self.begun:
            return
        self.begun.add(key)
        module = self._module(module_name)
        if name in module.nodes:
            for used in sorted(module.uses[name] & (module.nodes.keys() | module.imports.keys())):
                self.take((module_name, used))
            for used in sorted(module.mentions[name] & module.imports.keys()):
                if module.imports[used][0].partition(".")[0] not in self.packages:
                    self.take((module_name, used))
            text = "\n\n".join(
                "\n".join(module.lines[start - 1 : end]) for start, end in module.nodes[name]
            )
            self._add(key, name, text)
        elif name in module.imports:
            self._follow(name, *module.imports[name])

    def _follow(self, name: str, origin: str, inside: str) -> None:
        """Take what a name is imported from, or keep the import where it is none of ours."""
        if origin.partition(".")[0] not in self.packages:
            whole = f"import {origin}" + (f" as {name}" if name != origin.partition(".")[0] else "")
            part = f"from {origin} import {inside}" + (f" as {name}" if name != inside else "")
            self.others[name] = part if inside else whole
        elif _is_module(origin, inside):
            self._namespace(name, f"{origin}.{inside}" if inside else origin)
        else:
            self.take((origin, inside))
            if name != inside:
                self._add((origin, f"{inside} as {name}"), name, f"{name} = {inside}")

    def _namespace(self, name: str, module_name: str) -> None:
        """A module that is used as an object, with all that it defines."""
        public = [n for n in self._module(module_name).nodes if n != "__all__"]
        for inside in public:
            self.take((module_name, inside))
        self.others["_SimpleNamespace"] = "from types import SimpleNamespace as _SimpleNamespace"
        fields = ", ".join(f"{n}={n}" for n in public)
        self._add((module_name, ""), name, f"{name} = _SimpleNamespace({fields})")

    def _add(self, key: _Key, name: str, text: str) -> None:
        for (module_name, other), taken in self.taken.items():
            if other.rpartition(" as ")[2] == name and taken != text:
                raise InvalidInput(
                    f"{name} is defined in {module_name} and in {key[0]}: one Python file cannot "
                    "hold both. Rename one of them."
                )
        self.taken[key] = text

    def _module(self, name: str) -> _Module:
        if name not in self.modules:
            self.modules[name] = _Module.of(name)
        return self.modules[name]

    def definitions(self) -> Iterator[str]:
        """The texts, each once."""
        yield from dict.fromkeys(self.taken.values())

    def import_lines(self) -> list[str]:
        """The imports from elsewhere, modules first, those from one module in one line."""
        modules, parts = set[str](), dict[str, set[str]]()
        for line in self.others.values():
            origin, _, what = line.partition(" import ")
            if what:
                parts.setdefault(origin, set()).add(what)
            else:
                modules.add(line)
        lines = (f"{origin} import {', '.join(sorted(names))}" for origin, names in parts.items())
        return [*sorted(modules), *sorted(lines)]


def _is_module(origin: str, inside: str) -> bool:
    if not inside:
        return True
    package = importlib.import_module(origin)
    found = getattr(package, inside, None)
    if found is not None:
        return isinstance(found, ModuleType)
    return importlib.util.find_spec(f"{origin}.{inside}") is not None


def _defined_names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, ast.Assign):
        return [
            n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)
        ]
    return []


def _names(node: ast.stmt) -> set[str]:
    """The names that a definition needs when it runs: annotations are not evaluated."""
    found: set[str] = set()

    def visit(part: ast.AST) -> None:
        if isinstance(part, ast.Name):
            found.add(part.id)
        for name, value in ast.iter_fields(part):
            if name in ("annotation", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child)

    visit(node)
    return found
