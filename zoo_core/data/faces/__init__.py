"""Drawn faces: data that anyone can have, since code draws them, with every attribute known."""

from zoo_core.data.faces.sets import (
    counterfactual,
    dicebear,
    dicebear_name,
    faces,
    faces_all,
    faces_domains,
    faces_hair,
    faces_joint,
    faces_styles,
    faces_unpaired,
    named_attributes,
    pixel_faces,
    visible,
)

__all__ = [
    "counterfactual",
    "dicebear",
    "dicebear_name",
    "faces",
    "faces_all",
    "faces_domains",
    "faces_hair",
    "faces_joint",
    "faces_styles",
    "faces_unpaired",
    "named_attributes",
    "pixel_faces",
    "visible",
]
