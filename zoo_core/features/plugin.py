"""What the core itself offers as a family, described without importing torch."""

from zoo_core.hookspecs import Architecture, Check, DataSet, Metric, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="features",
            path="zoo_core.features.net:FeatureNet",
            summary="Small residual classifier, in whose features samples are compared with data",
            tasks=("features",),
            exports=("classify", "features"),
            paper="He, Zhang, Ren & Sun 2015, Deep Residual Learning (arXiv 1512.03385)",
            trainer="zoo_core.features.trainer:CrossEntropy",
            check=Check(config={"heads": [2], "channels": [4, 4, 4, 8], "stem": 4}),
        )
    ]


@hookimpl
def zoo_datasets() -> list[DataSet]:
    """Describe the data sets of this family."""
    return [
        DataSet("faces", "zoo_core.data.faces:faces", "Drawn faces, 64x64 RGB, with attributes"),
        DataSet(
            "faces-all",
            "zoo_core.data.faces:faces_all",
            "The same, and for training also of the combinations that faces holds out",
        ),
        DataSet(
            "faces-domains",
            "zoo_core.data.faces:faces_domains",
            "The faces, labelled by hair colour, skin, beard and eyebrows together",
        ),
        DataSet(
            "faces-hair", "zoo_core.data.faces:faces_hair", "The faces, labelled by hair colour"
        ),
        DataSet(
            "faces-unpaired",
            "zoo_core.data.faces:faces_unpaired",
            "Drawn faces in the styles toon-head and personas, no person in both",
        ),
        DataSet(
            "faces-styles",
            "zoo_core.data.faces:faces_styles",
            "The same, labelled by style, hair colour and skin together",
        ),
        DataSet(
            "faces-joint",
            "zoo_core.data.faces:faces_joint",
            "The same, of one style the hair colour alone, of the other the skin alone",
        ),
        DataSet("pixel-faces", "zoo_core.data.faces:pixel_faces", "Pixel art faces, 16x16 RGB"),
    ]


@hookimpl
def zoo_metrics() -> list[Metric]:
    """Describe the metrics of this family."""
    return [
        Metric(
            "head_error",
            "zoo_core.features.figures:head_error",
            "Share of rows that one head classifies wrongly",
            "%",
            0.05,
        ),
        Metric(
            "attribute_error",
            "zoo_core.features.attributes:attribute_error",
            "Share of wrong answers of all heads together",
            "%",
            0.05,
        ),
        Metric(
            "worst_attribute_error",
            "zoo_core.features.attributes:worst_attribute_error",
            "Share of wrong answers of the head that has most of them",
            "%",
            0.1,
        ),
        Metric(
            "attribute_distance",
            "zoo_core.features.attributes:attribute_distance",
            "Total variation of an attribute's histogram in samples from that of data, the worst",
            "share",
            0.01,
        ),
        Metric(
            "attribute_information",
            "zoo_core.features.information:attribute_information",
            "Mutual information of the label and an attribute of its samples, the largest",
            "nats",
            0.01,
        ),
    ]
