"""The core's own family."""

from zoo_core import plugins


def test_the_core_offers_it_through_the_door_of_any_family() -> None:
    family, architecture = plugins.find("features")
    assert (family.distribution, architecture.path) == (
        "zoo-core",
        "zoo_core.features.net:FeatureNet",
    )
