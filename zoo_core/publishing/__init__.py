"""Entries for others: published in a folder or a bucket, or packed into one file."""

from zoo_core.publishing.bundle import pack, unpack
from zoo_core.publishing.items import Item
from zoo_core.publishing.places import Place, place_of
from zoo_core.publishing.writing import publish

__all__ = ["Item", "Place", "pack", "place_of", "publish", "unpack"]
