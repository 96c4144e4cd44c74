"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, hookimpl

_VAE = "zoo_latent.vae:VAE"
_LATENT_TASKS = ("encode", "reconstruct", "interpolate", "traverse", "manifold")


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="vae",
            path=_VAE,
            summary="Variational autoencoder: MLP or convolutional, one or more stochastic layers",
            tasks=("sample", "score", "explain", "detect", *_LATENT_TASKS),
            exports=("decode", "encode"),
            paper="Kingma & Welling 2013, Auto-Encoding Variational Bayes",
            trainer="zoo_latent.variational:Variational",
        ),
        Architecture(
            name="iwae",
            path=_VAE,
            summary="Importance-weighted autoencoder: the same networks, a tighter bound",
            tasks=("sample", "score", "explain", "detect", *_LATENT_TASKS),
            exports=("decode",),
            paper="Burda, Grosse & Salakhutdinov 2015, Importance Weighted Autoencoders",
            trainer="zoo_latent.variational:ImportanceWeighted",
        ),
        Architecture(
            name="aae",
            path="zoo_latent.aae:AAE",
            summary="Adversarial autoencoder with any prior; labels, few labels or none",
            tasks=("sample", *_LATENT_TASKS),
            exports=("decode", "encode"),
            paper="Makhzani et al. 2015, Adversarial Autoencoders",
            trainer="zoo_latent.adversarial:Adversarial",
        ),
    ]
