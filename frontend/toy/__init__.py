"""The Toy language: source text to syntax tree to the `toy` dialect.

module = build(parse(source, "program.toy"))
"""

from xmlc.frontend.toy.build import build
from xmlc.frontend.toy.dump import dump
from xmlc.frontend.toy.parser import parse

__all__ = ["build", "dump", "parse"]
