from contextlib import AbstractContextManager

import pytest

from factories import failing_command
from zoo_core import errors
from zoo_core.errors import InvalidInput, InvalidWeights, PluginError, ZooError, naming

TREE = [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_a_line_and_its_exit_code(kind: type[ZooError]) -> None:
    result = failing_command(kind("what was given, and what to do"))
    assert result.exit_code == kind.exit_code
    assert result.stderr == "error: what was given, and what to do\n"
    assert result.stdout == ""


def test_exit_codes_are_the_documented_ones() -> None:
    codes = {kind.__name__: kind.exit_code for kind in TREE}
    assert codes == {
        "BusyError": 9,
        "CheckFailed": 7,
        "DigestMismatch": 6,
        "DiskError": 8,
        "InvalidInput": 2,
        "InvalidRegistry": 1,
        "InvalidWeights": 1,
        "NetworkError": 5,
        "OutputExists": 2,
        "PluginError": 4,
        "UnknownName": 3,
        "UntrustedRegistry": 10,
        "ZooError": 1,
    }


def test_what_goes_wrong_with_a_file_names_it_once() -> None:
    with pytest.raises(InvalidInput, match=r"^a\\x1b\.bin: no layers$"), blamed():
        raise InvalidInput("no layers")
    with pytest.raises(InvalidInput, match=r"^a\\x1b\.bin has no layers$"), blamed():
        raise InvalidInput(r"a\x1b.bin has no layers")
    message = r"^a\\x1b\.bin cannot be used: KeyError: 'x'\. Fetch it again\.$"
    with pytest.raises(InvalidWeights, match=message), blamed():
        raise KeyError("x")


@pytest.mark.parametrize("error", [PluginError("of a plugin"), MemoryError()])
def test_what_is_not_the_files_fault_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, blamed():
        raise error
    assert caught.value is error


def blamed() -> AbstractContextManager[None]:
    return naming("a\x1b.bin", InvalidWeights, "Fetch it again.")
