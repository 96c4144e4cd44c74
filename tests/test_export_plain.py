"""A class with its weights as plain PyTorch."""

import ast
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from factories import save_case, save_nade
from zoo_core import loading
from zoo_core.export import plain
from zoo_core.testing import cases

LOAD = """
import importlib, json, sys
import torch
from safetensors.torch import save_file
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[2].split(","):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
for name in sys.argv[3:]:
    model = importlib.import_module(name).load()
    if hasattr(model, "sample"):
        x = model.sample(2, generator=torch.Generator().manual_seed(0))
        save_file({"x": x.contiguous()}, f"{sys.argv[1]}/{name}.sample.safetensors")
"""


def test_every_architecture_loads_without_zoo(tmp_path: Path) -> None:
    """In a process where neither zoo nor its families can be imported, with equal samples."""
    models = {}
    for case in cases():
        name = case.architecture.name.replace("-", "_")
        path = save_case(case, tmp_path, name)
        models[name] = model = loading.load(path)
        folder = tmp_path / "out"
        source = loading.open_source(path)
        assert [p.suffix for p in plain.write(model, source, folder)] == [".py", ".safetensors"]
    blocked = {"zoo_core", *(case.cls.__module__.partition(".")[0] for case in cases())}
    arguments = [str(tmp_path / "out"), ",".join(blocked), *models]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, model in models.items():
        if not hasattr(model, "sample"):
            continue
        x = load_file(tmp_path / "out" / f"{name}.sample.safetensors")["x"]
        assert torch.equal(x, model.sample(2, generator=torch.Generator().manual_seed(0))), name


def test_what_a_file_says_of_itself_is_no_code(tmp_path: Path) -> None:
    name = 'nice"""; import os; os.mkdir("made"); """'
    path = save_nade(tmp_path / "nade.safetensors", name=name)
    source = loading.open_source(path)
    code, _ = plain.write(loading.load(path), source, tmp_path / "out")
    tree = ast.parse(code.read_text())
    assert (ast.get_docstring(tree) or "").startswith(f"{name}: NADE with trained weights.")
    assert "mkdir('made')" not in ast.unparse(ast.Module(tree.body[1:], []))
