"""torchvision's data sets by name, through timm.

The last 10,000 training images are the validation set, as in the literature: timm's "validation" of
these sets is their test set.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core import environment
from zoo_core.data.dataset import Dataset
from zoo_core.errors import InvalidInput, NetworkError
from zoo_core.text import argument

__all__ = ["cifar10", "cifar100", "fashion_mnist", "kmnist", "mnist", "qmnist"]

_FOLDERS = {
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "kmnist": "KMNIST/raw",
    "qmnist": "QMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
}
"""Name -> the folder, below the root, that holds its files."""

_VALIDATION = 10_000


def _load(name: str, split: str, root: Path) -> Dataset:
    """One split; missing files are downloaded, but only into the default root."""
    source = _create(name, "test" if split == "test" else "train", root)
    x, labels = _images(source.data), _labels(source.targets)
    if split != "test":
        x, labels = _hold_out(x, split), _hold_out(labels, split)
    return Dataset(name, split, x, 256, labels, tuple(str(c) for c in source.classes))


mnist, fashion_mnist, kmnist, qmnist, cifar10, cifar100 = (
    partial(_load, name) for name in _FOLDERS
)


def _create(name: str, split: str, root: Path) -> Any:
    # timm imports every model of its own: seconds, which only those pay who ask for such a set
    from timm.data.dataset_factory import create_dataset

    expected = root / _FOLDERS[name]
    ours = root == environment.home() / "data"
    try:
        return create_dataset(f"torch/{name}", root=str(root), split=split)
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        if not str(error).startswith("Dataset not found"):
            raise InvalidInput(
                f"the files of {name} in {expected} are damaged ({error}): replace them."
            ) from error
        if not ours:
            raise InvalidInput(_explain_missing(name, expected)) from None
    if environment.offline():
        raise NetworkError(_explain_missing(name, expected))
    try:
        root.mkdir(parents=True, exist_ok=True)
        return create_dataset(f"torch/{name}", root=str(root), split=split, download=True)
    except (OSError, RuntimeError) as error:
        raise NetworkError(
            f"{_explain_missing(name, expected)} The download failed: {error}"
        ) from error


def _explain_missing(name: str, expected: Path) -> str:
    remedy = "leave both unset to have them downloaded."
    if environment.offline():
        remedy = (
            "have them downloaded where there is a network. Downloads are off: ZOO_OFFLINE or "
            "HF_HUB_OFFLINE is set."
        )
    return (
        f"the files of {name} are not in {expected}. Give the folder that holds "
        f"{_FOLDERS[name].split('/')[0]} as {argument('data_root')} or ZOO_DATA, or {remedy}"
    )


def _images(data: object) -> Tensor:
    """Grey (N, H, W), or colour (N, H, W, C) -> (N, C, H, W), uint8."""
    x = torch.as_tensor(data)
    return x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()


def _labels(targets: object) -> Tensor:
    """(N,), int64; QMNIST's targets are (N, 8) with the class in the first column."""
    labels = torch.as_tensor(targets).long()
    return labels if labels.ndim == 1 else labels[:, 0]


def _hold_out(rows: Tensor, split: str) -> Tensor:
    return rows[-_VALIDATION:] if split == "validation" else rows[:-_VALIDATION]
