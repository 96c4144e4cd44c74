"""What the core itself offers, through the hooks that every family uses; torch is not imported."""

from zoo_core.hookspecs import DataSet, Metric, Task, hookimpl

_TENSORS = (".npz", ".safetensors")
_PICTURES = (".png", ".gif", *_TENSORS)
_TABLE = (".csv", ".json", ".parquet", *_TENSORS)
_ROWS = (".csv", ".npz", ".json", ".parquet", ".safetensors")
_SCORES = (".csv", ".png", ".json", ".parquet", *_TENSORS)


@hookimpl
def zoo_tasks() -> list[Task]:
    """Describe the core's tasks; the first that a model can do is what `zoo run` does."""
    return [
        Task(
            "sample",
            "zoo_core.tasks.sample:sample",
            "zoo_core.protocols:Generator",
            "Sample from the model",
            _PICTURES,
            _TABLE,
            random=True,
            example="-n 16",
            parts=True,
        ),
        Task(
            "score",
            "zoo_core.tasks.score:score",
            "zoo_core.protocols:Scored",
            "Compute nats and bits per dimension of each input",
            _SCORES,
            _SCORES,
            defaults=2,
            example="--input {rows}",
            parts=True,
        ),
        Task(
            "explain",
            "zoo_core.tasks.explain:explain",
            "zoo_core.protocols:Explainable",
            "Compute the nats of each variable: where an input is improbable",
            (".png", *_TABLE),
            _SCORES,
            defaults=2,
            declared=False,
            example="--input {rows}",
        ),
        Task(
            "classify",
            "zoo_core.tasks.classify:classify",
            "zoo_core.protocols:ConditionalDensity",
            "Give the probability of each class of an input by Bayes' rule",
            (".png", *_TABLE),
            _TABLE,
            defaults=2,
            classes=True,
            declared=False,
            example="--input {rows}",
            parts=True,
        ),
        Task(
            "attend",
            "zoo_core.tasks.attend:attend",
            "zoo_core.protocols:Attentive",
            "Show what each head of attention looks at from one pixel",
            (".png", *_TABLE),
            _TABLE,
            defaults=2,
            declared=False,
            example="--input {rows}",
        ),
        Task(
            "detect",
            "zoo_core.tasks.detect:detect",
            "zoo_core.protocols:Scored",
            "Detect unusual inputs by their score against held-out data",
            _SCORES,
            _SCORES,
            defaults=2,
            example="--input {rows} --against FOLDER",
            parts=True,
        ),
        Task(
            "complete",
            "zoo_core.tasks.complete:complete",
            "zoo_core.protocols:AnyCompleter",
            "Complete inputs of which a part is known",
            _PICTURES,
            _TABLE,
            random=True,
            example="--input {rows}",
        ),
        Task(
            "encode",
            "zoo_core.tasks.encode:encode",
            "zoo_core.protocols:Encoder",
            "Encode each input as latents",
            _TABLE,
            _TABLE,
            example="--input {rows}",
            parts=True,
        ),
        Task(
            "reconstruct",
            "zoo_core.tasks.reconstruct:reconstruct",
            "zoo_core.protocols:LatentVariable",
            "Encode and decode each input",
            (*_PICTURES, ".csv", ".json", ".parquet"),
            _TABLE,
            example="--input {rows}",
            parts=True,
        ),
        Task(
            "interpolate",
            "zoo_core.tasks.interpolate:interpolate",
            "zoo_core.protocols:Decoder",
            "Interpolate between the latents of inputs or samples",
            _PICTURES,
            _ROWS,
            random=True,
            defaults=2,
        ),
        Task(
            "traverse",
            "zoo_core.tasks.traverse:traverse",
            "zoo_core.protocols:Decoder",
            "Vary one latent at a time",
            _PICTURES,
            _TABLE,
            random=True,
        ),
        Task(
            "manifold",
            "zoo_core.tasks.manifold:manifold",
            "zoo_core.protocols:Decoder",
            "Decode a grid over two latents, or plot inputs in their plane",
            (".png", *_TABLE),
            _TABLE,
            latents=2,
        ),
        Task(
            "translate",
            "zoo_core.tasks.translate:translate",
            "zoo_core.protocols:Translator",
            "Translate each input to another domain",
            _PICTURES,
            _TENSORS,
            example="--input FOLDER --to all",
            parts=True,
        ),
        Task(
            "features",
            "zoo_core.tasks.features:features",
            "zoo_core.protocols:Featurizer",
            "Extract features of each input, to train a classifier on",
            _TENSORS,
            _TENSORS,
            example="--input {rows}",
            parts=True,
        ),
        Task(
            "nearest",
            "zoo_core.tasks.nearest:nearest",
            "zoo_core.protocols:Generator",
            "Find the nearest rows of samples in the training data",
            (".png", *_TABLE),
            _ROWS,
            random=True,
            defaults=2,
            declared=False,
        ),
    ]


