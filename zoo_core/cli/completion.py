"""`zoo completion`: the script that makes a shell complete commands, options and entry names."""

import click

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash   eval "$(zoo completion bash)"      in ~/.bashrc
    zsh    eval "$(zoo completion zsh)"       in ~/.zshrc
    fish   zoo completion fish > ~/.config/fish/completions/zoo.fish
    """  # noqa: D301 - click looks for the character backspace
    from click.shell_completion import get_completion_class

    from zoo_core.cli import root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click has no completion for {shell}.")
    click.echo(kind(root, {}, "zoo", "_ZOO_COMPLETE").source())
