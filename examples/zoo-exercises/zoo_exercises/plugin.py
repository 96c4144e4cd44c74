"""What this family offers, described without importing torch, and how each exercise is graded."""

from zoo_core.hookspecs import Architecture, Check, hookimpl

_CHAIN = ("sample", "score", "detect")
_FUNCTION = "the exercise is one function: there are no weights, and nothing is trained"
_SKIPS = dict.fromkeys(
    ("training_makes_progress", "resumed_training_ends_the_same", "bad_files_are_refused"),
    _FUNCTION,
)


def _function(name: str, path: str, summary: str, law: str) -> Architecture:
    """An exercise whose answer is a function, held to a law of its own."""
    check = Check(laws=(f"zoo_exercises.laws:{law}",), skips=_SKIPS)
    return Architecture(name, f"zoo_exercises.{path}", summary, (), check=check)


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the exercises, in the order of the course."""
    return [
        Architecture(
            "ancestral-sampling",
            "zoo_exercises.ancestral:AncestralSampling",
            "Sample an FVSBN, one variable after the other",
            _CHAIN,
        ),
        Architecture(
            "nade-log-prob",
            "zoo_exercises.nade:NADE",
            "The logits of NADE, with a sum that is carried along",
            _CHAIN,
            check=Check(config={"hidden": 8}),
        ),
        Architecture(
            "made-masks",
            "zoo_exercises.made:MADE",
            "The masks of MADE, from the degrees of its units",
            _CHAIN,
            check=Check(config={"hidden": 32}),
        ),
        Architecture(
            "causal-attention",
            "zoo_exercises.attention:CausalAttention",
            "The causal mask of attention",
            _CHAIN,
        ),
        Architecture(
            "pixelcnn-masks",
            "zoo_exercises.pixelcnn:PixelCNN",
            "The masks A and B of PixelCNN",
            _CHAIN,
        ),
        _function(
            "chow-liu-edges",
            "chow_liu:ChowLiu",
            "The edges of the most probable tree",
            "tree_is_the_most_probable",
        ),
        Architecture(
            "vae-elbo",
            "zoo_exercises.vae:VAE",
            "The two terms of a VAE's bound",
            ("score", "detect"),
            trainer="zoo_exercises.vae:NegativeELBO",
        ),
        _function(
            "reparametrised-gradient",
            "reparametrised:Reparametrised",
            "A sample with a gradient",
            "sample_has_the_gradient",
        ),
        _function(
            "gan-loss",
            "gan:GANLoss",
            "The non-saturating loss of a generator",
            "loss_does_not_saturate",
        ),
        _function(
            "cycle-loss",
            "cyclegan:CycleLoss",
            "Cycle consistency, in both directions",
            "cycles_close_in_both_directions",
        ),
    ]
