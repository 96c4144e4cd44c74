"""The environment variables that zoo reads, each in one place."""

import os
import sys
from pathlib import Path
from typing import Literal

from zoo_core.errors import InvalidInput
from zoo_core.files import user_path

__all__ = [
    "added_registries",
    "config",
    "debug",
    "home",
    "keep_hugging_face_offline",
    "offline",
    "plugin_names",
    "registry_sources",
    "trust",
    "verify_always",
]

_XDG = sys.platform == "linux"
"""Whether the platform's folders are those of the XDG specification."""


def home() -> Path:
    """Folder of the store and its caches: `ZOO_HOME`, else the platform's cache folder."""
    return _folder("ZOO_HOME", "cache")


def config() -> Path:
    """Folder of settings, which no cleaning of caches removes: `ZOO_CONFIG`, or the platform's."""
    return _folder("ZOO_CONFIG", "config")


def _folder(variable: str, kind: Literal["cache", "config"]) -> Path:
    """The folder that a variable names, else the platform's."""
    if given := os.environ.get(variable):
        return user_path(given)
    if _XDG:  # as platformdirs, which takes a tenth of the time of a listing
        base = Path(os.environ.get(f"XDG_{kind.upper()}_HOME", ""))
        return (base if base.is_absolute() else Path.home() / f".{kind}") / "zoo"
    import platformdirs

    paths = {"cache": platformdirs.user_cache_path, "config": platformdirs.user_config_path}
    return paths[kind]("zoo")


def added_registries() -> tuple[str, ...]:
    """Paths and URLs of the file `registries` in the folder of settings, a line each."""
    try:
        lines = (config() / "registries").read_text("utf-8").splitlines()
    except OSError:
        return ()
    return tuple(line.strip() for line in lines if line.strip())


def trust() -> Path | None:
    """The file of allowed signers: `ZOO_TRUST`, else `trust` in the folder of settings, if any.

    Raises InvalidInput where ZOO_TRUST names no file: a policy that is lost must not be none.
    """
    if given := os.environ.get("ZOO_TRUST"):
        path = user_path(given)
        if not path.is_file():
            raise InvalidInput(f"ZOO_TRUST is {given!r}, and there is no such file of signers.")
        return path
    path = config() / "trust"
    return path if path.is_file() else None


def offline() -> bool:
    """Whether `ZOO_OFFLINE` or `HF_HUB_OFFLINE` forbids the network."""
    return _flag("ZOO_OFFLINE") or _flag("HF_HUB_OFFLINE")


def keep_hugging_face_offline() -> None:
    """Tell Hugging Face's libraries if the network is forbidden.

    They read their environment once, when they are imported: in those that are imported already the
    variable is set that holds what they read.
    """
    if not offline():
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in ("huggingface_hub.constants", "datasets.config"):
        if name in sys.modules:
            sys.modules[name].__dict__.update(HF_HUB_OFFLINE=True, HF_DATASETS_OFFLINE=True)


def debug() -> bool:
    """Whether `ZOO_DEBUG` asks for tracebacks."""
    return _flag("ZOO_DEBUG")


def verify_always() -> bool:
    """Whether `ZOO_VERIFY=always` asks that weights are hashed before each use."""
    given = os.environ.get("ZOO_VERIFY", "")
    if given not in ("", "always"):
        raise InvalidInput(f"ZOO_VERIFY is {given!r}; expected always, or leave it unset.")
    return bool(given)


def registry_sources() -> tuple[str, ...] | None:
    """Paths and URLs in `ZOO_REGISTRY`, separated by commas; None when it is not set."""
    given = os.environ.get("ZOO_REGISTRY")
    if not given:
        return None
    return tuple(part.strip() for part in given.split(",") if part.strip())


def plugin_names() -> frozenset[str] | None:
    """Families in `ZOO_PLUGINS`, separated by commas; empty for none, None when it is not set."""
    given = os.environ.get("ZOO_PLUGINS")
    if given is None:
        return None
    return frozenset(part.strip() for part in given.split(",") if part.strip())


def _flag(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")
