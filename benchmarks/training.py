"""Training steps of the networks over pixels: forward and backward, images per second.

uv run python benchmarks/training.py [--threads 2] [--batch 64]
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from zoo_autoregressive.diagonal_bilstm import DiagonalBiLSTM
from zoo_autoregressive.pixelcnn import PixelCNN
from zoo_autoregressive.pixels import PixelNetwork
from zoo_autoregressive.row_lstm import RowLSTM

MODELS: dict[str, Callable[[], PixelNetwork]] = {
    "diagonal-bilstm, 1 layer": lambda: DiagonalBiLSTM(layers=1),
    "diagonal-bilstm, 7 layers": DiagonalBiLSTM,
    "row-lstm, 1 layer": lambda: RowLSTM(layers=1),
    "row-lstm, 7 layers": RowLSTM,
    "pixelcnn, 7 layers": lambda: PixelCNN(layers=7),
    "pixelcnn, 15 layers": PixelCNN,
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x = (torch.rand(options.batch, 1, 28, 28) < 0.19).float()
    print(f"28 x 28, h = 16, batch {options.batch}, {options.threads} threads:")
    for name, make in MODELS.items():
        model, times = make(), []
        for _ in range(options.turns + 1):
            start = time.perf_counter()
            (-model.log_prob(x).mean()).backward()
            times.append(time.perf_counter() - start)
        print(f"  {name:26} {options.batch / median(times[1:]):6.0f} images/s")


if __name__ == "__main__":
    main()
