"""Mathematical functions as straight-line arithmetic, and the pass that calls them."""

from xmlc.passes.expand_math.expand import EXPANSIONS as EXPANSIONS
from xmlc.passes.expand_math.expand import ExpandMath as ExpandMath
