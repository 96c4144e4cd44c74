import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo_core
from zoo_core import plugins, registry_files
from zoo_core import registry as registry_module
from zoo_core.errors import InvalidRegistry, NetworkError, UnknownName
from zoo_core.registry import Entry, Metric, Registry, own_registry

Make = Callable[..., dict[str, Any]]


Write = Callable[..., Path]


def test_an_entry_has_what_the_file_says(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry())
    found = Registry.load([path]).entries["nade.mnist"]
    assert found.config == {"shape": [1, 28, 28], "hidden": 500}
    assert found.tasks == ("sample", "score")
    assert found.metric("test_nll").published == 85.65
    assert found.weights.parameters == 785284
    assert found.paper is not None
    assert found.paper.year == 2011
    assert found.origin == str(path)


def test_clusters_have_names(entry: Make, write_registry: Write) -> None:
    named = Registry.load([write_registry(entry(clusters=["nines", ""]))]).entries["nade.mnist"]
    assert named.clusters == ("nines", "")
    assert Registry.load([write_registry(entry())]).entries["nade.mnist"].clusters == ()


def test_every_entry_survives_json(entry: Make, write_registry: Write) -> None:
    found = Registry.load([write_registry(entry())]).entries["nade.mnist"]
    assert json.loads(json.dumps(found.as_dict()))["weights"]["sha256"] == "a" * 64


def test_what_is_optional_can_be_left_out(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry(paper=None, metrics=None, tags=None, recipe=None))
    found = Registry.load([path]).entries["nade.mnist"]
    assert (found.paper, found.metrics, found.tags, found.recipe) == (None, (), (), "")


def test_a_file_without_entries_is_a_registry(write_registry: Write) -> None:
    assert Registry.load([write_registry()]).entries == {}


def test_registries_merge_in_order(entry: Make, write_registry: Write) -> None:
    first = write_registry(entry(name="nade.b"), folder="first")
    second = write_registry(entry(name="nade.a"), folder="second")
    assert list(Registry.load([first, second]).entries) == ["nade.b", "nade.a"]
    assert list(Registry.load([first, first]).entries) == ["nade.b"]


def test_a_clash_names_both_registries(entry: Make, write_registry: Write) -> None:
    first = write_registry(entry(), folder="first")
    second = write_registry(entry(weights__sha256="0" * 64), folder="second")
    with pytest.raises(InvalidRegistry) as caught:
        Registry.load([first, second])
    assert str(caught.value) == (
        f"entry 'nade.mnist' is both in {first} and in {second}; rename or remove one."
    )


def test_one_name_with_one_digest_is_no_clash(entry: Make, write_registry: Write) -> None:
    first = write_registry(entry(), folder="first")
    second = write_registry(entry(), entry(name="nade.more"), folder="second")
    entries = Registry.load([first, second]).entries
    assert {name: e.origin for name, e in entries.items()} == {
        "nade.mnist": str(first),
        "nade.more": str(second),
    }


def test_a_name_twice_in_a_file_is_a_clash(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry(), entry())
    with pytest.raises(InvalidRegistry, match=r"'nade.mnist' is twice in .*; rename or remove one"):
        Registry.load([path])