@hookimpl
def zoo_metrics() -> list[Metric]:
    """Describe the core's metrics: those of likelihoods, of classes, and of samples beside data."""
    return [
        _metric("test_nll", "likelihood:nll", "Mean of −log p"),
        _metric(
            "bits_per_dim",
            "likelihood:bits_per_dim",
            "Mean of −log2 p for each variable",
            "bits",
            0.001,
        ),
        # bounds are estimated from draws, which another processor's arithmetic moves further
        _metric(
            "iw_bound",
            "bounds:iw_bound",
            "Importance-weighted bound of −log p, from k samples of the latents",
            tolerance=0.05,
        ),
        _metric("elbo", "bounds:elbo", "Negative evidence lower bound", tolerance=0.05),
        _metric(
            "prior_fitting",
            "bounds:prior_fitting",
            "Second term of the ELBO: KL of the posterior to the prior",
            tolerance=0.05,
        ),
        _metric(
            "active_units",
            "bounds:active_units",
            "Number of latents that depend on the input",
            "latents",
            1.0,
        ),
        _metric(
            "parzen",
            "parzen:parzen",
            "Log-likelihood under a Parzen window fitted to samples",
            tolerance=0.5,
        ),
        _metric(
            "parzen_data", "parzen:parzen_data", "The same, fitted to training rows", tolerance=0.5
        ),
        _metric(
            "parzen_kmeans",
            "parzen:parzen_kmeans",
            "The same, fitted to the centres of k-means",
            tolerance=0.5,
        ),
        _metric(
            "classification_error",
            "classification:classification_error",
            "Share of rows that the model classifies wrongly",
            "%",
            0.05,
        ),
        _metric(
            "clustering_error",
            "classification:clustering_error",
            "Share of rows whose class is not that of their cluster",
            "%",
            0.05,
        ),
        _metric(
            "requested_label",
            "classification:requested_label",
            "Share of samples in which a net sees the requested label",
            "%",
            0.5,
        ),
        _metric(
            "class_ratio",
            "classification:class_ratio",
            "Samples of the most frequent class for each of the least, as a net sees them",
            "ratio",
            0.05,
        ),
        _metric(
            "fid",
            "frechet:fid",
            "Fréchet distance between samples and data, in features",
            "distance²",
            0.05,
        ),
        _metric(
            "kid",
            "frechet:kid",
            "Kernel distance between samples and data, in features",
            "MMD²",
            0.002,
        ),
        _metric(
            "precision", "neighbours:precision", "Share of samples that lie among the data", "share"
        ),
        _metric("recall", "neighbours:recall", "Share of data that lie among the samples", "share"),
        _metric(
            "density",
            "neighbours:density",
            "How densely samples lie among the data: 1 where as densely as these",
            "ratio",
            0.02,
        ),
        _metric(
            "coverage", "neighbours:coverage", "Share of data that have a sample near them", "share"
        ),
        _metric(
            "one_nn",
            "neighbours:one_nn",
            "Share of samples and data whose nearest neighbour is of their own kind: 0.5 is best",
            "share",
        ),
        _metric(
            "sliced_wasserstein",
            "pixels:sliced_wasserstein",
            "Wasserstein distance between samples and data along random directions",
            "distance",
            0.001,
        ),
        _metric(
            "ms_ssim",
            "pixels:ms_ssim",
            "Similarity of pairs of samples: above that of data, samples lack diversity",
            "similarity",
        ),
        Metric(
            "tstr",
            "zoo_core.features.synthetic:tstr",
            "Share of data misclassified by a classifier trained on samples",
            "%",
            0.5,
        ),
    ]


@hookimpl
def zoo_datasets() -> list[DataSet]:
    """Describe the data sets that are generated or downloaded."""
    return [
        _standard("mnist", "Handwritten digits, 28x28 grey"),
        _standard("fashion_mnist", "Clothes, 28x28 grey"),
        _standard("kmnist", "Cursive Japanese characters, 28x28 grey"),
        _standard("qmnist", "MNIST's digits with a larger test set, 28x28 grey"),
        _standard("cifar10", "Photographs of ten classes, 32x32 RGB"),
        _standard("cifar100", "Photographs of a hundred classes, 32x32 RGB"),
        DataSet(
            "bars-and-stripes",
            "zoo_core.data.synthetic:bars_and_stripes",
            "Bars or stripes, 3x3 binary, of known entropy; bars-and-stripes-8 is 8x8",
        ),
    ]


def _metric(
    name: str, path: str, summary: str, unit: str = "nats", tolerance: float = 0.01
) -> Metric:
    return Metric(name, f"zoo_core.metrics.{path}", summary, unit, tolerance)


def _standard(name: str, summary: str) -> DataSet:
    return DataSet(name, f"zoo_core.data.standard:{name}", summary)
