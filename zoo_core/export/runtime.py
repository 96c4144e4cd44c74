"""What runs a file of a function: onnxruntime, without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core import plugins
from zoo_core.errors import InvalidInput

if TYPE_CHECKING:
    from zoo_core.loading import Source

__all__ = ["KEY", "WRITES", "code", "load", "require"]

KEY = "zoo"
"""The key of the metadata in a file."""

WRITES = ("onnx", "onnxscript")
"""The packages that write a file."""


def require(*modules: str) -> None:
    """Check that optional packages are here; without names, those that write a file.

    Raises InvalidInput that says how to install them.
    """
    missing = [name for name in modules or WRITES if find_spec(name) is None]
    if missing:
        raise InvalidInput(
            f"this needs {', '.join(missing)}, which is not installed: pip install 'zoo-core[onnx]'"
        )


def load(source: Path | bytes, threads: int = 0) -> tuple[Callable[..., list[Any]], dict[str, Any]]:
    """Arrays in the order of a file's inputs -> its outputs; and its metadata.

    source: a file, or its content.
    threads: 0 is one for each core.

    Raises InvalidInput without onnxruntime, and for what is no such file.
    """
    require("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    content = str(source) if isinstance(source, Path) else source
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        metadata: dict[str, Any] = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    except Exception as error:  # onnxruntime raises some ten types, which have no common one
        what = source if isinstance(source, Path) else "this"
        raise InvalidInput(
            f"{what} is no function that zoo exported, or damaged: delete it."
        ) from error
    names = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]

    def run(*inputs: Any) -> list[Any]:
        return list(session.run(outputs, dict(zip(names, inputs, strict=True))))

    return run, metadata


def code(source: Source) -> str:
    """A digest of the code that writes files, and of the architecture's."""
    record = plugins.architecture(source.architecture, source.family)
    model = find_spec(record.path.partition(":")[0])
    here = Path(__file__).parent
    paths = [here / "function.py", here / "onnx.py"]
    paths += [Path(model.origin)] if model and model.origin else []
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
