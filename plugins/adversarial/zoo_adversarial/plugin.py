"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, Check, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="progan",
            path="zoo_adversarial.progan:ProGAN",
            summary="Progressive GAN: grows from 4x4 to 64x64 while it learns",
            tasks=("sample",),
            paper="Karras et al. 2018, Progressive Growing of GANs (arXiv 1710.10196)",
            trainer="zoo_adversarial.progan:Progressive",
            check=Check(config={"shape": [1, 8, 8], "z": 4, "channels": [6, 4]}),
        ),
    ]
