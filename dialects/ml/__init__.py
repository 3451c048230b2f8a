"""The `ml` dialect: tensor operations of machine learning on ranked tensors with value semantics."""

from __future__ import annotations

from xdsl.dialect_interfaces.constant_materialization import ConstantMaterializationInterface
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr
from xdsl.ir import Attribute, Dialect, Operation
from xdsl.utils.hints import isa

from xmlc.dialects.ml import (
    channels_last,
    composite,
    contraction,
    control,
    derivatives,
    elementwise,
    packed,
    random,
    recurrent,
    reduction,
    shaping,
    winograd,
)


class MaterializeConstant(ConstantMaterializationInterface):
    """Folding makes an `ml.constant`."""

    def materialize_constant(self, value: Attribute, type: Attribute) -> Operation | None:
        return shaping.ConstantOp(value) if isa(value, DenseIntOrFPElementsAttr) else None


ML = Dialect(
    "ml",
    [
        *elementwise.ELEMENTWISE,
        *shaping.SHAPING,
        *contraction.CONTRACTION,
        *packed.PACKED,
        *winograd.WINOGRAD,
        *channels_last.CHANNELS_LAST,
        *reduction.REDUCTION,
        *composite.COMPOSITE,
        *recurrent.RECURRENT,
        *control.CONTROL,
        *derivatives.DERIVATIVES,
        *random.RANDOM,
    ],
    [
        elementwise.GeluFormAttr,
        elementwise.PredicateAttr,
        shaping.PadModeAttr,
        shaping.CombineAttr,
        contraction.InterpolationAttr,
        contraction.CoordinatesAttr,
        contraction.RoundingAttr,
        recurrent.DirectionAttr,
    ],
    [MaterializeConstant()],
)