def test_the_environment_names_registries(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_registry(entry(name="nade.a"), folder="first")
    second = write_registry(entry(name="nade.b"), folder="second")
    monkeypatch.setenv("ZOO_REGISTRY", f"{first}, {second}")
    assert list(Registry.load().entries) == ["nade.a", "nade.b"]


def test_our_own_registry_is_the_default() -> None:
    assert Registry.load().sources == (str(own_registry()),)


def test_a_name_or_its_architecture_finds_an_entry(entry: Make, write_registry: Write) -> None:
    registry = Registry.load([write_registry(entry(), entry(name="nade.dna"))])
    assert registry.lookup("nade.dna").name == "nade.dna"
    assert registry.lookup("nade").name == "nade.mnist"


def test_an_unknown_name_gets_near_matches(entry: Make, write_registry: Write) -> None:
    registry = Registry.load([write_registry(entry(), entry(name="nade.dna"))])
    with pytest.raises(UnknownName) as caught:
        registry.lookup("nade.mnits")
    assert str(caught.value) == (
        "no entry is named 'nade.mnits'. "
        "Did you mean nade.mnist or nade.dna? `zoo list` shows the 2 there are."
    )


def test_an_empty_registry_says_that_it_is(write_registry: Write) -> None:
    with pytest.raises(UnknownName, match=r"no entry is named 'nade': .* holds no entries"):
        Registry.load([write_registry()]).lookup("nade")


def test_globs_match_and_bare_architectures_are_all_of_theirs(
    entry: Make, write_registry: Write
) -> None:
    other = entry(name="vae.mnist", architecture="vae")
    registry = Registry.load([write_registry(entry(), other, entry(name="nade.dna"))])
    assert [e.name for e in registry.match(["*.mnist"])] == ["nade.mnist", "vae.mnist"]
    assert [e.name for e in registry.match(["nade"])] == ["nade.mnist", "nade.dna"]
    assert [e.name for e in registry.match()] == ["nade.mnist", "vae.mnist", "nade.dna"]
    assert registry.match(["gan*"]) == []
    with pytest.raises(UnknownName, match="no entry is named 'gan'"):
        registry.match(["gan"])


def test_selected_entries_come_once(entry: Make, write_registry: Write) -> None:
    registry = Registry.load([write_registry(entry(), entry(name="nade.dna"))])
    assert [e.name for e in registry.select(["nade"])] == ["nade.mnist"]
    assert [e.name for e in registry.select(["nade.*", "nade"])] == ["nade.mnist", "nade.dna"]


def test_a_selected_glob_that_no_entry_fits_is_an_unknown_name(
    entry: Make, write_registry: Write
) -> None:
    registry = Registry.load([write_registry(entry())])
    with pytest.raises(UnknownName, match=r"no entry fits 'zebra\*'\. `zoo list` shows the 1"):
        registry.select(["nade", "zebra*"])


def test_a_glob_in_the_place_of_a_name_says_what_fits(entry: Make, write_registry: Write) -> None:
    entries = (entry(name=f"nade.{letter}") for letter in "abcd")
    registry = Registry.load([write_registry(*entries)])
    for glob, fitting in (("nade.a*", "nade.a"), ("nade*", "nade.a, nade.b, nade.c, …")):
        message = f"{glob!r} is a pattern, which fits {fitting}; expected one entry's name"
        with pytest.raises(UnknownName, match=re.escape(message)):
            registry.lookup(glob)


def test_an_unknown_metric_gets_near_matches(entry: Make, write_registry: Write) -> None:
    found = Registry.load([write_registry(entry())]).lookup("nade")
    with pytest.raises(UnknownName) as caught:
        found.metric("test_nil")
    assert str(caught.value) == (
        "entry 'nade.mnist' has no metric 'test_nil'. Did you mean test_nll? It has: test_nll."
    )


def test_weights_lie_beside_the_registry_then_at_its_mirrors(
    entry: Make, write_registry: Write
) -> None:
    path = write_registry(entry(), mirrors=["../copy", "https://mirror.example/zoo/"])
    blob = Registry.load([path]).lookup("nade").blob
    assert blob.sources == (
        str(path.parent / "weights/nade.bin"),
        str(path.parent.parent / "copy/weights/nade.bin"),
        "https://mirror.example/zoo/weights/nade.bin",
    )
    assert (blob.sha256, blob.bytes) == ("a" * 64, 12)


@pytest.mark.parametrize("url", ["https://example.org/n.bin", "/data/n.bin", "s3://bucket/n.bin"])
def test_absolute_urls_pass_through(entry: Make, write_registry: Write, url: str) -> None:
    path = write_registry(entry(weights__url=url), mirrors=["https://mirror.example"])
    assert Registry.load([path]).lookup("nade").blob.sources == (url,)


def test_passwords_and_tokens_of_an_address_are_never_shown(
    entry: Make,
    write_registry: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "https://me:secret@zoo.example/registry.toml?token=secret"
    data = write_registry(entry(), entry()).read_bytes()
    for answer in (b"", b"<html>", data):
        monkeypatch.setattr(
            registry_files, "_download", lambda url, known, answer=answer: (answer, "")
        )
        with pytest.raises((InvalidRegistry, UnknownName)) as caught:
            Registry.load([url], refresh=True).lookup("nade")
        assert "https://…@zoo.example/registry.toml?token=…" in str(caught.value)
        assert "secret" not in str(caught.value)
    monkeypatch.undo()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match="read before") as unread:
        Registry.load([url + "&more=secret"])
    assert "secret" not in str(unread.value)


def test_an_entry_as_json_shows_no_password_and_no_token(
    entry: Make, write_registry: Write
) -> None:
    url = "https://me:secret@b.example/n.bin?X-Amz-Signature=secret&expires=secret"
    path = write_registry(
        entry(weights__url=url, recipe=url), mirrors=[url.replace("n.bin", "zoo")]
    )
    found = Registry.load([path]).lookup("nade")
    said = json.dumps(found.as_dict())
    assert "secret" not in said
    assert said.count("https://…@b.example/".encode("ascii", "backslashreplace").decode()) == 3
    assert found.blob.sources[0] == url


def test_the_api_lists_and_pulls(published: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", str(published("nade.mnist", "nade.dna")))
    assert [e.name for e in zoo_core.list_entries("nade*")] == ["nade.mnist", "nade.dna"]
    assert all(isinstance(e, Entry) for e in zoo_core.list_entries())
    shown = zoo_core.list_entries("nade*")._repr_html_()  # type: ignore[attr-defined] # a notebook's
    assert "<td>nade.dna</td>" in shown and shown.count("<tr>") == 3
    path = zoo_core.pull("nade.dna")
    assert path.read_bytes() == b"weights of nade.dna"
    assert not path.stat().st_mode & stat.S_IWUSR


def test_the_api_is_what_it_says() -> None:
    assert dir(zoo_core) == sorted(zoo_core.__all__)
    for name in zoo_core.__all__:
        if name != "load":  # imports torch
            assert getattr(zoo_core, name)
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        zoo_core.lod  # noqa: B018


def test_a_deprecated_entry_warns_and_forwards(
    entry: Callable[..., dict[str, Any]],
    write_registry: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = {"successor": "nade.new", "reason": "trained on the test set"}
    path = write_registry(entry(name="nade.old", deprecated=old), entry(name="nade.new"))
    registry = Registry.load([path])
    assert registry.lookup("nade.old").name == "nade.new"
    assert capsys.readouterr().err == (
        "warning: nade.old is deprecated (trained on the test set); nade.new is used instead.\n"
    )
    assert registry.lookup("nade").name == "nade.new"
    assert [e.name for e in registry.match()] == ["nade.old", "nade.new"]
    assert not capsys.readouterr().err


def test_a_withdrawn_name_warns_and_forwards(
    entry: Callable[..., dict[str, Any]],
    write_registry: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = {"name": "nade.old", "successor": "nade.new", "reason": "blurred"}
    older = {"name": "nade.older", "successor": "nade.old"}
    path = write_registry(entry(name="nade.new"), entry(name="nade.more"), withdrawn=[old, older])
    registry = Registry.load([path])
    assert registry.lookup("nade.older").name == "nade.new"
    assert capsys.readouterr().err == (
        "warning: nade.older is withdrawn; nade.old is used instead.\n"
        "warning: nade.old is withdrawn (blurred); nade.new is used instead.\n"
    )
    assert [e.name for e in registry.match()] == ["nade.new", "nade.more"]
    assert [e.name for e in registry.select(["nade.old"])] == ["nade.new"]
    assert [e.name for e in registry.match(["nade.old"])] == ["nade.new"]


def test_a_name_is_withdrawn_once_and_is_no_entry(
    entry: Callable[..., dict[str, Any]], write_registry: Callable[..., Path]
) -> None:
    one = {"name": "nade.old", "successor": "nade.new"}
    other = one | {"successor": "nade.more"}
    path = write_registry(entry(name="nade.new"), withdrawn=[one, other])
    with pytest.raises(InvalidRegistry, match=r"'nade\.old' is withdrawn twice; remove one"):
        Registry.load([path])
    path = write_registry(entry(name="nade.old"), withdrawn=[one])
    with pytest.raises(InvalidRegistry, match=r"'nade\.old' is an entry and withdrawn"):
        Registry.load([path])
    first = write_registry(entry(name="nade.new"), withdrawn=[one], folder="first")
    second = write_registry(entry(name="nade.more"), withdrawn=[other], folder="second")
    with pytest.raises(InvalidRegistry, match=r"is withdrawn for 'nade\.new' in \S+first/"):
        Registry.load([first, second])
    live = write_registry(entry(name="nade.old"), folder="live")  # of another registry: it is used
    assert Registry.load([first, live]).lookup("nade.old").name == "nade.old"
    assert not [*Registry.load([first, live]).replaced()]


@pytest.mark.parametrize("successor", ["nade.gone", "nade.old"])
def test_what_is_withdrawn_has_a_successor_that_is_there(
    successor: str, entry: Callable[..., dict[str, Any]], write_registry: Callable[..., Path]
) -> None:
    old = {"name": "nade.old", "successor": successor}
    path = write_registry(entry(name="nade.new"), withdrawn=[old])
    with pytest.raises(
        InvalidRegistry, match=r"'nade.old' is withdrawn for '\S+', which is not an"
    ):
        Registry.load([path]).lookup("nade.old")


@pytest.mark.parametrize("successor", ["nade.gone", "nade.old", "nade.circle"])
def test_a_successor_must_be_there(
    successor: str,
    entry: Callable[..., dict[str, Any]],
    write_registry: Callable[..., Path],
) -> None:
    path = write_registry(
        entry(name="nade.old", deprecated={"successor": successor}),
        entry(name="nade.circle", deprecated={"successor": "nade.old"}),
    )
    with pytest.raises(InvalidRegistry, match=r"not an entry that can take its place"):
        Registry.load([path]).lookup("nade.old")


def test_a_familys_registry_joins_the_default_one(
    entry: Callable[..., dict[str, Any]],
    write_registry: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = write_registry(entry(name="nade.ours"), folder="good")
    other = entry(name="nade.ours", weights__sha256="0" * 64)
    clash = write_registry(other, entry(name="nade.more"), folder="clash")
    monkeypatch.setattr(plugins, "registries", lambda: [good, clash])
    registry = Registry.load()
    assert registry.lookup("nade.ours").origin == str(good)
    assert "nade.more" not in registry.entries
    said = capsys.readouterr().err
    assert said.startswith("warning: a family's registry is left out: entry 'nade.ours' is both in")
    monkeypatch.setenv("ZOO_REGISTRY", str(clash))
    assert [*Registry.load().entries] == ["nade.ours", "nade.more"]


def test_files_of_our_registry_lie_beside_the_code() -> None:
    entry = Registry.load([registry_module.own_registry()]).lookup("nade.mnist")
    assert entry.shipped
    assert any(path.is_file() for path in entry.blob.shipped)
    assert Path(entry.recipe_file).is_file()


def test_a_wheel_has_them_in_the_family_s_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "zoo_autoregressive"
    for name in ("weights/nade.mnist.safetensors", "recipes/nade.mnist.toml"):
        (package / name).parent.mkdir(parents=True)
        (package / name).write_text("x")
    registry = tmp_path / "site" / "zoo_core" / "registry.toml"
    registry.parent.mkdir()
    registry.write_bytes(registry_module.own_registry().read_bytes())
    monkeypatch.setattr(registry_module, "own_registry", lambda: registry)
    monkeypatch.setattr("zoo_core.plugins.folder", lambda family: package)
    entry = Registry.load([registry]).lookup("nade.mnist")
    assert package / "weights/nade.mnist.safetensors" in entry.blob.shipped
    assert entry.recipe_file == str(package / "recipes/nade.mnist.toml")


def test_a_registry_from_elsewhere_ships_nothing(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_bytes(registry_module.own_registry().read_bytes())
    assert Registry.load([path]).lookup("nade.mnist").blob.shipped == ()


def test_a_large_spread_is_a_whole_number() -> None:
    figure = {"name": "fid", "unit": "distance²", "tolerance": 1.0, "protocol": {}}
    metric = Metric(value=8123.46, standard_error=123.4, training_seeds=(8123.46, 8900), **figure)
    assert metric.figure == "8123.46 ± 123 distance²"
    assert metric.spread == "8123.46, 8900; mean 8511.73"
    metric = Metric(value=8123.46, training_seeds=(8123.46, 8900, 9100), **figure)
    assert metric.spread == "8123.46, 8900, 9100; 8123.46 to 9100, mean 8707.82, deviation 516"
