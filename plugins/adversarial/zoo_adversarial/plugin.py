"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, Check, DataSet, Metric, Task, hookimpl

_TRAINER = "zoo_adversarial.trainer:AdversarialTrainer"
_IMAGES = "bars-and-stripes-8"
_DECODES = ("sample", "interpolate", "traverse", "manifold")


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="gan",
            path="zoo_adversarial.gan:GAN",
            summary="GAN of multilayer perceptrons, with a maxout discriminator",
            tasks=_DECODES,
            paper="Goodfellow et al. 2014, Generative Adversarial Nets (arXiv 1406.2661)",
            trainer=_TRAINER,
            check=Check(config={"z": 4, "hidden": [16]}),
        ),
        Architecture(
            name="dcgan",
            path="zoo_adversarial.dcgan:DCGAN",
            summary="Deep convolutional GAN, for square images of 28, 32 or 64 pixels",
            tasks=(*_DECODES, "features"),
            paper="Radford, Metz & Chintala 2015, Unsupervised Representation Learning with Deep "
            "Convolutional GANs (arXiv 1511.06434)",
            trainer=_TRAINER,
            check=Check(
                config={"shape": [1, 8, 8], "z": 4, "channels": 4, "trunk": True}, data=_IMAGES
            ),
        ),
        Architecture(
            name="infogan",
            path="zoo_adversarial.infogan:InfoGAN",
            summary="InfoGAN: codes that come to mean something, and sort images without labels",
            tasks=(*_DECODES, "features"),
            paper="Chen et al. 2016, InfoGAN (arXiv 1606.03657)",
            trainer="zoo_adversarial.infogan:InfoTrainer",
            check=Check(
                config={"shape": [1, 8, 8], "z": 4, "clusters": 3, "channels": 4, "hidden": 8},
                data=_IMAGES,
            ),
        ),
        Architecture(
            name="progan",
            path="zoo_adversarial.progan:ProGAN",
            summary="Progressive GAN: grows from 4x4 to 64x64 while it learns",
            tasks=(*_DECODES, "growth"),
            paper="Karras et al. 2018, Progressive Growing of GANs (arXiv 1710.10196)",
            trainer="zoo_adversarial.progan:Progressive",
            check=Check(
                config={"shape": [1, 8, 8], "z": 4, "channels": [6, 4]},
                data=_IMAGES,
                skips={"training_makes_progress": "its first steps see images of 4x4 pixels alone"},
            ),
        ),
        Architecture(
            name="cyclegan",
            path="zoo_adversarial.cyclegan:CycleGAN",
            summary="Two generators that undo each other: translation without pairs",
            tasks=("translate",),
            paper="Zhu et al. 2017, Unpaired Image-to-Image Translation using Cycle-Consistent "
            "Adversarial Networks (arXiv 1703.10593)",
            trainer="zoo_adversarial.cyclegan:Cycle",
            check=Check(config={"shape": [1, 8, 8], "channels": 4, "blocks": 1}),
        ),
        Architecture(
            name="stargan",
            path="zoo_adversarial.stargan:StarGAN",
            summary="One generator between any two of several domains",
            tasks=("translate",),
            paper="Choi et al. 2018, StarGAN: Unified Generative Adversarial Networks for "
            "Multi-Domain Image-to-Image Translation (arXiv 1711.09020)",
            trainer="zoo_adversarial.stargan:Star",
            check=Check(config={"shape": [1, 8, 8], "channels": 4, "blocks": 1}),
        ),
        Architecture(
            name="gan-cls",
            path="zoo_adversarial.gan_cls:GANCLS",
            summary="GAN-CLS: draws what a text says",
            tasks=_DECODES,
            paper="Reed et al. 2016, Generative Adversarial Text to Image Synthesis "
            "(arXiv 1605.05396)",
            trainer="zoo_adversarial.gan_cls:Matching",
            check=Check(config={"shape": [1, 16, 16], "z": 3, "channels": 2, "code": 4}),
        ),
        Architecture(
            name="keypatch",
            path="zoo_adversarial.keypatch:KeyPatch",
            summary="Key-patch GAN: a whole image from a few parts of it, wherever they go",
            tasks=("complete",),
            paper="Lee et al. 2018, Unsupervised Holistic Image Generation from Key Local Patches "
            "(arXiv 1703.10730)",
            trainer="zoo_adversarial.keypatch:Assembly",
            check=Check(
                config={"shape": [1, 8, 8], "channels": 2, "z": 2, "code": 4},
                data=_IMAGES,
                skips={"training_makes_progress": "in forty steps its generator takes twenty"},
            ),
        ),
    ]


@hookimpl
def zoo_datasets() -> list[DataSet]:
    """Describe the data sets of this family."""
    return [
        DataSet(
            "emoji-unpaired",
            "zoo_adversarial.emoji:unpaired",
            "Emoji in the styles twemoji and openmoji, each name in one of them",
        )
    ]


@hookimpl
def zoo_tasks() -> list[Task]:
    """Describe the tasks of this family."""
    return [
        Task(
            "growth",
            "zoo_adversarial.growth:run",
            "zoo_adversarial.growth:Growing",
            "Draw the same samples at each resolution that the model has grown through",
            for_images=(".gif", ".png", ".npz", ".safetensors"),
            for_tables=(),
            settings={"hold": 2, "fade": 4},
            random=True,
        )
    ]


@hookimpl
def zoo_metrics() -> list[Metric]:
    """Describe the metrics of this family."""
    summaries = {
        "translation_l1": "How far translations are from the true drawings of their names",
        "untranslated_l1": "How far inputs are from them, left as they are",
        "translation_retrieval": "How often a translation is nearest to its own true drawing",
        "untranslated_retrieval": "How often an input is, left as it is",
    }
    return [
        Metric(name, f"zoo_adversarial.pairs:{name}", summary, unit="%", tolerance=0.5)
        for name, summary in summaries.items()
    ]
