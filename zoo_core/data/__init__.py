"""Names and paths to data sets, over timm, torchvision and Hugging Face datasets."""

from zoo_core.data.binarization import binarize, binarize_dataset
from zoo_core.data.dataset import Dataset
from zoo_core.data.inputs import Inputs, image_files, load_images, load_rows
from zoo_core.data.labels import with_labels
from zoo_core.data.resolve import data_root, load_dataset
from zoo_core.data.synthetic import bars_and_stripes_entropy

__all__ = [
    "Dataset",
    "Inputs",
    "bars_and_stripes_entropy",
    "binarize",
    "binarize_dataset",
    "binarized",
    "data_root",
    "image_files",
    "load_dataset",
    "load_images",
    "load_rows",
    "with_labels",
]

binarized = binarize_dataset
"""Its former name."""
