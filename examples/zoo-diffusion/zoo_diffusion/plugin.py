"""What this family offers, described without importing torch or diffusers."""

from zoo_core.hookspecs import Architecture, Check, Task, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="ddpm",
            path="zoo_diffusion.model:DDPM",
            summary="Denoising diffusion: noise is removed step by step by a U-Net",
            tasks=("sample", "denoise"),
            paper="Ho, Jain & Abbeel 2020, Denoising Diffusion Probabilistic Models",
            trainer="zoo_diffusion.trainer:Denoising",
            check=Check(
                config={"shape": [1, 4, 4], "channels": [8, 8], "T": 8, "steps": 4},
                data="bars-and-stripes-4",
            ),
        )
    ]


@hookimpl
def zoo_tasks() -> list[Task]:
    """Describe the task of this family: the reverse process, seen."""
    return [
        Task(
            name="denoise",
            path="zoo_diffusion.tasks:denoise",
            protocol="zoo_diffusion.tasks:Denoiser",
            summary="Show samples on their way from noise",
            for_images=(".gif", ".png", ".npz", ".safetensors"),
            for_tables=(),
            random=True,
        )
    ]
