"""Every failure that a user can meet, with the exit code of the command that met it.

A message says what was given, what was expected and what to do next; it is shown as it is, without
a traceback, unless `ZOO_DEBUG` is set.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from zoo_core.text import printable

__all__ = [
    "BusyError",
    "CheckFailed",
    "DigestMismatch",
    "DiskError",
    "InvalidInput",
    "InvalidRegistry",
    "InvalidWeights",
    "NetworkError",
    "OutputExists",
    "PluginError",
    "UnknownName",
    "UntrustedRegistry",
    "ZooError",
    "did_you_mean",
    "naming",
]


_TYPED = 200
"""Characters of a name that may still be a mistyped one."""


class ZooError(Exception):
    """Root of the tree. Exit code 1: a failure that no other code describes."""

    exit_code = 1


class InvalidInput(ZooError):
    """An argument, option, file or data set that a command cannot use."""

    exit_code = 2


class OutputExists(InvalidInput):
    """The output file exists and `--force` was not given."""


class InvalidRegistry(ZooError):
    """A registry file that breaks the schema, or two that claim one name."""


class UntrustedRegistry(InvalidRegistry):
    """A registry that no allowed signer signed, or an older one than was seen before."""

    exit_code = 10


class InvalidWeights(ZooError):
    """A weights file that is not sound safetensors, or does not fit its architecture."""


class UnknownName(ZooError):
    """No entry, architecture, data set, family or task has this name."""

    exit_code = 3


class PluginError(ZooError):
    """A family that is not installed, does not load, or claims a name that another has."""

    exit_code = 4


class NetworkError(ZooError):
    """The network failed, or was needed while `ZOO_OFFLINE` is set."""

    exit_code = 5


class DigestMismatch(ZooError):
    """Bytes that are not those which the registry promises."""

    exit_code = 6


class CheckFailed(ZooError):
    """What was recomputed is not what is recorded: a metric, a lock file, a training's weights."""

    exit_code = 7


class DiskError(ZooError):
    """A disk is full, or the store cannot be written."""

    exit_code = 8


class BusyError(ZooError):
    """Another process holds what this one needs, and makes no progress."""

    exit_code = 9


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the sentence that offers up to three near matches of `name`, or nothing."""
    import difflib  # a thirtieth of the time that a listing takes to start

    # comparing takes time by the product of the lengths, and nobody mistypes a page
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6) if len(name) < _TYPED else []
    return f" Did you mean {' or '.join(map(printable, near))}?" if near else ""


@contextmanager
def naming(path: object, kind: type[ZooError], advice: str) -> Iterator[None]:
    """Let whatever goes wrong while a file is used be one error that names it.

    kind: what other exceptions than ours become, in a message that ends with the advice. A plugin's
        error, a registry's, which names its own file, and a lack of memory pass.
    """
    where = printable(path)
    try:
        yield
    except (PluginError, InvalidRegistry, MemoryError):
        raise
    except ZooError as error:
        if where in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error
    except Exception as error:
        what = f"{type(error).__name__}: {printable(error)}".rstrip(": .")
        raise kind(f"{where} cannot be used: {what}. {advice}") from error
