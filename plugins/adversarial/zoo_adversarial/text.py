"""Text encoders: of characters, trained with the model, or of sentences, pretrained."""

from __future__ import annotations

import string
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core import environment
from zoo_core.errors import InvalidInput
from zoo_core.text import SHORT, printable, quoted

__all__ = ["WORDS", "Characters", "Sentences", "Whitening", "text_encoder"]

_WINDOW, _POOL = 4, 3
"""Characters that a convolution sees, and that one step of the recurrent layer stands for."""
_MOST_CHARACTERS = 255
"""Of an alphabet: a text's characters are bytes, and 0 is none."""
WORDS = 1024
"""Hashes of words, half of them of pairs of neighbours."""
_PRIME = 1_000_003
_PACE, _FLOOR = 0.02, 1e-4
"""Weight of a batch in the averages; share of the largest variance that is added to each."""


class Characters(nn.Module):
    """Characters through two convolutions and a GRU, averaged over the text.

    Args:
        alphabet: the characters.
        length: largest number of characters of a text.
        code: features of a code, and of each layer.
        whiten: whether codes can be whitened.
    """

    def __init__(self, alphabet: str, length: int, code: int, whiten: bool = False) -> None:
        if len(alphabet) > _MOST_CHARACTERS:
            raise InvalidInput(
                f"config.alphabet has {len(alphabet)} characters; expected at most "
                f"{_MOST_CHARACTERS}."
            )
        super().__init__()
        self.alphabet, self.size, self.code = alphabet, length, code
        marks = set(string.punctuation) - set(alphabet)
        self._blanks = str.maketrans(dict.fromkeys(marks, " "))
        self.first = nn.Conv1d(len(alphabet), code, _WINDOW, padding=_WINDOW // 2)
        self.second = nn.Conv1d(code, code, _WINDOW, padding=_WINDOW // 2)
        self.recurrent = nn.GRU(code, code, batch_first=True)
        self.last = nn.Linear(code, code, bias=False)
        self.whitening = Whitening(code) if whiten else nn.Identity()

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """The places of characters in the alphabet from 1, and 0 after the text: (n, length).

        Punctuation that the alphabet lacks is read as a blank, and upper case as lower case.

        Raises InvalidInput for a text that is empty, too long, or has other characters.
        """
        places = {character: i for i, character in enumerate(self.alphabet, 1)}
        rows = torch.zeros(len(texts), self.size, dtype=torch.uint8)
        for row, text in zip(rows, texts, strict=True):
            read = self._check(text)
            row[: len(read)] = torch.tensor([places[character] for character in read])
        return rows

    def forward(self, tokens: Tensor) -> Tensor:
        """Codes of texts (n, length): (n, code)."""
        # a place after the text is no character, so it is all zeros
        x = functional.one_hot(tokens.long(), len(self.alphabet) + 1)[:, :, 1:]
        h = functional.relu(self.first(x.transpose(1, 2).to(self.first.weight.dtype)))
        h = functional.relu(self.second(functional.max_pool1d(h, _POOL)))
        states, _ = self.recurrent(h.transpose(1, 2))
        steps = ((tokens > 0).sum(1, keepdim=True) + _POOL - 1) // _POOL
        there = (torch.arange(h.shape[2], device=h.device) < steps).to(h.dtype).unsqueeze(2)
        mean = (states * there).sum(1) / steps.clamp_min(1)
        y: Tensor = self.whitening(_standardize(self.last(mean)))
        return y

    def words(self, tokens: Tensor) -> Tensor:
        """Which words, and which pairs of neighbours, are in texts (n, length), by their hashes.

        Returns (n, WORDS), 0 or 1; a few words may share a hash.

        Raises InvalidInput for an alphabet without a blank.
        """
        if " " not in self.alphabet:
            raise InvalidInput(
                f"words end at blanks, and the alphabet {self.alphabet!r} has none. Add one to "
                "config.alphabet, or leave trainer.w_words out."
            )
        blank = self.alphabet.index(" ") + 1
        single = WORDS // 2
        found = torch.zeros(len(tokens), WORDS, device=tokens.device)
        word = previous = torch.zeros(len(tokens), dtype=torch.int64, device=tokens.device)
        for place in functional.pad(tokens.long(), (0, 1)).unbind(1):
            between = (place == blank) | (place == 0)
            ends = (between & (word > 0)).nonzero().squeeze(1)
            pair = (31 * previous + word) % _PRIME
            found[ends, word[ends] % single] = 1
            found[ends, single + pair[ends] % (WORDS - single)] = 1
            previous = previous.index_copy(0, ends, word[ends])
            word = torch.where(between, 0, (37 * word + place) % _PRIME)
        return found

    def _check(self, text: str) -> str:
        lower = not any(character.isupper() for character in self.alphabet)
        read = " ".join((text.lower() if lower else text).translate(self._blanks).split())
        shown = quoted(text, SHORT)
        if not read:
            raise InvalidInput(
                f"the text {shown} is empty; expected some words out of the characters "
                f"{self.alphabet!r}."
            )
        if other := sorted(set(read) - set(self.alphabet)):
            unread = printable(", ".join(map(repr, other)), SHORT)
            raise InvalidInput(
                f"the text {shown} has {unread}, which this model does not read; it "
                f"reads {self.alphabet!r}. A recipe's config.alphabet may have others."
            )
        if len(read) > self.size:
            raise InvalidInput(
                f"the text {shown} has {len(read)} characters; this model reads up to {self.size}."
            )
        return read


class Sentences(nn.Module):
    """A frozen sentence encoder, and one layer that is trained.

    Args:
        name: as sentence-transformers knows it, a folder that holds it, or an importable package
            that carries it.
        code: features of its codes.
        whiten: whether these can be whitened.
    """

    def __init__(self, name: str, code: int, whiten: bool = False) -> None:
        super().__init__()
        self.name, self.size, self.code = name, code, code
        self.last = nn.Linear(code, code, bias=False)
        self.whitening = Whitening(code) if whiten else nn.Identity()
        self._encoder: tuple[Any, ...] = ()  # or it would be registered as a submodule

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """The encoder's codes of texts, (n, code).

        Raises InvalidInput for an empty text, or where the encoder cannot be loaded or has another
        number of features.
        """
        if empty := [text for text in texts if not text.strip()]:
            raise InvalidInput(f"the text {quoted(empty[0], SHORT)} is empty; expected some words.")
        if not texts:
            return torch.zeros(0, self.code)
        once = list(dict.fromkeys(texts))  # a name has as many images as there are styles
        codes: Tensor = self._load().encode(once, convert_to_tensor=True).float().cpu()
        places = {text: i for i, text in enumerate(once)}
        rows = codes[[places[text] for text in texts]]
        if rows.shape[1] != self.code:
            raise InvalidInput(
                f"the encoder {self.name} gives {rows.shape[1]} features; "
                f"config.code is {self.code}. Set it to {rows.shape[1]}."
            )
        return rows

    def forward(self, tokens: Tensor) -> Tensor:
        """Codes of texts (n, code): (n, code)."""
        y: Tensor = self.whitening(_standardize(self.last(tokens.to(self.last.weight.dtype))))
        return y

    def _load(self) -> Any:
        if not self._encoder:
            self._encoder = (_sentence_encoder(self.name),)
        return self._encoder[0]


class Whitening(nn.Module):
    """Codes of mean 0 and variance 1 in every direction; until `settle`, codes as they are.

    Otherwise the few directions in which codes differ most, those of what is easily seen in an
    image, dominate. Directions of next to no variance, which are noise, keep less than 1.
    """

    mean: Tensor
    """Of codes, (code,), an exponential average over batches."""
    moment: Tensor
    """Mean product of two features, (code, code), likewise."""
    offset: Tensor
    """What is subtracted from codes, (code,)."""
    matrix: Tensor
    """What they are then multiplied by, (code, code)."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(code))
        self.register_buffer("moment", torch.eye(code))
        self.register_buffer("offset", torch.zeros(code))
        self.register_buffer("matrix", torch.eye(code))

    def forward(self, code: Tensor) -> Tensor:
        """Whiten codes, (n, code)."""
        return (code - self.offset) @ self.matrix

    @torch.no_grad()
    def observe(self, code: Tensor) -> None:
        """Update the averages with the codes of a batch, (n, code)."""
        code = code.double()  # which mixed precision leaves alone
        self.mean.lerp_(code.mean(0).to(self.mean.dtype), _PACE)
        self.moment.lerp_((code.T @ code / len(code)).to(self.mean.dtype), _PACE)

    @torch.no_grad()
    def settle(self) -> None:
        """Whiten from now on, by the averages."""
        covariance = (self.moment - torch.outer(self.mean, self.mean)).double()
        variances, directions = torch.linalg.eigh(covariance)
        scales = (variances + _FLOOR * variances[-1]).rsqrt()
        self.matrix.copy_(directions * scales @ directions.T)
        self.offset.copy_(self.mean)


def text_encoder(
    encoder: str, code: int, alphabet: str, length: int, whiten: bool = False
) -> Characters | Sentences:
    """Make the encoder of a name: `characters`, or what `Sentences` takes."""
    if encoder == "characters":
        return Characters(alphabet, length, code, whiten)
    return Sentences(encoder, code, whiten)


def _sentence_encoder(name: str) -> Any:
    """Load the encoder of a name.

    Raises InvalidInput where the library is not there, or does not know it.
    """
    environment.keep_hugging_face_offline()
    try:
        library = import_module("sentence_transformers")
        import_module("transformers.utils.logging").disable_progress_bar()
    except ImportError as error:
        raise InvalidInput(
            f"the encoder {name} needs an optional package ({error}): "
            "pip install 'zoo-adversarial[sentences]'"
        ) from None
    try:
        return library.SentenceTransformer(_place(name))
    except Exception as error:  # the library raises whatever the ones below it do
        raise InvalidInput(
            f"the encoder {name} could not be loaded: {error} Expected a name that "
            "sentence-transformers knows, a folder that holds an encoder, or an installed package "
            "that carries one."
        ) from error


def _place(name: str) -> str:
    """Where a sentence encoder is: the folder in a package that carries one, or what was given."""
    spec = find_spec(name) if name.isidentifier() and not Path(name).is_dir() else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for found in sorted(Path(folder).rglob("modules.json")):
            return str(found.parent)
    return name


def _standardize(code: Tensor) -> Tensor:
    """Bring codes (n, code) to mean 0 and variance 1, as features of images have them.

    Otherwise it takes the discriminator thousands of steps to use them beside the image.
    """
    return functional.layer_norm(code, code.shape[1:])
