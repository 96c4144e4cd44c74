"""The groups of entry points that plugins are found by, apart: finding them imports no pluggy."""

__all__ = ["COMMANDS", "GROUP"]

GROUP = "zoo.families.v1"
"""The entry-point group. The number changes when a hook changes in a way that old plugins break."""

COMMANDS = "zoo.commands.v1"
"""The entry-point group of commands: `name = "package.module:command"`."""
