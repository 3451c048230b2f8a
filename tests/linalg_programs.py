# ruff: noqa: E501
"""Programs at the linalg level, as text, for tests of the passes between linalg and loops.

Results of linalg.generic are listed without parentheses: xDSL 0.74 prints them with, but cannot read those.
"""

from __future__ import annotations

MATMUL = """
func.func private @kernel_0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %bias: tensor<6xf32>) -> tensor<4x6xf32>
    attributes {xmlc.kernel} {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x6xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<4x6xf32>) -> tensor<4x6xf32>
  %p = linalg.generic {
      indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<4x5xf32>, tensor<5x6xf32>) outs(%init : tensor<4x6xf32>) {
  ^bb0(%x: f32, %y: f32, %acc: f32):
    %m = arith.mulf %x, %y : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<4x6xf32>
  %r = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%p, %bias : tensor<4x6xf32>, tensor<6xf32>) outs(%e : tensor<4x6xf32>) {
  ^bb0(%x: f32, %y: f32, %old: f32):
    %s = arith.addf %x, %y : f32
    %m = arith.maximumf %s, %zero : f32
    linalg.yield %m : f32
  } -> tensor<4x6xf32>
  func.return %r : tensor<4x6xf32>
}
func.func @main(%a: tensor<4x5xf32> {ml.name = "a"}, %b: tensor<5x6xf32>, %bias: tensor<6xf32>)
    -> (tensor<2x12xf32> {ml.name = "out"}) {
  %r = func.call @kernel_0(%a, %b, %bias) : (tensor<4x5xf32>, tensor<5x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %flat = tensor.collapse_shape %r [[0, 1]] : tensor<4x6xf32> into tensor<24xf32>
  %out = tensor.expand_shape %flat [[0, 1]] output_shape [2, 12] : tensor<24xf32> into tensor<2x12xf32>
  func.return %out : tensor<2x12xf32>
}
"""

CONVOLUTION = """
func.func @main(%x: tensor<2x3x8x9xf32>, %w: tensor<4x3x3x2xf32>) -> tensor<2x4x3x4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x4x3x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<2x4x3x4xf32>) -> tensor<2x4x3x4xf32>
  %r = linalg.generic {
      indexing_maps = [affine_map<(n, f, h, w, c, p, q) -> (n, c, h * 2 + p, w * 2 + q)>,
                       affine_map<(n, f, h, w, c, p, q) -> (f, c, p, q)>,
                       affine_map<(n, f, h, w, c, p, q) -> (n, f, h, w)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<2x3x8x9xf32>, tensor<4x3x3x2xf32>) outs(%init : tensor<2x4x3x4xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<2x4x3x4xf32>
  func.return %r : tensor<2x4x3x4xf32>
}
"""

SOFTMAX = """
func.func @main(%x: tensor<5x7xf32>) -> tensor<5x7xf32> {
  %low = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %rows = tensor.empty() : tensor<5xf32>
  %full = tensor.empty() : tensor<5x7xf32>
  %m0 = linalg.fill ins(%low : f32) outs(%rows : tensor<5xf32>) -> tensor<5xf32>
  %max = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : tensor<5x7xf32>) outs(%m0 : tensor<5xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %s = arith.maximumf %acc, %a : f32
    linalg.yield %s : f32
  } -> tensor<5xf32>
  %shifted = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x, %max : tensor<5x7xf32>, tensor<5xf32>)
      outs(%full : tensor<5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.subf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<5x7xf32>
  %exp = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%shifted : tensor<5x7xf32>)
      outs(%full : tensor<5x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<5x7xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%rows : tensor<5xf32>) -> tensor<5xf32>
  %sum = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%exp : tensor<5x7xf32>) outs(%s0 : tensor<5xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %s = arith.addf %acc, %a fastmath<reassoc> : f32
    linalg.yield %s : f32
  } -> tensor<5xf32>
  %r = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%exp, %sum : tensor<5x7xf32>, tensor<5xf32>)
      outs(%full : tensor<5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.divf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<5x7xf32>
  func.return %r : tensor<5x7xf32>
}
"""

ARGMAX = """
func.func @main(%x: tensor<5x7xf32>) -> (tensor<5xf32>, tensor<5xi64>) {
  %low = arith.constant 0xFF800000 : f32
  %none = arith.constant 0 : i64
  %ev = tensor.empty() : tensor<5xf32>
  %ei = tensor.empty() : tensor<5xi64>
  %v0 = linalg.fill ins(%low : f32) outs(%ev : tensor<5xf32>) -> tensor<5xf32>
  %i0 = linalg.fill ins(%none : i64) outs(%ei : tensor<5xi64>) -> tensor<5xi64>
  %v, %i = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : tensor<5x7xf32>)
      outs(%v0, %i0 : tensor<5xf32>, tensor<5xi64>) {
  ^bb0(%a: f32, %best: f32, %at: i64):
    %j = linalg.index 1 : index
    %here = arith.index_cast %j : index to i64
    %better = arith.cmpf ogt, %a, %best : f32
    %nv = arith.select %better, %a, %best : f32
    %ni = arith.select %better, %here, %at : i64
    linalg.yield %nv, %ni : f32, i64
  } -> tensor<5xf32>, tensor<5xi64>
  func.return %v, %i : tensor<5xf32>, tensor<5xi64>
}
"""

