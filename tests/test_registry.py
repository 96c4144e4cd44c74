import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo_core
from zoo_core import plugins, registry_files
from zoo_core import registry as registry_module
from zoo_core.errors import InvalidRegistry, NetworkError, UnknownName
from zoo_core.registry import Entry, Registry, own_registry
from zoo_core.registry_files import MAX_BYTES
from zoo_core.schema import parse

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


def test_the_cached_result_is_the_parsed_one(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry(), mirrors=["mirror"])
    first, second = Registry.load([path]).entries, Registry.load([path]).entries
    assert first == second


def test_a_cached_result_is_not_parsed_again(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(entry())
    Registry.load([path])
    monkeypatch.setattr("zoo_core.schema.parse", lambda *_: pytest.fail("parsed again"))
    assert list(Registry.load([path]).entries) == ["nade.mnist"]


def test_a_changed_file_is_parsed_again(entry: Make, write_registry: Write) -> None:
    Registry.load([write_registry(entry())])
    path = write_registry(entry(name="nade.dna"))
    assert list(Registry.load([path]).entries) == ["nade.dna"]


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"{", b"\xff\xfe"])
def test_a_damaged_cache_is_ignored(
    entry: Make, write_registry: Write, tmp_path: Path, damage: bytes
) -> None:
    path = write_registry(entry())
    Registry.load([path])
    (cache,) = (tmp_path / "zoo-home" / "registries").iterdir()
    key = cache.read_bytes().partition(b"\n")[0]
    cache.write_bytes(key + b"\n" + damage)
    assert list(Registry.load([path]).entries) == ["nade.mnist"]


def test_a_cache_folder_that_cannot_be_written_is_ignored(
    entry: Make, write_registry: Write, tmp_path: Path
) -> None:
    (tmp_path / "zoo-home").write_text("a file where a folder should be")
    assert list(Registry.load([write_registry(entry())]).entries) == ["nade.mnist"]


def test_every_entry_survives_json(entry: Make, write_registry: Write) -> None:
    found = Registry.load([write_registry(entry())]).entries["nade.mnist"]
    assert json.loads(json.dumps(found.as_dict()))["weights"]["sha256"] == "a" * 64


def test_what_is_optional_can_be_left_out(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry(paper=None, metrics=None, tags=None, recipe=None))
    found = Registry.load([path]).entries["nade.mnist"]
    assert (found.paper, found.metrics, found.tags, found.recipe) == (None, (), (), "")


def test_a_file_without_entries_is_a_registry(write_registry: Write) -> None:
    assert Registry.load([write_registry()]).entries == {}


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"name": "NADE.mnist"}, "'name' is 'NADE.mnist'; expected architecture.variant in lower case"),
    ({"name": "nade"}, "'name' is 'nade'; expected architecture.variant"),
    ({"name": "vae.mnist"}, "the name must start with its architecture, 'nade.'"),
    ({"name": None}, "entry 1: 'name' is missing; expected architecture.variant"),
    ({"name": 3}, "entry 1: 'name' is 3; expected architecture.variant"),
    ({"licens": "MIT"}, "unknown key 'licens'. Did you mean licence? Allowed: name, summary,"),
    ({"weights__sha": "a"}, "unknown key 'weights.sha'. Did you mean sha256?"),
    ({"weights__sha256": "abc"}, "'weights.sha256' is 'abc'; expected 64 hexadecimal digits"),
    ({"weights__sha256": "A" * 64}, "expected 64 hexadecimal digits in lower case"),
    ({"weights__bytes": -1}, "'weights.bytes' is -1; expected the file's size, a whole number"),
    ({"weights__bytes": True}, "'weights.bytes' is True; expected the file's size"),
    (
        {"weights__parameters": 1.5},
        "'weights.parameters' is 1.5; expected the number of parameters",
    ),
    ({"weights__url": None}, "'weights.url' is missing; expected a path relative to the registry"),
    ({"weights": "x.bin"}, "'weights' is 'x.bin'; expected a table with url, sha256, bytes"),
    ({"summary": ""}, "'summary' is ''; expected one line of text"),
    ({"summary": "red\x1b[31m"}, "'summary' is 'red\\x1b[31m'; expected one line of text"),
    ({"tasks": "sample"}, "'tasks' is 'sample'; expected a list of tasks"),
    ({"requires": "?"}, "'requires' is '?'; expected a distribution and version range"),
    ({"family": None}, "'family' is missing; expected a family's name"),
    ({"licence__weights": None}, "'licence.weights' is missing; expected an SPDX identifier"),
    ({"paper__year": 11}, "'paper.year' is 11; expected a year"),
    ({"config": [1]}, "'config' is [1]; expected a table of numbers"),
    (
        {"metrics": [{"name": "test_nll"}]},
        "'metrics[0].value' is missing; expected a finite number",
    ),
    ({"metrics": {"name": "x"}}, "expected an array of tables, [[entry.metrics]]"),
]


