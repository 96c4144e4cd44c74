"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, Metric, hookimpl

_ALL = ("sample", "score", "explain", "detect", "complete")
_COUNTING = "zoo_autoregressive.counting:Counting"
_COUNTED = {"epochs": 1, "batch_size": 5000}
"""Of a ladder: one pass, in few steps, as the model is fitted after each."""
_ALPHAS = tuple({**_COUNTED, "config.alpha": alpha} for alpha in (1.0, 0.1, 10.0))
"""The first is what is taken where there is no time to try them."""
_ADAMW = {"optimizer.opt": "adamw", "optimizer.betas": [0.9, 0.99], "ema": 0.99}


def _decays(rate: float, **more: object) -> tuple[dict[str, object], ...]:
    """Settings of a ladder for networks: how much weight decay, or dropout, is for it to find."""
    return tuple(
        {**_ADAMW, "optimizer.lr": rate, "optimizer.weight_decay": decay, **more}
        for decay in (0.01, 0.1, 0.5)
    )


_LINEAR = {**_ADAMW, "optimizer.lr": 5e-3, "optimizer.weight_decay": 0.1}
_HIDDEN_STATES = tuple(
    {**_ADAMW, "optimizer.lr": 0.02, "optimizer.weight_decay": 0.01, "config.states": states}
    for states in (8, 16, 32)
)


def _structures(structure: str) -> tuple[dict[str, object], ...]:
    return tuple({**settings, "config.structure": structure} for settings in _ALPHAS)


