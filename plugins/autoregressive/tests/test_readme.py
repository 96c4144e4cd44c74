"""The family's readme names what the family has."""

import re
from pathlib import Path

from zoo_core import plugins
from zoo_core.registry import Registry, own_registry

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_each_architecture_has_a_row() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", README, re.M)
    assert sorted(rows) == sorted(plugins.load("autoregressive").architectures)


def test_each_entry_is_named() -> None:
    entries = Registry.load((str(own_registry()),)).entries.values()
    ours = {entry.name for entry in entries if entry.family == "autoregressive"}
    named = re.findall(r"`([\w-]+\.(?:mnist-noised|mnist|dna|nltcs|pixel-faces))`", README)
    assert ours == set(named)
