"""Training in images per second: steps of the networks over pixels, and whole runs of a VAE.

The VAE (784-512-10 and back, relu, batches of 100) is trained on MNIST by our loop and by pythae's
own trainer, where that is installed (uv pip install pythae): the same network, data, optimiser and
validation, with everything that each does besides. The runs take turns, each in a process of its
own; the best of each counts. They go on for some epochs, since Adam's moments of pixels that are
seldom lit need a few hundred steps to decay to the numbers that a processor is slow with.

uv run python benchmarks/training.py [--threads 2] [--batch 64] [--epochs 6] [--only vae]
"""

import argparse
import contextlib
import io
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor
from zoo_autoregressive.diagonal_bilstm import DiagonalBiLSTM
from zoo_autoregressive.pixelcnn import PixelCNN
from zoo_autoregressive.pixels import PixelNetwork
from zoo_autoregressive.row_lstm import RowLSTM
from zoo_latent.vae import VAE
from zoo_latent.variational import Variational

from zoo_core.data import Dataset, load_dataset
from zoo_core.training.fit import make_loop
from zoo_core.training.recipe import Recipe

MODELS: dict[str, Callable[[], PixelNetwork]] = {
    "diagonal-bilstm, 1 layer": lambda: DiagonalBiLSTM(layers=1),
    "diagonal-bilstm, 7 layers": DiagonalBiLSTM,
    "row-lstm, 1 layer": lambda: RowLSTM(layers=1),
    "row-lstm, 7 layers": RowLSTM,
    "pixelcnn, 7 layers": lambda: PixelCNN(layers=7),
    "pixelcnn, 15 layers": PixelCNN,
}


class Work(NamedTuple):
    """What a run of the VAE is given."""

    epochs: int
    data_root: Path | None

    def rows(self) -> list[Tensor]:
        """MNIST for training and validation, black or white: (n, 1, 28, 28), uint8."""
        splits = (
            load_dataset("mnist", split=s, root=self.data_root) for s in ("train", "validation")
        )
        return [(split.floats() > 0.5).to(torch.uint8) for split in splits]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--only", choices=("pixels", "vae"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.only != "vae":
        pixel_networks(options)
    if options.only != "pixels":
        vaes(options)


def pixel_networks(options: argparse.Namespace) -> None:
    """Forward and backward of a batch, by itself and in mixed precision, in turns."""
    x = (torch.rand(options.batch, 1, 28, 28) < 0.19).float()
    print(f"28 x 28, h = 16, batch {options.batch}, {options.threads} threads:")
    for name, make in MODELS.items():
        model = make()
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.turns + 1):
            for mixed, taken in times.items():
                start = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                    loss = -model.log_prob(x).mean()
                loss.backward()
                taken.append(time.perf_counter() - start)
        plain, quick = (median(taken[1:]) for taken in times.values())
        print(
            f"  {name:26} {options.batch / plain:6.0f} images/s; in bf16-mixed "
            f"{plain / quick:.2f} times as many"
        )


def vaes(options: argparse.Namespace) -> None:
    """Whole runs of our loop and of pythae's trainer, in turns."""
    runs = {"zoo": zoo_run}
    try:
        import pythae  # noqa: F401

        runs["pythae"] = pythae_run
    except ImportError as error:
        print(f"pythae cannot be imported ({error}): no comparison.")
    work = Work(options.epochs, options.data_root)
    images = work.epochs * len(load_dataset("mnist", split="train", root=work.data_root))
    spawn = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.turns):
        for name, run in runs.items():
            with ProcessPoolExecutor(
                1, spawn, initializer=torch.set_num_threads, initargs=(options.threads,)
            ) as process:
                times[name].append(process.submit(run, work).result())
    print(f"VAE 784-512-10, batch 100, {options.threads} threads, {work.epochs} epochs:")
    for name, seconds in times.items():
        best, middle = (images / f(seconds) for f in (min, median))
        print(f"  {name:26} {best:6.0f} images/s at best, {middle:6.0f} in the median")
    if len(times) == 2:
        print(f"  ratio {min(times['pythae']) / min(times['zoo']):.2f}")


def zoo_run(work: Work) -> float:
    """Seconds of a run of ours: loop, report, checkpoints, validation, the best weights kept."""
    torch.set_flush_denormal(True)  # as `zoo train` does
    recipe = Recipe(
        architecture="vae",
        data="mnist",
        binarize="none",
        epochs=work.epochs,
        batch_size=100,
        optimizer={"opt": "adam", "lr": 1e-3, "fused": True},
    )
    trainer = Variational(VAE(z=10, hidden=[512], activation="relu"))
    rows = [Dataset("mnist", "", x, levels=2) for x in work.rows()]
    with tempfile.TemporaryDirectory() as folder:
        loop = make_loop(
            trainer,
            recipe,
            *rows,
            Path(folder),
            publish=lambda networks, values: torch.save(
                networks["model"].state_dict(), io.BytesIO()
            ),
            fabric=Fabric(accelerator="cpu"),
            quiet=True,
        )
        start = time.perf_counter()
        loop.run()
        return time.perf_counter() - start


def pythae_run(work: Work) -> float:
    """Seconds of a run of pythae's trainer with its own multilayer perceptron."""
    from pythae import models
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    shape = (1, 28, 28)
    model = models.VAE(models.VAEConfig(input_dim=shape, latent_dim=10, reconstruction_loss="bce"))
    rows = [BaseDataset(x.float(), torch.zeros(len(x))) for x in work.rows()]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=work.epochs,
            per_device_train_batch_size=100,
            per_device_eval_batch_size=500,
            learning_rate=1e-3,
            no_cuda=True,
        )
        trainer = BaseTrainer(model, *rows, training_config=config)
        start = time.perf_counter()
        trainer.train()
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
