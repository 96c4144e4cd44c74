"""The files of the page that plays, also where what runs them is missing."""

import json
from pathlib import Path

import pytest

from zoo_core import loading
from zoo_core.export import page


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
    model = loading.create("stargan", **config)
    described = page._functions(model, "stargan.tiny", tmp_path, ("*",))
    assert list(described["functions"]) == ["translate"]
    assert described["model"]["domains"] == ("a", "b", "c")
    assert [path.name for path in tmp_path.iterdir()] == ["stargan.tiny-translate.onnx"]
