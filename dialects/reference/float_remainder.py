"""What `arith.remf` means: the exact remainder of the division that rounds toward zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects.float_remainder import RemfOp
from xmlc.dialects.reference.arith import plain

REFERENCE: dict[type[Operation], Callable[..., Any]] = {RemfOp: plain(np.fmod)}
