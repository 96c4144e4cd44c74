from typing import Any

import pytest
from torch import nn

from zoo_core import loading
from zoo_core.testing import LAWS, Case, LawBroken, cases


def nade(**config: Any) -> Case:
    of_family = cases("autoregressive", {"nade": [config]})
    return next(case for case in of_family if case.architecture.name == "nade")


def test_loading_that_alters_a_tensor_breaks_its_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    load = loading.load

    def altered(*args: Any, **options: Any) -> nn.Module:
        model = load(*args, **options)
        next(model.parameters()).mul_(1.001)
        return model

    monkeypatch.setattr(loading, "load", altered)
    for name in ("save_and_load_are_inverse", "meta_load_equals_eager_load"):
        with pytest.raises(LawBroken, match="differing tensors"):
            LAWS[name](nade(hidden=4))


def test_loading_that_trusts_a_file_breaks_its_law(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load", lambda path: nn.Identity())
    with pytest.raises(LawBroken, match="cut short: the file was loaded"):
        LAWS["bad_files_are_refused"](nade(hidden=4))
