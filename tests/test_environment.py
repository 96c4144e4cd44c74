"""The environment variables that zoo reads."""

from pathlib import Path

import platformdirs
import pytest

from zoo_core import environment
from zoo_core.errors import InvalidInput


def test_the_home_is_a_variable_or_the_platforms_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    assert environment.home() == tmp_path
    monkeypatch.setenv("ZOO_HOME", "~/weights")
    assert environment.home() == Path.home() / "weights"
    monkeypatch.delenv("ZOO_HOME")
    monkeypatch.delenv("ZOO_CONFIG", raising=False)
    for folder in (str(tmp_path / "own"), "", " "):
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        monkeypatch.setenv("XDG_CONFIG_HOME", folder)
        found = environment.home(), environment.config()
        assert found[0] == platformdirs.user_cache_path("zoo")
        assert found[1] == platformdirs.user_config_path("zoo")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which platformdirs 4.0 follows
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert (environment.home(), environment.config()) == found


@pytest.mark.parametrize("name", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_either_variable_forbids_the_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not environment.offline()
    for value, forbidden in (("1", True), ("yes", True), ("0", False), ("", False)):
        monkeypatch.setenv(name, value)
        assert environment.offline() is forbidden


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.registry_sources() is None and environment.plugin_names() is None
    monkeypatch.setenv("ZOO_REGISTRY", "a.toml, https://b/c.toml,")
    assert environment.registry_sources() == ("a.toml", "https://b/c.toml")
    monkeypatch.setenv("ZOO_REGISTRY", "")
    assert environment.registry_sources() is None
    for value, names in (("latent, nade", {"latent", "nade"}), ("", set())):
        monkeypatch.setenv("ZOO_PLUGINS", value)
        assert environment.plugin_names() == names


def test_weights_are_verified_before_each_use_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not environment.verify_always()
    monkeypatch.setenv("ZOO_VERIFY", "always")
    assert environment.verify_always()
    monkeypatch.setenv("ZOO_VERIFY", "sometimes")
    with pytest.raises(InvalidInput, match="ZOO_VERIFY is 'sometimes'; expected always, or leave"):
        environment.verify_always()


def test_tracebacks_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not environment.debug()
    monkeypatch.setenv("ZOO_DEBUG", "1")
    assert environment.debug()