@pytest.mark.parametrize(("changes", "text"), BROKEN)
def test_a_broken_entry_is_named_with_what_is_allowed(
    entry: Make, write_registry: Write, changes: dict[str, Any], text: str
) -> None:
    path = write_registry(entry(**changes))
    with pytest.raises(InvalidRegistry) as caught:
        Registry.load([path])
    message = str(caught.value)
    assert message.startswith(f"{path}: entry ")
    assert text in message


FILES: list[tuple[bytes, str]] = [
    (b"", "'schema' is missing; expected 1, the schema that this version of zoo reads"),
    (b"schema = 2", "'schema' is 2; expected 1, the schema that this version of zoo reads"),
    (b"schema = 1\nentries = []", "unknown key 'entries'. Did you mean entry?"),
    (b"schema = 1\nentry = 3", "'entry' is 3; expected an array of tables, [[entry]]"),
    (b"schema = ", "not TOML: Invalid value"),
    (b"schema = 1 # \xff", "not UTF-8 text"),
    (b"schema = 1\n" + b"a." * 300 + b"a = 1", "line 2 has 300 dots; expected at most 100"),
    (b"schema = " + b"9" * 5000, "not TOML: Exceeds the limit (4300 digits)"),
    (b"schema = 0x" + b"f" * 5000, "'schema' is a number with thousands of digits; expected 1"),
    (b"x = " + b"[" * 100_000, "nested too deeply to be a registry"),
    (b"schema = 1\nentry = [{config = {day = 1979-05-27}}]", "'name' is missing"),
]


@pytest.mark.parametrize(("data", "text"), FILES)
def test_a_broken_file_is_named_with_what_is_wrong(data: bytes, text: str) -> None:
    with pytest.raises(InvalidRegistry) as caught:
        parse(data, "some/registry.toml")
    assert str(caught.value).startswith("some/registry.toml: ")
    assert text in str(caught.value)


