"""`zoo env`: what a bug report needs, and where things are."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from zoo_core import environment
from zoo_core.cli import text
from zoo_core.cli.arguments import json_option
from zoo_core.text import hidden

__all__ = ["VARIABLES", "command"]

VARIABLES = {
    "ZOO_HOME": "folder of pulled weights and caches",
    "ZOO_DATA": "folder of data sets",
    "ZOO_REGISTRY": "registries, separated by commas",
    "ZOO_TRUST": "file of signers whose registries are read",
    "ZOO_CONFIG": "folder of settings",
    "ZOO_OFFLINE": "1: no network",
    "HF_HUB_OFFLINE": "1: no network",
    "ZOO_VERIFY": "always: weights are hashed before each use",
    "ZOO_PLUGINS": "families that may load, separated by commas",
    "ZOO_DEBUG": "1: tracebacks",
    "NO_COLOR": "1: no colour",
}

_DISTRIBUTIONS = ("zoo-core", "torch", "torchvision", "timm", "lightning-fabric", "safetensors")


@click.command("env")
@json_option()
def command(as_json: bool) -> None:
    """Show versions, folders and settings."""
    facts = _facts()
    if as_json:
        text.echo_json(facts)
        return
    for title, pairs in facts.items():
        click.echo(title)
        click.echo("\n".join(text.align([(k, _cell(v)) for k, v in pairs.items()], indent=2)))


def _facts() -> dict[str, dict[str, Any]]:
    import platform

    from zoo_core.plugins import installed
    from zoo_core.registry import own_registry
    from zoo_core.store import Store

    home = environment.home()
    blobs = Store(home).blobs()
    families = installed().values()
    return {
        "versions": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{name: _version(name) for name in _DISTRIBUTIONS},
            **{family.distribution: family.version for family in families},
        },
        "folders": {
            "zoo": str(Path(__file__).parent.parent),
            "python": sys.executable,
            "home": str(home),
            "settings": str(environment.config()),
            "data": os.environ.get("ZOO_DATA") or str(home / "data"),
            "registries": [
                hidden(origin)
                for origin in environment.registry_sources()
                or (str(own_registry()), *environment.added_registries())
            ],
        },
        "store": {"files": len(blobs), "bytes": sum(path.stat().st_size for path in blobs)},
        "settings": {name: _hide_passwords(os.environ.get(name)) for name in VARIABLES},
    }


def _hide_passwords(setting: str | None) -> str | None:
    """A setting, of which each part may be an address with a password."""
    return None if setting is None else ",".join(map(hidden, setting.split(",")))


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
