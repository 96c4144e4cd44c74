import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Zoo = Callable[..., Result]


def test_a_damaged_file_fails_verification(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade", "vae")
    path = Path(json.loads(zoo("show", "nade", "--json").stdout)["path"])
    path.chmod(0o644)
    path.write_text("weights of nobody....")
    result = zoo("verify", "--json")
    assert result.exit_code == 6
    assert [row["sound"] for row in json.loads(result.stdout)] == [False, True]
    assert "Replace them: zoo rm nade.mnist && zoo pull nade.mnist" in result.stderr
    zoo("rm", "nade")
    zoo("pull", "nade")
    assert zoo("verify", "nade").stdout == "nade.mnist  sound\n"


def test_verify_names_what_is_not_pulled(zoo: Zoo, two: Path) -> None:
    result = zoo("verify", "nade")
    assert result.exit_code == 1
    assert "nothing to verify: nade.mnist. Fetch first: zoo pull nade.mnist" in result.stderr
