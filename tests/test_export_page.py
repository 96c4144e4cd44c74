"""The files of the page that plays, also where what runs them is missing."""

import json
from pathlib import Path

import pytest
from torch import nn

from zoo_core import loading
from zoo_core.export import Function, page


def test_without_a_runtime_the_page_is_built_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setattr(page, "MODELS", {})
    said: list[str] = []
    manifest = page.build(tmp_path, say=said.append)
    assert manifest == {"runtime": None, "models": {}, "bytes": 0}
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert said == [
        "play: without onnxruntime-web, so that no model runs on the page: ZOO_OFFLINE is set"
    ]
    assert (tmp_path / "play.js").is_file() and (tmp_path / "play.css").is_file()


def test_domains_that_are_an_input_are_not_exported_one_by_one(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    config = {"shape": [1, 8, 8], "channels": 4, "blocks": 1, "domains": ["a", "b", "c"]}
    model, said = loading.create("stargan", **config), list[str]()
    described = page._functions(model, "stargan.tiny", tmp_path, ("*",), said.append)
    assert list(described["functions"]) == ["translate"]
    assert said == ["play: exporting translate"]
    assert described["model"]["domains"] == ("a", "b", "c")
    assert [path.name for path in tmp_path.iterdir()] == ["stargan.tiny-translate.onnx"]


def test_each_export_is_announced_once_and_what_fails_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model whose steps cannot be written, the other functions are; the next build says no
    more, and a file that is named like an entry gets a number."""
    pytest.importorskip("onnxscript")
    from zoo_core.export import onnx

    def convert(model: nn.Module, function: Function) -> object:
        if function.name == "step":
            raise onnx.NotExported("step of NADE cannot be written as ONNX: of no matter")
        return converted(model, function)

    converted = onnx.convert
    monkeypatch.setattr(onnx, "convert", convert)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setattr(page, "MODELS", {"nade.nltcs": ("step",)})
    path, said, again = tmp_path / "nade.nltcs.safetensors", list[str](), list[str]()
    loading.save(loading.load("nade.nltcs"), path)
    manifest = page.build(tmp_path / "page", [str(path)], say=said.append)
    assert list(manifest["models"]["nade.nltcs-2"]["functions"]) == ["conditionals"]
    assert said == [
        f"play: 1 of 2, {path}",
        "play: exporting conditionals",
        "play: exporting step",
        "play: without nade.nltcs-2: step of NADE cannot be written as ONNX: of no matter",
        "play: 2 of 2, nade.nltcs",
        "play: exporting step",
        "play: without nade.nltcs: step of NADE cannot be written as ONNX: of no matter",
        "play: without nade.nltcs: no function of it can be exported; it has conditionals, step.",
        "play: without onnxruntime-web, so that no model runs on the page: ZOO_OFFLINE is set",
    ]
    assert page.build(tmp_path / "page", [str(path)], say=again.append)
    assert again == said[4:]
    (file,) = (tmp_path / "page").rglob("nade.nltcs-2-conditionals.onnx")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])  # cut off, so that it is exported again
    page.build(tmp_path / "page", [str(path)], say=(third := list[str]()).append)
    assert third == said and file.read_bytes() == whole


def test_runs_are_named_by_their_folders_and_decoders_have_latents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setattr(page, "MODELS", {})
    runs = [tmp_path / name for name in ("first", "second", "again/second")]
    for run in runs:
        run.mkdir(parents=True)
        model = loading.create("gan", shape=[1, 4, 4], z=3, hidden=[8])
        loading.save(model, run / loading.WEIGHTS)
    manifest = page.build(tmp_path / "page", map(str, runs))
    assert list(manifest["models"]) == ["first", "second", "second-2"]
    for run, shown in zip(runs, manifest["models"].values(), strict=True):
        assert shown["typed"] == str(run)
        assert [len(z) for z in shown["model"]["latents"]] == [3] * 32
