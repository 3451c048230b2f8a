"""The functions of arrays that a traced function may call, under the names of the Python array API standard 2024.12.

Those of neural networks are in `xmlc.frontend.python.nn`, control flow is in `xmlc.frontend.python.control`.
"""

from __future__ import annotations

import math

from xmlc.frontend.python.functions import creation, elementwise, indexing, ordering, products, reduction, shapes
from xmlc.frontend.python.functions.creation import *  # noqa: F403
from xmlc.frontend.python.functions.elementwise import *  # noqa: F403
from xmlc.frontend.python.functions.indexing import *  # noqa: F403
from xmlc.frontend.python.functions.naming import name_functions
from xmlc.frontend.python.functions.ordering import *  # noqa: F403
from xmlc.frontend.python.functions.products import *  # noqa: F403
from xmlc.frontend.python.functions.reduction import *  # noqa: F403
from xmlc.frontend.python.functions.shapes import *  # noqa: F403

pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None

__all__: list[str] = ["e", "inf", "nan", "newaxis", "pi"]
__all__ += creation.__all__
__all__ += elementwise.__all__
__all__ += indexing.__all__
__all__ += ordering.__all__
__all__ += products.__all__
__all__ += reduction.__all__
__all__ += shapes.__all__

name_functions(__all__, globals())
