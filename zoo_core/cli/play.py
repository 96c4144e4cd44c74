"""`zoo play`: the page that plays, on this machine alone."""

import functools
import http.server
import threading
import webbrowser
from pathlib import Path

import click

from zoo_core.cli.arguments import entries_argument
from zoo_core.errors import InvalidInput

__all__ = ["command"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>zoo play</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="play.css">
<style>
body {{ font: 20px sans-serif; max-width: 960px; margin: 0 auto; padding: 12px; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #1b1d22; color: #ddd; --md-default-fg-color: #ddd;
    --md-default-fg-color--light: #aab; --md-default-fg-color--lightest: #444; }}
}}
</style>
<h1>zoo play</h1>
<div id="zoo-play"></div>
<script src="play.js"></script>
</html>
"""


@click.command("play")
@entries_argument()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port. [default: one that is free]"
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def command(names: tuple[str, ...], port: int, no_browser: bool) -> None:
    """Open a page in the browser that runs models.

    ENTRY is a name, a run folder or a safetensors file that plays beside the entries of the zoo.
    What the page loads is exported first, once; only this machine can reach it. Stops with
    Ctrl-C.
    """
    from zoo_core import environment
    from zoo_core.export import page
    from zoo_core.export.onnx import require

    require()
    folder = environment.home() / "play"
    with _server(folder, port) as server:  # before the exports, which take a while
        page.build(folder, names, say=lambda text: click.echo(text, err=True))
        (folder / "index.html").write_text(_PAGE.format())
        address = f"http://127.0.0.1:{server.server_port}/"
        click.echo(address)
        if not no_browser:
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        server.serve_forever()


def _server(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise InvalidInput(
            f"port {port} cannot be used: {error.strerror}. Leave --port out for one that is free."
        ) from error
