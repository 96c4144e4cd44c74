"""Looks up what families offer: an architecture by name, or the records of a kind."""

from zoo_core.errors import PluginError, UnknownName, did_you_mean
from zoo_core.hookspecs import Architecture
from zoo_core.plugins.discovery import Family
from zoo_core.plugins.loading import Loaded, R, core, load, load_all

__all__ = ["architecture", "find", "offer", "offers", "own"]


def architecture(name: str, family: str | None = None) -> Architecture:
    """Find an architecture by name, or by `family/name`; with a family only that one is imported.

    Raises PluginError when the family does not load or two families claim the name, and UnknownName
    when none has it.
    """
    return find(name, family)[1]


def find(name: str, family: str | None = None) -> tuple[Family, Architecture]:
    """Find an architecture as `architecture` does, and the family that offers it."""
    if family is None and "/" in name:
        family, _, name = name.partition("/")
    owner = _load_owner(name, family) if family is not None else _find_owner(name)
    return owner.family, owner.architectures[name]


def offer(kind: type[R], name: str) -> R | None:
    """Find a record by name; the core's is found without loading a family.

    kind: the class of the records: `Metric`, `DataSet` or `Task`.

    Raises PluginError when two families offer the name.
    """
    return own(kind).get(name) or offers(kind).get(name)


def own(kind: type[R]) -> dict[str, R]:
    """The records of a kind that the core itself offers, by name."""
    ours = core()
    if ours.error:  # a mistake of ours
        raise PluginError(f"the core's own records: {ours.error}")
    return ours.of(kind)


def offers(kind: type[R]) -> dict[str, R]:
    """All records of a kind, the core's first and then those of installed families, by name.

    Raises PluginError when two offer the same name.
    """
    owners: dict[str, Loaded] = dict.fromkeys(own(kind), core())
    for loaded in load_all():
        for name in loaded.of(kind):
            if name in owners:
                claims = " and ".join(str(one.family) for one in (owners[name], loaded))
                raise PluginError(
                    f"'{name}' is offered by {claims}: uninstall one of them, or leave one out "
                    "with ZOO_PLUGINS."
                )
            owners[name] = loaded
    return {name: loaded.of(kind)[name] for name, loaded in owners.items()}


def _load_owner(name: str, family: str) -> Loaded:
    loaded = load(family)
    if loaded.error:
        raise PluginError(f"family '{family}' ({loaded.family}) did not load: {loaded.error}")
    if name not in loaded.architectures:
        raise UnknownName(
            f"family '{family}' ({loaded.family}) has no architecture '{name}'."
            f"{did_you_mean(name, loaded.architectures)}"
            f" It has: {', '.join(loaded.architectures) or 'none'}."
        )
    return loaded


def _find_owner(name: str) -> Loaded:
    everything = load_all()
    owners = [loaded for loaded in everything if name in loaded.architectures]
    if not owners:
        raise UnknownName(_explain_unknown(name, everything))
    if len(owners) > 1:
        names = " and ".join(f"'{o.family.name}' ({o.family})" for o in owners)
        forms = " or ".join(f"{o.family.name}/{name}" for o in owners)
        raise PluginError(f"architecture '{name}' is offered by {names}. Name one: {forms}")
    return owners[0]


def _explain_unknown(name: str, everything: list[Loaded]) -> str:
    known = [known for loaded in everything for known in loaded.architectures]
    broken = [loaded.family.name for loaded in everything if loaded.error]
    text = f"no installed family offers an architecture '{name}'.{did_you_mean(name, known)}"
    if broken:
        text += f" Not loaded: {', '.join(broken)} (`zoo plugins` says why)."
    return text + f" Known: {', '.join(sorted(known)) or 'none'}."
