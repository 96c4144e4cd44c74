from collections.abc import Callable

import pytest
from click.testing import Result

Zoo = Callable[..., Result]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(zoo: Zoo, shell: str) -> None:
    result = zoo("completion", shell)
    assert result.exit_code == 0
    assert "_ZOO_COMPLETE" in result.stdout


def test_completion_knows_its_shells(zoo: Zoo) -> None:
    result = zoo("completion", "tcsh")
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr
