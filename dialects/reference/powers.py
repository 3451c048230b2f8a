"""What multiplication by powers of two means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects.powers import ScaleOp
from xmlc.dialects.reference.arith import plain

REFERENCE: dict[type[Operation], Callable[..., Any]] = {ScaleOp: plain(np.ldexp)}
