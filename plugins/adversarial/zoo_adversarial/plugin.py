"""What this family offers, described without importing torch."""

from typing import Any

from zoo_core.hookspecs import Architecture, Check, Metric, Task, hookimpl

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
            exports=("decode",),
            paper="Goodfellow et al. 2014, Generative Adversarial Nets (arXiv 1406.2661)",
            trainer=_TRAINER,
            check=Check(config={"z": 4, "hidden": [16]}),
        ),
        Architecture(
            name="dcgan",
            path="zoo_adversarial.dcgan:DCGAN",
            summary="Deep convolutional GAN, for square images of 28, 32 or 64 pixels",
            tasks=(*_DECODES, "features"),
            exports=("decode",),
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
            summary="InfoGAN: interpretable codes, and classes without labels",
            tasks=(*_DECODES, "features"),
            exports=("decode",),
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
            exports=("decode", "growth"),
            paper="Karras et al. 2018, Progressive Growing of GANs (arXiv 1710.10196)",
            trainer="zoo_adversarial.progan_trainer:Progressive",
            check=Check(
                config={"shape": [1, 8, 8], "z": 4, "channels": [6, 4]},
                data=_IMAGES,
                skips={"training_makes_progress": "its first steps see images of 4x4 pixels alone"},
            ),
        ),
        Architecture(
            name="cyclegan",
            path="zoo_adversarial.cyclegan:CycleGAN",
            summary="Two generators, each the inverse of the other: translation without pairs",
            tasks=("translate",),
            exports=("translate-*",),
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
            exports=("translate",),
            paper="Choi et al. 2018, StarGAN: Unified Generative Adversarial Networks for "
            "Multi-Domain Image-to-Image Translation (arXiv 1711.09020)",
            trainer="zoo_adversarial.stargan_trainer:Star",
            check=Check(config={"shape": [1, 8, 8], "channels": 4, "blocks": 1}),
        ),
        Architecture(
            name="gan-cls",
            path="zoo_adversarial.gan_cls:GANCLS",
            summary="GAN-CLS: text to image, conditioned on a caption",
            tasks=_DECODES,
            exports=("decode", "read"),
            paper="Reed et al. 2016, Generative Adversarial Text to Image Synthesis "
            "(arXiv 1605.05396)",
            trainer="zoo_adversarial.gan_cls_trainer:Matching",
            check=Check(config={"shape": [1, 16, 16], "z": 3, "channels": 2, "code": 4}),
        ),
        Architecture(
            name="keypatch",
            path="zoo_adversarial.keypatch:KeyPatch",
            summary="Key-patch GAN: a whole image from a few of its parts",
            tasks=("complete",),
            paper="Lee et al. 2018, Unsupervised Holistic Image Generation from Key Local Patches "
            "(arXiv 1703.10730)",
            trainer="zoo_adversarial.keypatch_trainer:Assembly",
            check=Check(
                config={"shape": [1, 8, 8], "channels": 2, "z": 2, "code": 4},
                data=_IMAGES,
                skips={"training_makes_progress": "in forty steps its generator takes twenty"},
            ),
        ),
    ]


@hookimpl
def zoo_tasks() -> list[Task]:
    """Describe the tasks of this family."""
    return [
        Task(
            "growth",
            "zoo_adversarial.growth:growth",
            "zoo_adversarial.growth:Growing",
            "Sample at each resolution that the model has grown through",
            for_images=(".gif", ".png", ".npz", ".safetensors"),
            for_tables=(),
            random=True,
        )
    ]


@hookimpl
def zoo_metrics() -> list[Metric]:
    """Describe the metrics of this family."""
    shares = {
        "styles:translation_style": "How often a classifier sees the requested style",
        "styles:untranslated_style": "How often it does in untranslated inputs",
        "styles:cycle_error": "Distance of images from their round trip",
    }
    distances = {
        "styles:translation_fid": "Fréchet distance of translations from their domain's images",
        "styles:untranslated_fid": "The same of untranslated inputs",
        "completions:parts_fid": "Fréchet distance of completions from their inputs",
        "prompts:prompt_fid": "Fréchet distance of images of texts from those that have the texts",
    }
    return [
        *(_share(path, summary) for path, summary in shares.items()),
        *(_distance(path, summary) for path, summary in distances.items()),
        _share("completions:parts_l1", "Distance of completions from inputs within the parts"),
        _share("completions:others_parts_l1", "How far those of other inputs are"),
        Metric(
            "mask_iou",
            "zoo_adversarial.completions:mask_iou",
            "Intersection of masks and true places of parts, as a share of their union",
            unit="share",
            tolerance=0.005,
        ),
        Metric(
            "constant_mask_iou",
            "zoo_adversarial.completions:constant_mask_iou",
            "The same of one mask for all images, the best for training rows",
            unit="share",
            tolerance=0.005,
        ),
        _share("completions:completion_spread", "Difference of completions outside their parts"),
        _share("completions:completion_spread", "The same within the parts", "within", within=True),
        *_of_prompts(),
        *_of_faces(),
    ]


def _of_faces() -> list[Metric]:
    """Of translations of drawn faces, in which a net names attributes."""
    worst = "The same of the worst direction"
    return [
        _share("counterparts:asked", "How often a net sees the requested change"),
        _share("counterparts:worst_asked", worst),
        _share("counterparts:kept", "How often it sees all other attributes unchanged"),
        _share("counterparts:worst_kept", worst),
        _share("counterparts:counterpart_l1", "Distance from the true counterparts"),
        _share("counterparts:untranslated_counterpart_l1", "How far inputs are"),
        _share("shared:style_asked", "How often a net sees the requested style"),
        _share("shared:worst_style_asked", worst),
        _share("shared:shared_kept", "How often it sees the shared attributes unchanged"),
        _share("shared:worst_shared_kept", worst),
    ]


def _of_prompts() -> list[Metric]:
    """Each of texts that the model was not trained on, of unseen combinations, of mixed texts."""
    match = "How often the discriminator prefers an image's own text to another"
    named = "How often a net sees what a caption of faces names"
    worst = "The same of the attribute that it sees least often"
    return [
        _share("prompts:matched_text", match),
        _share("prompts:matched_text", f"{match}: of texts with unseen combinations", "unseen"),
        _share("prompts:prompt_attributes", named),
        _share("prompts:worst_prompt_attribute", worst),
        _share("prompts:prompt_attributes", f"{named}: of combinations not trained on", "unseen"),
        _share("prompts:worst_prompt_attribute", f"{worst}, of those combinations", "unseen"),
        _share("prompts:prompt_attributes", f"{named}: another one", "shuffled", shuffled=True),
    ]


def _share(path: str, summary: str, prefix: str = "", **protocol: Any) -> Metric:
    """A metric in %, named after its function."""
    name = path.partition(":")[2]
    return Metric(
        f"{prefix}_{name}" if prefix else name,
        f"zoo_adversarial.{path}",
        summary,
        unit="%",
        tolerance=0.5,
        protocol=protocol,
    )


def _distance(path: str, summary: str) -> Metric:
    """A metric in the features of a net, named after its function."""
    return Metric(
        path.partition(":")[2],
        f"zoo_adversarial.{path}",
        f"{summary}, in features",
        unit="distance²",
        tolerance=0.05,
    )
