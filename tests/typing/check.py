"""Hold the public types against mypy and pyright, both strict: `python tests/typing/check.py`.

What is checked are the uses in `public.py`, and the Python of each page for users, its blocks one
after another as a reader runs them. Pages that make a family are for its author to type.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
HEAD = (
    # an example shows a value by naming it
    "# pyright: strict, reportUnusedExpression=false\n"
    # torch leaves arguments without types; that ours have them, public.py shows
    "# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false\n"
    "# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false\n"  # onnxruntime's
)
PAGES = [
    ROOT / "README.md",
    *(page for page in ROOT.glob("docs/**/*.md") if page.parent.name != "plugins"),
    *ROOT.glob("plugins/*/README.md"),
]


def write_examples(folder: Path) -> None:
    """Write the Python of each page into a file that is named like the page."""
    for page in PAGES:
        if blocks := BLOCK.findall(page.read_text("utf-8")):
            name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
            (folder / f"{name}.py").write_text(HEAD + "\n".join(blocks), "utf-8")


def main() -> int:
    """Run both checkers; return the sum of what they return."""
    with tempfile.TemporaryDirectory() as folder:
        write_examples(Path(folder))
        files = [str(ROOT / "tests" / "typing" / "public.py"), *map(str, Path(folder).glob("*.py"))]
        mypy = [sys.executable, "-m", "mypy", "--strict", *files]
        pyright = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, *files]
        return sum(
            subprocess.run(line, cwd=ROOT, check=False).returncode for line in (mypy, pyright)
        )


if __name__ == "__main__":
    sys.exit(main())
