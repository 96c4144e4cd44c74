"""From the loss of a network to its next weights: precision, optimiser, schedule, clipping.

Optimisers and schedules are timm's, named in the recipe; devices and processes are Fabric's.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from types import NoneType
from typing import TYPE_CHECKING, Any, cast, get_args

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import create_scheduler_v2
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from zoo_core.errors import InvalidInput, did_you_mean
from zoo_core.rules import KINDS, Rule, check_names, check_value, is_number, is_plain
from zoo_core.training.processes import average_gradients, share_buffers
from zoo_core.training.sharding import Sharded, Whole, find, shares_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch.optim import Optimizer

    from zoo_core.training.recipe import Recipe

__all__ = ["Optimizers", "quick_steps"]


_ASKS_DRIVER = "PYTORCH_NVML_BASED_CUDA_CHECK"

_AMOUNT = Rule("a finite number of at least 0", lambda value: is_number(value) and value >= 0)
_RULES = {bool: KINDS[bool], str: KINDS[str], int: _AMOUNT, float: _AMOUNT}
_SCHEDULES = ("constant", "cosine", "multistep", "poly", "rsqrt", "step", "tanh", "wsd")
"""Those of timm that are a function of the step."""
_PLAIN = Rule("text, true or false, finite numbers, or lists or tables of them", is_plain)


class Optimizers:
    """The optimiser and the schedule of each network that has trainable parameters.

    Args:
        networks: by name.
        recipe: the settings; a table of a network's name within `optimizer` or `schedule` is for
            that one alone.
        fabric: where to train; launched.
        steps_per_epoch: for schedules.

    Raises InvalidInput for settings that timm or torch do not take.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        recipe: Recipe,
        fabric: Fabric,
        steps_per_epoch: int,
    ) -> None:
        self.recipe, self.fabric = recipe, fabric
        self.networks: dict[str, nn.Module] = {}
        """All networks on their device; those with an optimiser are wrapped for several processes
        and for mixed precision."""
        self.whole: dict[str, Whole] = {}
        """Of sharded networks, to validate and to publish them."""
        self.of: dict[str, Optimizer] = {}
        self._blank: dict[str, dict[str, Any]] = {}
        """State of each optimiser before its first step."""
        self._shared: dict[str, Sharded | None] = {}
        self._schedules: list[Any] = []
        self._gradients: dict[str, list[Tensor | None]] = {}
        """Of the parts of a step so far."""
        several = sum(_is_trained(network) for network in networks.values()) > 1
        self._averaged = several and fabric.world_size > 1 and shares_of(fabric) == 1
        """Whether gradients are averaged after a backward pass, not within: in a game of several
        networks a loss leaves weights out, which torch's wrapper of a network would wait for."""
        for name, network in networks.items():
            # without trainable parameters it is the trainer's own affair: it remembers, or is fixed
            if not _is_trained(network):
                self.networks[name] = fabric.to_device(network)
                continue
            if shares_of(fabric) > 1:
                self.whole[name] = Whole(fabric.to_device(network))
            wrapped = fabric.setup_module(network)  # before its optimiser: it may get other weights
            if self._averaged:
                _leave_buffers(wrapped)
            settings = {"opt": "adam", "lr": 1e-3, **_settings(recipe.optimizer, name, networks)}
            if recipe.precision == "16-mixed" and recipe.clip and settings.get("fused"):
                raise InvalidInput(
                    "with precision = 16-mixed a fused optimiser scales gradients back in its "
                    "step, so that they cannot be clipped before it. Leave optimizer.fused or clip "
                    "out."
                )
            optimizer = _optimizer(network, settings)
            if schedule := _settings(recipe.schedule, name, networks):
                self._schedules.append(
                    _schedule(optimizer, schedule, recipe.epochs, steps_per_epoch)
                )
            self.of[name] = cast("Optimizer", fabric.setup_optimizers(optimizer))
            self._blank[name] = optimizer.state_dict()
            for method in _public_methods(network):
                wrapped.mark_forward_method(method)
            self.networks[name] = wrapped
            self._shared[name] = find(wrapped)

    @property
    def rates(self) -> dict[str, float]:
        """The learning rate of the first network, to be logged; nothing where there is none."""
        first = next(iter(self.of.values()), None)
        return {"lr": first.param_groups[0]["lr"]} if first else {}

    def begin_step(self, step: int) -> None:
        """Set the learning rates of a step.

        step: number of steps before it.
        """
        if self.whole or self._averaged:  # the usual wrapper does it by itself
            share_buffers(self.fabric, [self.networks[name] for name in self.of])
        for schedule in self._schedules:
            schedule.step_update(step)

    def forget(self) -> None:
        """Drop what every optimiser remembers of past gradients; rates stay."""
        for name, optimizer in self.of.items():
            rates = [group["lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(self._blank[name])
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    def updates(
        self, after: Callable[[str], None], weight: float = 1.0, *, last: bool = True
    ) -> dict[str, Callable[[Tensor], None]]:
        """For each network what applies a loss to it.

        after: called with a network's name when its weights have moved.
        weight: what each loss is multiplied by.
        last: whether this is the last part of a step; before it, gradients are only added up.
        """
        return {name: self._update(name, after, weight, last) for name in self.of}

    @contextmanager
    def reduced(self, last: bool) -> Iterator[None]:
        """Add gradients up over the processes in the last part of a step only."""
        if self.fabric.world_size == 1:
            yield
            return
        with ExitStack() as stack:
            for name in self.of.keys() - self.whole.keys():  # the gradients of a share are its own
                wrapped: Any = self.networks[name]
                alone = not last or self._averaged
                stack.enter_context(self.fabric.no_backward_sync(wrapped, enabled=alone))
            yield

    def _update(
        self, name: str, after: Callable[[str], None], weight: float, last: bool
    ) -> Callable[[Tensor], None]:
        network, optimizer = self.networks[name], self.of[name]
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        shared, device = self._shared[name], self.fabric.device.type
        gradients = self._gradients.pop(name, [])
        called: list[str] = []

        def update(loss: Tensor) -> None:
            if called and self.recipe.accumulate > 1:
                raise InvalidInput(
                    f"this trainer updates {name!r} several times in a step, and the gradients of "
                    "a step cannot be added up in parts then. Leave accumulate out."
                )
            called.append(name)
            # the losses of other networks may have left theirs behind
            optimizer.zero_grad()
            for parameter, gradient in zip(parameters, gradients, strict=False):
                parameter.grad = gradient
            mixed = torch.is_autocast_enabled(device)
            with torch.autocast(device, enabled=False) if mixed else nullcontext():
                self.fabric.backward(loss * weight if weight != 1 else loss)
                if shared and last:
                    shared.average_numbers()
                if self._averaged and last:
                    average_gradients(self.fabric, parameters)
                if not last:
                    self._gradients[name] = [parameter.grad for parameter in parameters]
                    optimizer.zero_grad()  # so that no other loss adds to them
                    return
                if self.recipe.clip:
                    # what is not finite is a loss's, which `Reporting` finds, or a scaler's
                    self.fabric.clip_gradients(
                        network, optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False
                    )
                optimizer.step()
                if shared:
                    shared.let_go()
                after(name)
            if mixed:
                torch.clear_autocast_cache()  # it holds the weights as they were

        return update


def _leave_buffers(wrapped: nn.Module) -> None:
    """Keep torch's wrapper from sharing buffers out, as `begin_step` does.

    It does so at each call, and torch 2.7 refuses a backward pass through two of them.
    """
    for module in wrapped.modules():
        if isinstance(module, DistributedDataParallel):
            module.broadcast_buffers = False


def _is_trained(network: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in network.parameters())


@contextmanager
def quick_steps() -> Iterator[None]:
    """Spare optimisers a search for the NVIDIA driver in each step, where there is none.

    torch's `step` asks whether there is a GPU, and Fabric has it ask the driver's library, which is
    looked for on the disk each time: a fifth of a millisecond, as long as a small step of Adam.
    """
    asked = None if torch.cuda.is_available() else os.environ.pop(_ASKS_DRIVER, None)
    try:
        yield
    finally:
        if asked is not None:
            os.environ[_ASKS_DRIVER] = asked


def _settings(
    table: Mapping[str, Any], network: str, networks: Mapping[str, nn.Module]
) -> dict[str, Any]:
    """What a table of the recipe says of one network."""
    common = {key: value for key, value in table.items() if key not in networks}
    return {**common, **table.get(network, {})}


def _optimizer(network: nn.Module, settings: Mapping[str, Any]) -> Optimizer:
    _check_settings("optimizer", settings, create_optimizer_v2)
    with _explain_errors("optimizer", settings, settings.get("opt"), list_optimizers):
        optimizer: Optimizer = create_optimizer_v2(network, **settings)
        if getattr(optimizer, "is_second_order", False):  # timm's word, of adahessian
            raise ValueError("it takes gradients of gradients, which are not computed here")
    return optimizer


def _schedule(
    optimizer: Optimizer, settings: Mapping[str, Any], epochs: int, steps_per_epoch: int
) -> Any:
    settings = {"num_epochs": epochs, "min_lr": 0.0, **settings}
    if settings.get("sched") == "plateau":
        raise InvalidInput(
            "schedule.sched is 'plateau'; expected one that is a function of the step."
        )
    _check_settings("schedule", settings, create_scheduler_v2)
    with _explain_errors("schedule", settings, settings.get("sched"), lambda: _SCHEDULES):
        scheduler, _ = create_scheduler_v2(
            optimizer, **settings, step_on_epochs=False, updates_per_epoch=steps_per_epoch
        )
        if scheduler is None:  # as timm's answer to a name that it does not know was
            raise ValueError(f"timm has no schedule {settings['sched']!r}")
    return scheduler


def _check_settings(
    section: str, settings: Mapping[str, object], takes: Callable[..., object]
) -> None:
    """Refuse a value that timm takes without a look, and torch in the first step or never."""
    known = inspect.signature(takes).parameters
    if not any(each.kind is each.VAR_KEYWORD for each in known.values()):
        check_names(settings, [*known][1:], "the recipe", at=f"{section}.")
    for key, value in settings.items():
        hint = known[key].annotation if key in known else None
        kinds = {*get_args(hint)} - {NoneType} or {hint}
        rule = _RULES.get(kinds.pop(), _PLAIN) if len(kinds) == 1 else _PLAIN
        check_value(value, rule, f"the recipe's {section}.{key}")


@contextmanager
def _explain_errors(
    section: str, settings: Mapping[str, object], name: object, known: Callable[[], Sequence[Any]]
) -> Iterator[None]:
    """Say which section of the recipe timm or torch did not take.

    name: that of the optimiser or the schedule; known: gives those that timm has.
    """
    try:
        yield
    except Exception as error:  # of any kind, such as AssertionError, which has no words
        reason = (str(error) or type(error).__name__).rstrip(".")
        mean = "" if name in (names := known()) else did_you_mean(str(name), names)
        raise InvalidInput(
            f"the recipe's [{section}] {dict(settings)} does not work: {reason}.{mean}"
        ) from None


def _public_methods(network: nn.Module) -> list[str]:
    """What a trainer may call on a network besides forward; Fabric wants to know."""
    own = type(network).__mro__[: type(network).__mro__.index(nn.Module)]
    return [
        name
        for cls in own
        for name, value in vars(cls).items()
        if callable(value)
        and not isinstance(value, staticmethod)
        and not name.startswith("_")
        and name != "forward"
    ]
