"""The dump of the syntax tree is laid out as the tutorial's."""

from __future__ import annotations

from xmlc.frontend.toy import dump, parse

SOURCE = """struct Pair {
  var a;
  Pair b;
}
def f(Pair p, x) {
  var y<2, 1> = transpose(p.a) * [[1], [2]];
  print(y);
  return;
}
def g() {
  Pair p = {3, [4]};
  return reshape(x, <2, 3>);
}
"""

TEXT = """  Module:
    Struct: Pair @t.toy:1:1
      Variables: [
        VarDecl a<> @t.toy:2:3
        VarDecl b<Pair> @t.toy:3:3
      ]
    Function\x20
      Proto 'f' @t.toy:5:1
      Params: [p, x]
      Block {
        VarDecl y<2, 1> @t.toy:6:3
          BinOp: * @t.toy:6:34
            Call 'transpose' [ @t.toy:6:17
              BinOp: . @t.toy:6:29
                var: p @t.toy:6:27
                var: a @t.toy:6:29
            ]
            Literal: <2, 1>[ <1>[ 1.000000e+00], <1>[ 2.000000e+00]] @t.toy:6:34
        Print [ @t.toy:7:3
          var: y @t.toy:7:9
        ]
        Return
          (void)
      } // Block
    Function\x20
      Proto 'g' @t.toy:10:1
      Params: []
      Block {
        VarDecl p<Pair> @t.toy:11:3
          Struct Literal:             3.000000e+00 @t.toy:11:13
            Literal: <1>[ 4.000000e+00] @t.toy:11:16
           @t.toy:11:12
        Return
          Call 'reshape' [ @t.toy:12:10
            var: x @t.toy:12:18
            Shape: <2, 3> @t.toy:12:21
          ]
      } // Block
"""


def test_every_node_is_dumped_with_its_place() -> None:
    assert dump(parse(SOURCE, "t.toy")) == TEXT


def test_a_sum_of_thousands_of_terms_is_dumped() -> None:
    text = dump(parse(f"def f() {{ return {' + '.join(['a'] * 3000)}; }}", "t.toy"))
    assert text.count("BinOp: +") == 2999
