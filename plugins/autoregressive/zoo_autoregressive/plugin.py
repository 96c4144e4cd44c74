"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, Metric, hookimpl

_ALL = ("sample", "score", "explain", "detect", "complete")
_COUNTING = "zoo_autoregressive.counting:Counting"


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
        ),
        Architecture(
            name="categorical",
            path="zoo_autoregressive.categorical:Categorical",
            summary="Independent variables of several values, such as 256 grey levels",
            tasks=_ALL,
            trainer=_COUNTING,
        ),
        Architecture(
            name="markov",
            path="zoo_autoregressive.markov:Markov",
            summary="First-order chain: each variable depends on the one before",
            tasks=_ALL,
            trainer=_COUNTING,
        ),
        Architecture(
            name="ar",
            path="zoo_autoregressive.ar:AR",
            summary="Regression on the k variables before: logistic, or Gaussian for real values",
            tasks=_ALL,
        ),
        Architecture(
            name="chow-liu",
            path="zoo_autoregressive.chow_liu:ChowLiu",
            summary="The best tree: which variable depends on which is learned",
            tasks=_ALL,
            paper="Chow & Liu 1968, Approximating Discrete Probability Distributions with "
            "Dependence Trees",
            trainer=_COUNTING,
        ),
        Architecture(
            name="joint",
            path="zoo_autoregressive.joint:Joint",
            summary="The full table: a probability for each state",
            tasks=_ALL,
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
        ),
        Architecture(
            name="made",
            path="zoo_autoregressive.made:MADE",
            summary="Masked autoencoder: all conditionals in one pass of a masked network",
            tasks=_ALL,
            exports=("step",),
            paper="Germain et al. 2015, MADE: Masked Autoencoder for Distribution Estimation",
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
        ),
        Architecture(
            name="mixed-tree",
            path="zoo_autoregressive.mixed_tree:MixedTree",
            summary="Independence, chain or tree of a table's columns; missing cells summed out",
            tasks=_ALL,
            paper="Chow & Liu 1968, Approximating Discrete Probability Distributions with "
            "Dependence Trees",
            trainer=_COUNTING,
        ),
        Architecture(
            name="mixed-made",
            path="zoo_autoregressive.mixed_made:MixedMADE",
            summary="Masked autoencoder of a table's columns: categories, and mixtures for reals",
            tasks=_ALL,
            paper="Germain et al. 2015, MADE: Masked Autoencoder for Distribution Estimation",
        ),
        Architecture(
            name="mixed-eonade",
            path="zoo_autoregressive.mixed_eonade:MixedEoNADE",
            summary="One network for all orders of a table's columns; any cells may be missing",
            tasks=("sample", "score", "detect", "complete"),
            paper="Uria, Murray & Larochelle 2014, A Deep and Tractable Density Estimator",
            trainer="zoo_autoregressive.mixed_eonade:AnyOrder",
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
            paper="van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks",
        ),
        Architecture(
            name="diagonal-bilstm",
            path="zoo_autoregressive.diagonal_bilstm:DiagonalBiLSTM",
            summary="PixelRNN with two LSTMs along the diagonals: each pixel sees all before it",
            tasks=_ALL,
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
