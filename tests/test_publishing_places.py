"""Places to publish to: folders and buckets, and those that cannot be written to."""

from pathlib import Path
from typing import Any

import pytest

from containers import Containers
from zoo_core.errors import InvalidInput, NetworkError, ZooError
from zoo_core.oci import Address, Repository
from zoo_core.publishing import Item, place_of, publish
from zoo_core.registry import Registry
from zoo_core.store import Store

LICENCES = {"weights": "CC0-1.0", "code": "Apache-2.0"}


def test_a_bucket_is_a_place(item: Item) -> None:
    place = place_of("memory://bucket/zoo")
    assert publish([item], place, pictures=False)
    assert publish([item], place, pictures=False) == []
    entry = Registry.load(["memory://bucket/zoo/registry.toml"]).lookup("bernoulli.one")
    assert Store().fetch(entry.blob).read_bytes() == item.weights.read_bytes()


def test_a_registry_of_containers_is_a_place(
    item: Item, runs: Path, containers: Containers
) -> None:
    url = f"{containers.url}/team/zoo:v1"
    assert publish([item], place_of(url), pictures=False)
    before = containers.manifests["v1"]
    assert publish([item], place_of(url), pictures=False) == []
    two = Item.of(str(runs / "bernoulli.two")).licensed(LICENCES)
    assert publish([two], place_of(url), pictures=False)
    assert containers.manifests["v1"] != before
    for entry in Registry.load([url]).entries.values():
        assert Store().fetch(entry.blob)
        assert entry.recipe_file.startswith(f"{url}/recipes/")
    assert len(Registry.load([url]).entries) == 2


def test_a_registry_of_containers_is_asked_for_its_files_once_and_at_the_end(
    item: Item, containers: Containers
) -> None:
    assert publish([item], place_of(f"{containers.url}/zoo:v1"), pictures=False)
    asked = [each for each in containers.asked if each == ("GET", "/v2/zoo/manifests/v1")]
    assert len(asked) == 2


def test_a_tag_that_somebody_else_moved_meanwhile_is_not_moved(
    item: Item, containers: Containers
) -> None:
    place: Any = place_of(f"{containers.url}/zoo:v1")
    write = place.write

    def meanwhile(name: str, data: Any) -> None:
        write(name, data)
        if name == "registry.toml":
            other = Repository(Address.of(f"{containers.url}/zoo:v1"))
            other.name([other.push(name, b"schema = 1\n# theirs\n")])

    place.write = meanwhile
    with pytest.raises(ZooError, match="another publisher was there meanwhile"):
        publish([item], place, pictures=False)
    layers = Repository(Address.of(f"{containers.url}/zoo:v1")).layers()
    assert [layer.size for layer in layers.values()] == [len(b"schema = 1\n# theirs\n")]


def test_another_kind_of_artifact_is_not_overwritten(item: Item, containers: Containers) -> None:
    containers.manifests["v1"] = b'{"mediaType": "an image"}'
    with pytest.raises(NetworkError, match="another kind of artifact, and no model"):
        publish([item], place_of(f"{containers.url}/zoo:v1"))
    assert list(containers.manifests) == ["v1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://a.org/zoo", "https is not written to"),
        (f"oci://a.org/zoo@sha256:{'a' * 64}", "a digest is of what is there already"),
        ("oci://a.org/zoo:v1/x", "a digest is of what is there already, and a file is no place"),
        ("oci://a.org/Zoo", "an address is oci://HOST/REPOSITORY:TAG"),
        ("zoo/registry.toml", "it is a file. Give the folder that its registry.toml is in: zoo"),
        ("s3://b/registry.toml", "it is a file. Give the folder .* is in: s3://b"),
        ("nope://a", "Protocol not known: nope"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"cannot publish to {text}: {said}"):
        place_of(text)


def test_nothing_is_published_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match="ZOO_OFFLINE is set"):
        place_of("memory://bucket")