CONCAT = """
func.func @main(%a: tensor<3x2xf32>, %b: tensor<3x4xf32>) -> tensor<3x7xf32> {
  %c = arith.constant 9.0 : f32
  %none = tensor.empty() : tensor<3x7xf32>
  %e = linalg.fill ins(%c : f32) outs(%none : tensor<3x7xf32>) -> tensor<3x7xf32>
  %whole = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j + 5)>],
      iterator_types = ["parallel", "parallel"]} ins(%a : tensor<3x2xf32>) outs(%e : tensor<3x7xf32>) {
  ^bb0(%x: f32, %o: f32):
    linalg.yield %x : f32
  } -> tensor<3x7xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (2 - i, j)>, affine_map<(i, j) -> (i, j + 1)>],
      iterator_types = ["parallel", "parallel"]} ins(%b : tensor<3x4xf32>) outs(%whole : tensor<3x7xf32>) {
  ^bb0(%x: f32, %o: f32):
    %n = arith.negf %x : f32
    linalg.yield %n : f32
  } -> tensor<3x7xf32>
  func.return %r : tensor<3x7xf32>
}
"""

GATHER = """
func.func @main(%table: tensor<10x4xf32>, %at: tensor<3xi64>) -> tensor<3x4xf32> {
  %e = tensor.empty() : tensor<3x4xf32>
  %doubled = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]} ins(%at : tensor<3xi64>) outs(%at : tensor<3xi64>) {
  ^bb0(%i: i64, %o: i64):
    %d = arith.addi %i, %i : i64
    linalg.yield %d : i64
  } -> tensor<3xi64>
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%doubled : tensor<3xi64>) outs(%e : tensor<3x4xf32>) {
  ^bb0(%i: i64, %o: f32):
    %row = arith.index_cast %i : i64 to index
    %column = linalg.index 1 : index
    %x = tensor.extract %table[%row, %column] : tensor<10x4xf32>
    linalg.yield %x : f32
  } -> tensor<3x4xf32>
  func.return %r : tensor<3x4xf32>
}
"""

SCAN = """
func.func private @step(%state: tensor<4xf32>, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
    attributes {xmlc.kernel} {
  %e = tensor.empty() : tensor<4xf32>
  %s, %y = linalg.generic {
      indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]} ins(%state, %x : tensor<4xf32>, tensor<4xf32>)
      outs(%e, %e : tensor<4xf32>, tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32, %p: f32):
    %sum = arith.addf %a, %b : f32
    %product = arith.mulf %a, %b : f32
    linalg.yield %sum, %product : f32, f32
  } -> tensor<4xf32>, tensor<4xf32>
  func.return %s, %y : tensor<4xf32>, tensor<4xf32>
}
func.func @main(%start: tensor<4xf32>, %xs: tensor<6x4xf32>) -> (tensor<4xf32>, tensor<6x4xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %six = arith.constant 6 : index
  %e = tensor.empty() : tensor<6x4xf32>
  %s, %ys = scf.for %i = %zero to %six step %one iter_args(%state = %start, %out = %e)
      -> (tensor<4xf32>, tensor<6x4xf32>) {
    %x = tensor.extract_slice %xs[%i, 0] [1, 4] [1, 1] : tensor<6x4xf32> to tensor<4xf32>
    %next, %y = func.call @step(%state, %x) : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
    %new = tensor.insert_slice %y into %out[%i, 0] [1, 4] [1, 1] : tensor<4xf32> into tensor<6x4xf32>
    scf.yield %next, %new : tensor<4xf32>, tensor<6x4xf32>
  }
  func.return %s, %ys : tensor<4xf32>, tensor<6x4xf32>
}
"""