def _dropouts(rate: float, **more: object) -> tuple[dict[str, object], ...]:
    return tuple(
        {**_ADAMW, "optimizer.lr": rate, "config.dropout": dropout, **more}
        for dropout in (0.0, 0.2, 0.5)
    )


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="bernoulli",
            path="zoo_autoregressive.bernoulli:Bernoulli",
            summary="Independent binary variables",
            tasks=_ALL,
            exports=("conditionals",),
            trainer=_COUNTING,
            ladder={"bernoulli": _ALPHAS},
        ),
        Architecture(
            name="categorical",
            path="zoo_autoregressive.categorical:Categorical",
            summary="Independent variables of several values, such as 256 grey levels",
            tasks=_ALL,
            exports=("conditionals",),
            trainer=_COUNTING,
        ),
        Architecture(
            name="markov",
            path="zoo_autoregressive.markov:Markov",
            summary="First-order chain: each variable depends on the one before",
            tasks=_ALL,
            exports=("conditionals", "step"),
            trainer=_COUNTING,
            ladder={"markov": _ALPHAS},
        ),
        Architecture(
            name="ar",
            path="zoo_autoregressive.ar:AR",
            summary="Regression on the k variables before: logistic, or Gaussian for real values",
            tasks=_ALL,
            exports=("conditionals", "step"),
        ),
        Architecture(
            name="chow-liu",
            path="zoo_autoregressive.chow_liu:ChowLiu",
            summary="The best tree: which variable depends on which is learned",
            tasks=_ALL,
            exports=("conditionals", "step"),
            paper="Chow & Liu 1968, Approximating Discrete Probability Distributions with "
            "Dependence Trees",
            trainer=_COUNTING,
            ladder={"chow-liu": _ALPHAS},
        ),
        Architecture(
            name="joint",
            path="zoo_autoregressive.joint:Joint",
            summary="The full table: a probability for each state",
            tasks=_ALL,
            exports=("conditionals",),
            trainer=_COUNTING,
        ),
        Architecture(
            name="fvsbn",
            path="zoo_autoregressive.fvsbn:FVSBN",
            summary="Fully visible sigmoid belief network: logistic regression on all predecessors",
            tasks=_ALL,
            exports=("conditionals",),
            paper="Frey, Hinton & Dayan 1995, Does the Wake-Sleep Algorithm Produce Good "
            "Density Estimators?",
            ladder={"fvsbn": _decays(5e-3)},
        ),
        Architecture(
            name="made",
            path="zoo_autoregressive.made:MADE",
            summary="Masked autoencoder: all conditionals in one pass of a masked network",
            tasks=_ALL,
            exports=("step",),
            paper="Germain et al. 2015, MADE: Masked Autoencoder for Distribution Estimation",
            ladder={"made": _dropouts(2e-3, **{"config.hidden": [500], "config.direct": True})},
        ),
        Architecture(
            name="attention",
            path="zoo_autoregressive.attention:Attention",
            summary="Decoder-only transformer over the variables, with class labels",
            tasks=(*_ALL, "classify", "attend"),
            exports=("step",),
            paper="Vaswani et al. 2017, Attention Is All You Need",
        ),
        Architecture(
            name="eonade",
            path="zoo_autoregressive.eonade:EoNADE",
            summary="Order-agnostic NADE: a mixture over orders that completes any mask",
            tasks=("sample", "score", "detect", "complete"),
            exports=("log_prob",),
            paper="Uria, Murray & Larochelle 2014, A Deep and Tractable Density Estimator",
            trainer="zoo_autoregressive.eonade:OrderAgnostic",
        ),
        Architecture(
            name="nade",
            path="zoo_autoregressive.nade:NADE",
            summary="Neural autoregressive distribution estimator: one hidden layer, tied weights",
            tasks=_ALL,
            exports=("conditionals", "step"),
            paper="Larochelle & Murray 2011, The Neural Autoregressive Distribution Estimator",
            ladder={"nade": _decays(2e-3, **{"config.hidden": 200, "config.activation": "relu"})},
        ),
        Architecture(
            name="mixed-tree",
            path="zoo_autoregressive.mixed_tree:MixedTree",
            summary="Independence, chain or tree of a table's columns; missing cells summed out",
            tasks=_ALL,
            paper="Chow & Liu 1968, Approximating Discrete Probability Distributions with "
            "Dependence Trees",
            trainer=_COUNTING,
            ladder={
                "mixed-independent": ({**_COUNTED, "config.structure": "independent"},),
                "mixed-chain": _structures("chain"),
                "mixed-tree": _structures("tree"),
            },
        ),
        Architecture(
            name="hidden-tree",
            path="zoo_autoregressive.hidden_tree:HiddenTree",
            summary="A tree of hidden states behind a table's columns; missing cells summed out",
            tasks=_ALL,
            paper="Liu & Van den Broeck 2021, Tractable Regularization of Probabilistic Circuits",
            trainer="zoo_autoregressive.hidden_tree:TreeLikelihood",
            ladder={"hidden-tree": _HIDDEN_STATES},
        ),
        Architecture(
            name="mixed-ar",
            path="zoo_autoregressive.mixed_ar:MixedAR",
            summary="Regression of each of a table's columns on the k before it",
            tasks=_ALL,
            ladder={"mixed-ar": tuple({**_LINEAR, "config.k": k} for k in (1, 3))},
        ),
        Architecture(
            name="mixed-fvsbn",
            path="zoo_autoregressive.mixed_fvsbn:MixedFVSBN",
            summary="Regression of each of a table's columns on all before it",
            tasks=_ALL,
            paper="Frey, Hinton & Dayan 1995, Does the Wake-Sleep Algorithm Produce Good "
            "Density Estimators?",
            ladder={"mixed-fvsbn": _decays(5e-3)[::2]},
        ),
        Architecture(
            name="mixed-nade",
            path="zoo_autoregressive.mixed_nade:MixedNADE",
            summary="NADE of a table's columns, RNADE of real ones: one hidden layer, tied weights",
            tasks=_ALL,
            paper="Uria, Murray & Larochelle 2013, RNADE: The Real-Valued Neural Autoregressive "
            "Density-Estimator",
            ladder={
                "mixed-nade": _dropouts(2e-3, **{"config.hidden": 300, "config.activation": "relu"})
            },
        ),
        Architecture(
            name="mixed-made",
            path="zoo_autoregressive.mixed_made:MixedMADE",
            summary="Masked autoencoder of a table's columns: categories, and mixtures for reals",
            tasks=_ALL,
            paper="Germain et al. 2015, MADE: Masked Autoencoder for Distribution Estimation",
            ladder={"mixed-made": _dropouts(2e-3, **{"config.hidden": [300, 300]})},
        ),
        Architecture(
            name="mixed-attention",
            path="zoo_autoregressive.mixed_attention:MixedAttention",
            summary="Decoder-only transformer over a table's columns",
            tasks=_ALL,
            paper="Vaswani et al. 2017, Attention Is All You Need",
            ladder={"mixed-attention": _dropouts(2e-3)[:2]},
        ),
        Architecture(
            name="mixed-eonade",
            path="zoo_autoregressive.mixed_eonade:MixedEoNADE",
            summary="One network for all orders of a table's columns; any cells may be missing",
            tasks=("sample", "score", "detect", "complete"),
            paper="Uria, Murray & Larochelle 2014, A Deep and Tractable Density Estimator",
            trainer="zoo_autoregressive.mixed_eonade:AnyOrder",
            ladder={"mixed-eonade": _dropouts(2e-3, **{"config.hidden": [300, 300]})},
        ),
        Architecture(
            name="pixelcnn",
            path="zoo_autoregressive.pixelcnn:PixelCNN",
            summary="Masked convolutions over images, binary or with any number of levels",
            tasks=_ALL,
            exports=("step",),
            paper="van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks",
        ),
        Architecture(
            name="row-lstm",
            path="zoo_autoregressive.row_lstm:RowLSTM",
            summary="PixelRNN with an LSTM that runs down the rows",
            tasks=_ALL,
            exports=("conditionals",),
            paper="van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks",
        ),
        Architecture(
            name="diagonal-bilstm",
            path="zoo_autoregressive.diagonal_bilstm:DiagonalBiLSTM",
            summary="PixelRNN with two LSTMs along the diagonals: each pixel sees all before it",
            tasks=_ALL,
            exports=("conditionals",),
            paper="van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks",
        ),
    ]


@hookimpl
def zoo_metrics() -> list[Metric]:
    """Describe the metrics of this family."""
    return [
        Metric(
            "one_order_nll",
            "zoo_autoregressive.orders:one_order_nll",
            "Mean of −log p by the first order of a mixture alone",
        ),
    ]