@pytest.mark.parametrize("depth", [20, 60, 400])
def test_a_deep_config_is_parsed_or_refused(entry: Make, write_registry: Write, depth: int) -> None:
    path = write_registry(entry())
    opening = ("{" + "a." * 90 + "a = [\n") * depth
    path.write_text(path.read_text().replace("hidden = 500", f"hidden = {opening}{']}' * depth}"))
    with pytest.raises(InvalidRegistry, match="nested too deeply to be a registry"):
        Registry.load([path])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_file_is_a_registry_or_our_error(data: st.DataObject) -> None:
    good = bytearray(b"schema = 1\n[[entry]]\nname = 'a.b'\nconfig = {x = [1, 2.5, 'y']}\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good)))
        good[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    try:
        assert json.loads(json.dumps(parse(bytes(good), "file")))["schema"] == 1
    except InvalidRegistry as error:
        assert str(error).startswith("file: ")


def test_a_config_holds_what_json_can(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry())
    path.write_text(path.read_text().replace("hidden = 500", "day = 1979-05-27"))
    with pytest.raises(InvalidRegistry, match="expected a table of numbers, texts, booleans"):
        Registry.load([path])


def test_registries_merge_in_order(entry: Make, write_registry: Write) -> None:
    first = write_registry(entry(name="nade.b"), folder="first")
    second = write_registry(entry(name="nade.a"), folder="second")
    assert list(Registry.load([first, second]).entries) == ["nade.b", "nade.a"]
    assert list(Registry.load([first, first]).entries) == ["nade.b"]


def test_a_clash_names_both_registries(entry: Make, write_registry: Write) -> None:
    first = write_registry(entry(), folder="first")
    second = write_registry(entry(), folder="second")
    with pytest.raises(InvalidRegistry) as caught:
        Registry.load([first, second])
    assert str(caught.value) == (
        f"entry 'nade.mnist' is both in {first} and in {second}; rename or remove one."
    )


def test_a_name_twice_in_a_file_is_a_clash(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry(), entry())
    with pytest.raises(InvalidRegistry, match=r"'nade.mnist' is twice in .*; rename or remove one"):
        Registry.load([path])


def test_a_missing_registry_is_named() -> None:
    with pytest.raises(
        InvalidRegistry, match=r"no registry at /nowhere/registry.toml. ZOO_REGISTRY"
    ):
        Registry.load(["/nowhere/registry.toml"])


def test_a_folder_stands_for_the_registry_in_it(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry())
    assert Registry.load([path.parent]).sources == (str(path),)


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


def test_a_remote_registry_is_read_once_and_kept(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_registry(entry()).read_bytes()
    calls: list[str] = []
    monkeypatch.setattr(registry_files, "_download", lambda url: calls.append(url) or data)
    url = "https://zoo.example/models/registry.toml?token=1"
    for _ in range(2):
        found = Registry.load([url]).lookup("nade")
    assert found.blob.sources == ("https://zoo.example/models/weights/nade.bin",)
    assert len(calls) == 1
    Registry.load([url], refresh=True)
    assert len(calls) == 2


def test_a_server_that_fails_leaves_the_last_good_copy(
    entry: Make,
    write_registry: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_registry(entry()).read_bytes()
    monkeypatch.setattr(registry_files, "_download", lambda url: data)
    Registry.load(["https://zoo.example/"])

    def fail(url: str) -> bytes:
        raise NetworkError(f"cannot read the registry {url}.")

    monkeypatch.setattr(registry_files, "_download", fail)
    assert Registry.load(["https://zoo.example/"], refresh=True).lookup("nade").name == "nade.mnist"
    assert "warning: cannot read the registry https://zoo.example/" in capsys.readouterr().err


def test_a_bad_answer_does_not_replace_the_good_copy(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_registry(entry()).read_bytes()
    monkeypatch.setattr(registry_files, "_download", lambda url: data)
    Registry.load(["https://zoo.example/"])
    monkeypatch.setattr(registry_files, "_download", lambda url: b"<html>")
    with pytest.raises(InvalidRegistry, match=r"https://zoo.example/registry.toml: not TOML"):
        Registry.load(["https://zoo.example/"], refresh=True)
    assert Registry.load(["https://zoo.example/"]).lookup("nade").name == "nade.mnist"


def test_offline_uses_the_copy_however_old(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = write_registry(entry()).read_bytes()
    monkeypatch.setattr(registry_files, "_download", lambda url: data)
    Registry.load(["https://zoo.example/"])
    monkeypatch.undo()
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "zoo-home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    for copy in (tmp_path / "zoo-home" / "registries").iterdir():
        os.utime(copy, (0, 0))
    assert Registry.load(["https://zoo.example/"]).lookup("nade").name == "nade.mnist"
    with pytest.raises(NetworkError, match=r"has not been read before and ZOO_OFFLINE is set"):
        Registry.load(["https://other.example/"])


def test_a_registry_that_cannot_be_fetched_is_named() -> None:
    with pytest.raises(NetworkError, match=r"http://127.0.0.1:9/x.toml: Cannot connect to host"):
        Registry.load(["http://127.0.0.1:9/x.toml"])


def test_a_registry_has_a_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InvalidRegistry, match=r"more than the 1,048,576 bytes .* Split it"):
        Registry.load([path])


def test_a_registry_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "registry.toml")
    with pytest.raises(InvalidRegistry, match=r"cannot read the registry .*: it is a named pipe"):
        Registry.load([tmp_path])


def test_passwords_and_tokens_of_an_address_are_never_shown(
    entry: Make,
    write_registry: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "https://me:secret@zoo.example/registry.toml?token=secret"
    data = write_registry(entry(), entry()).read_bytes()
    for answer in (b"", b"<html>", data):
        monkeypatch.setattr(registry_files, "_download", lambda url, answer=answer: answer)
        with pytest.raises((InvalidRegistry, UnknownName)) as caught:
            Registry.load([url], refresh=True).lookup("nade")
        assert "https://…@zoo.example/registry.toml?token=…" in str(caught.value)
        assert "secret" not in str(caught.value)
    monkeypatch.undo()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match="read before") as unread:
        Registry.load([url + "&more=secret"])
    assert "secret" not in str(unread.value)


def test_fsspec_decides_which_schemes_there_are(entry: Make, write_registry: Write) -> None:
    import fsspec

    data = write_registry(entry()).read_bytes()
    fsspec.filesystem("memory").pipe_file("/zoo/registry.toml", data)
    found = Registry.load(["memory://zoo/registry.toml"]).lookup("nade")
    assert found.blob.sources == ("memory://zoo/weights/nade.bin",)
    with pytest.raises(NetworkError, match=r"registry nope://x: Protocol not known"):
        Registry.load(["nope://x"])


def test_the_api_lists_and_pulls(published: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", str(published("nade.mnist", "nade.dna")))
    assert [e.name for e in zoo_core.list_entries("nade*")] == ["nade.mnist", "nade.dna"]
    assert all(isinstance(e, Entry) for e in zoo_core.list_entries())
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


# Deprecation


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


def test_deprecated_has_a_successor(
    entry: Callable[..., dict[str, Any]], write_registry: Callable[..., Path]
) -> None:
    with pytest.raises(InvalidRegistry, match=r"'deprecated.successor' is missing"):
        Registry.load([write_registry(entry(deprecated={"reason": "old"}))])


# Registries that families ship


def test_a_familys_registry_joins_the_default_one(
    entry: Callable[..., dict[str, Any]],
    write_registry: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = write_registry(entry(name="nade.ours"), folder="good")
    clash = write_registry(entry(name="nade.ours"), entry(name="nade.more"), folder="clash")
    monkeypatch.setattr(plugins, "registries", lambda: [good, clash])
    registry = Registry.load()
    assert registry.lookup("nade.ours").origin == str(good)
    assert "nade.more" not in registry.entries
    said = capsys.readouterr().err
    assert said.startswith("warning: a family's registry is left out: entry 'nade.ours' is both in")
    monkeypatch.setenv("ZOO_REGISTRY", str(clash))
    assert [*Registry.load().entries] == ["nade.ours", "nade.more"]


# With the code


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