AWKWARD = """
func.func @argument_returned(%x: tensor<4xf32>) -> tensor<4xf32> {
  func.return %x : tensor<4xf32>
}
func.func @value_returned_twice(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<2x2xf32>) {
  %e = tensor.empty() : tensor<4xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]} ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  %z = tensor.expand_shape %y [[0, 1]] output_shape [2, 2] : tensor<4xf32> into tensor<2x2xf32>
  func.return %y, %y, %z : tensor<4xf32>, tensor<4xf32>, tensor<2x2xf32>
}
func.func @argument_as_init(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %c = arith.constant 7.0 : f32
  %one = arith.constant 1 : index
  %y = tensor.insert %c into %x[%one] : tensor<4xf32>
  func.return %y, %x : tensor<4xf32>, tensor<4xf32>
}
func.func @init_read_later(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %c = arith.constant 7.0 : f32
  %one = arith.constant 1 : index
  %k = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %y = tensor.insert %c into %k[%one] : tensor<4xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(i) -> (3 - i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]} ins(%y, %x : tensor<4xf32>, tensor<4xf32>) outs(%y : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.subf %a, %o : f32
    %t = arith.mulf %s, %b : f32
    linalg.yield %t : f32
  } -> tensor<4xf32>
  func.return %z, %y : tensor<4xf32>, tensor<4xf32>
}
func.func @swap(%a: tensor<4xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %five = arith.constant 5 : index
  %x, %y, %z = scf.for %i = %zero to %five step %one iter_args(%p = %a, %q = %b, %r = %c)
      -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
    scf.yield %q, %r, %p : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  }
  func.return %x, %y, %z : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
func.func @same_start_twice(%a: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %four = arith.constant 4 : index
  %nine = arith.constant 9.0 : f32
  %start = tensor.insert %nine into %a[%one] : tensor<4xf32>
  %x, %y = scf.for %i = %zero to %four step %one iter_args(%p = %start, %q = %start)
      -> (tensor<4xf32>, tensor<4xf32>) {
    %old = tensor.extract %p[%i] : tensor<4xf32>
    %sum = arith.addf %old, %nine : f32
    %n = tensor.insert %sum into %p[%i] : tensor<4xf32>
    %m = tensor.insert %old into %q[%zero] : tensor<4xf32>
    scf.yield %m, %n : tensor<4xf32>, tensor<4xf32>
  }
  func.return %x, %y, %start : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
func.func @branch_yields_argument(%a: tensor<4xf32>, %flag: i1) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0 : index
  %two = arith.constant 2.0 : f32
  %b = tensor.insert %two into %a[%zero] : tensor<4xf32>
  %x, %y = scf.if %flag -> (tensor<4xf32>, tensor<4xf32>) {
    %n = tensor.insert %two into %b[%zero] : tensor<4xf32>
    scf.yield %a, %n : tensor<4xf32>, tensor<4xf32>
  } else {
    scf.yield %b, %a : tensor<4xf32>, tensor<4xf32>
  }
  func.return %x, %y : tensor<4xf32>, tensor<4xf32>
}
func.func @doubles_until_large(%a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0 : index
  %limit = arith.constant 100.0 : f32
  %x, %y, %z = scf.while (%p = %a, %q = %b) : (tensor<4xf32>, tensor<4xf32>)
      -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
    %first = tensor.extract %p[%zero] : tensor<4xf32>
    %more = arith.cmpf olt, %first, %limit : f32
    %n = tensor.insert %limit into %q[%zero] : tensor<4xf32>
    scf.condition(%more) %p, %n, %p : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  } do {
  ^bb0(%p: tensor<4xf32>, %q: tensor<4xf32>, %r: tensor<4xf32>):
    %first = tensor.extract %p[%zero] : tensor<4xf32>
    %double = arith.addf %first, %first : f32
    %n = tensor.insert %double into %r[%zero] : tensor<4xf32>
    scf.yield %n, %p : tensor<4xf32>, tensor<4xf32>
  }
  func.return %x, %y, %z : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
func.func @inserts_into_what_is_used_later(%a: tensor<2x4xf32>, %b: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %c = tensor.insert_slice %b into %a[1, 0] [1, 4] [1, 1] : tensor<4xf32> into tensor<2x4xf32>
  %part = tensor.extract_slice %c[0, 1] [2, 2] [1, 2] : tensor<2x4xf32> to tensor<2x2xf32>
  %d = tensor.insert_slice %part into %c[0, 0] [2, 2] [1, 1] : tensor<2x2xf32> into tensor<2x4xf32>
  func.return %d, %c : tensor<2x4xf32>, tensor<2x4xf32>
}
func.func @outer_value_written_in_a_loop(%a: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %four = arith.constant 4 : index
  %c = arith.constant 5.0 : f32
  %b = tensor.insert %c into %a[%one] : tensor<4xf32>
  %e = tensor.empty() : tensor<4xf32>
  %init = linalg.fill ins(%c : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %r = scf.for %i = %zero to %four step %one iter_args(%acc = %init) -> (tensor<4xf32>) {
    %x = tensor.extract %b[%i] : tensor<4xf32>
    %double = arith.addf %x, %x : f32
    %local = tensor.insert %double into %b[%i] : tensor<4xf32>
    %y = tensor.extract %local[%one] : tensor<4xf32>
    %next = tensor.insert %y into %acc[%i] : tensor<4xf32>
    scf.yield %next : tensor<4xf32>
  }
  func.return %r, %init : tensor<4xf32>, tensor<4xf32>
}
"""

PROGRAMS = {
    "matmul": MATMUL,
    "convolution": CONVOLUTION,
    "softmax": SOFTMAX,
    "argmax": ARGMAX,
    "concat": CONCAT,
    "gather": GATHER,
    "scan": SCAN,
    "awkward": AWKWARD,
}
