"""A zoo of generative models: `zoo_core.load("nade.mnist")` gives one with its trained weights.

Importing this package imports nothing else: each name below is found when it is first used, and
torch only by `load`. It does pass `ZOO_OFFLINE` on to libraries that ask only when imported.
"""

from typing import TYPE_CHECKING

from zoo_core.environment import keep_hugging_face_offline as _keep_offline

if TYPE_CHECKING:
    from zoo_core.data.dataset import Dataset
    from zoo_core.data.resolve import dataset
    from zoo_core.loading import Info, create, info, load, save
    from zoo_core.metrics.comparison import compare
    from zoo_core.metrics.evaluation import Figure, evaluate
    from zoo_core.model import Model
    from zoo_core.registry import Registry, list_entries, pull
    from zoo_core.tasks.running import run
    from zoo_core.training.ladder import ladder
    from zoo_core.training.recipe import Recipe
    from zoo_core.training.run import Run
    from zoo_core.training.train import train

__all__ = [
    "Dataset",
    "Figure",
    "Info",
    "Model",
    "Recipe",
    "Registry",
    "Run",
    "__version__",
    "compare",
    "create",
    "dataset",
    "evaluate",
    "info",
    "ladder",
    "list_entries",
    "load",
    "pull",
    "run",
    "save",
    "train",
]

__version__: str
"""The version that is installed."""

_HOMES = {
    "Dataset": "data.dataset",
    "Figure": "metrics.evaluation",
    "Info": "loading",
    "Model": "model",
    "Recipe": "training.recipe",
    "Registry": "registry",
    "Run": "training.run",
    "compare": "metrics.comparison",
    "create": "loading",
    "dataset": "data.resolve",
    "evaluate": "metrics.evaluation",
    "info": "loading",
    "ladder": "training.ladder",
    "list_entries": "registry",
    "load": "loading",
    "pull": "registry",
    "run": "tasks.running",
    "save": "loading",
    "train": "training.train",
}


_keep_offline()


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("zoo-core")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
