"""Models outside of zoo: functions of a model as ONNX files, or a model as plain PyTorch.

`functions(model)` says what a model can do as pure functions of tensors. Most follow from the
protocols that a class implements; `Stepwise` and `Exportable` are for a class that can say more.
"""

from zoo_core.export.function import Exportable, Function, Stepwise, Value, exporting, functions

__all__ = ["Exportable", "Function", "Stepwise", "Value", "exporting", "functions"]
