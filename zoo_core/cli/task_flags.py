"""The flags of `zoo run`: those of the task that its arguments name, and those of every task."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click
from click.shell_completion import CompletionItem

from zoo_core.cli.arguments import option_flag
from zoo_core.errors import InvalidInput, PluginError, ZooError
from zoo_core.text import command_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo_core.hookspecs import Task
    from zoo_core.loading import Source
    from zoo_core.registry import Entry

__all__ = ["Asked", "TaskCommand", "complete_task"]


class Asked(NamedTuple):
    """What the arguments ask for, as far as they say it."""

    origin: Entry | Source | None = None
    task: Task | None = None
    named: bool = False
    """Whether they name the task; otherwise it is the model's first."""

    @classmethod
    def of(cls, context: click.Context) -> Asked:
        """What the arguments of a command ask for, once they are parsed."""
        asked: Asked = context.meta.get(__name__, cls())
        return asked


class TaskCommand(click.Command):
    """A command whose options are those of the task that its arguments name, and the general ones.

    The arguments are read twice: for the model and the task, and then with the task's options.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the task, then parse; an option that it does not have is explained."""
        ctx.meta[__name__] = _find_asked(ctx, self.params, args)
        try:
            return super().parse_args(ctx, list(args))
        except click.NoSuchOption as error:
            task = Asked.of(ctx).task
            if task is None:
                raise
            if error.option_name == "--set":
                raise _no_set(task, args) from None
            from zoo_core.tasks import unknown_option

            others = [flag for param in self.params for flag in param.opts]
            able = [each.name for each in _tasks(Asked.of(ctx))]
            raise unknown_option(task, error.option_name, able, others) from None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the task's options and the general ones."""
        return [*_task_flags(Asked.of(ctx).task), *super().get_params(ctx)]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does, or the task that is named."""
        asked = Asked.of(ctx)
        if not (asked.task and asked.named):
            super().format_help_text(ctx, formatter)
            return
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"{asked.task.summary}.")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the task's options, those of every task, and the list of tasks."""
        asked = Asked.of(ctx)
        _write_flags(
            f"Options of {asked.task.name}" if asked.task else "",
            _task_flags(asked.task),
            ctx,
            formatter,
        )
        own = [param for param in super().get_params(ctx) if isinstance(param, click.Option)]
        _write_flags("Options of every task" if asked.task else "Options", own, ctx, formatter)
        if not asked.named:
            title = f"Tasks of {asked.origin.name}" if asked.origin else "Tasks"
            with formatter.section(title):
                formatter.write_dl([(task.name, _in_short(task)) for task in _tasks(asked)])


def _find_asked(context: click.Context, general: list[click.Parameter], args: list[str]) -> Asked:
    """The model and the task among arguments; while a shell completes, as far as they can be."""
    from zoo_core import loading, tasks
    from zoo_core.tasks.running import task_for

    try:
        name, task = _scan_names(general, args)
        if name is None:
            return Asked(None, tasks.find(task) if task else None, bool(task))
        origin = loading.resolve(name)
        return Asked(origin, task_for(origin, task), bool(task))
    except ZooError:
        if context.resilient_parsing:
            return Asked()
        raise


def _scan_names(
    general: Iterable[click.Parameter], args: list[str]
) -> tuple[str | None, str | None]:
    """The names of the model and the task, before it is known which flags the task has.

    The flags of all the core's tasks are looked at only where one stands before the model's name.
    """
    from zoo_core import plugins
    from zoo_core.hookspecs import Task

    known = [param for param in general if isinstance(param, click.Option)]
    known.append(click.Option(["--help", "-h"], is_flag=True))
    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    task = None
    for records in ((), tuple(plugins.own(Task).values())):
        flags = {flag.opts[0]: flag for record in records for flag in _task_flags(record)}
        scout = click.Command(
            "run",
            params=[*known, *flags.values()],
            add_help_option=False,
            context_settings=settings,
        )
        found = scout.make_context("run", list(args), resilient_parsing=True)
        task = found.params.get("task")
        if found.args and not found.args[0].startswith("-"):
            return found.args[0], task
    return None, task


def _task_flags(task: Task | None) -> list[click.Option]:
    from zoo_core.tasks import options_of

    return [option_flag(option) for option in options_of(task).values()] if task else []


def _no_set(task: Task, args: list[str]) -> InvalidInput:
    """What to write instead of the former `--set KEY=VALUE`."""
    given = next((word for word in args if word.startswith("--set=")), "").removeprefix("--set=")
    given = given or "".join(args[args.index("--set") + 1 :][:1])
    key, _, value = given.partition("=")
    flags = {flag.name: flag.opts[0] for flag in _task_flags(task)}
    words = [flags.get(key, f"--{key.replace('_', '-')}"), *([value] if value else [])]
    return InvalidInput(
        f"zoo run has no --set: options of a task are flags. Write {command_line(*words)}."
    )


def _write_flags(
    title: str,
    params: Iterable[click.Parameter],
    context: click.Context,
    formatter: click.HelpFormatter,
) -> None:
    helps = [record for param in params if (record := param.get_help_record(context))]
    if helps:
        with formatter.section(title):
            formatter.write_dl(helps)


def _in_short(task: Task) -> str:
    try:
        flags = " ".join(flag.opts[0] for flag in _task_flags(task))
    except PluginError:  # of a family; it is explained when the task is run
        return f"{task.summary} (does not load)"
    return f"{task.summary}: {flags}" if flags else task.summary


def _tasks(asked: Asked) -> list[Task]:
    """The tasks that the model can do, or all where none is named."""
    from zoo_core import loading, plugins, tasks
    from zoo_core.hookspecs import Task

    offers = plugins.offers(Task)
    if asked.origin is None:
        return list(offers.values())
    if isinstance(asked.origin, loading.Source):
        names = tasks.able(loading.blank(asked.origin))
    else:
        names = tasks.of_entry(asked.origin)
    return [offers[name] for name in names if name in offers]


def complete_task(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a task that the model can do."""
    return [
        CompletionItem(task.name, help=task.summary)
        for task in _tasks(Asked.of(context))
        if task.name.startswith(incomplete)
    ]
