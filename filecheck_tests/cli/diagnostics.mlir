// RUN: xmlc opt %s --split-input-file --verify-diagnostics

func.func @unknown_operation(%a: i32) {
  // expected-error@+1 {{unknown operation 'arith.adi'}}
  arith.adi %a, %a : i32
  func.return
}

// -----

func.func @use_before_definition(%a: i32) -> i32 {
  %0 = arith.addi %1, %a : i32 // expected-error {{operand 0 is used before it is defined}}
  %1 = arith.addi %a, %a : i32
  func.return %0 : i32
}

// -----

func.func @may_not_be_defined(%c: i1, %a: i32) -> i32 {
  cf.cond_br %c, ^left, ^right
^left:
  %0 = arith.addi %a, %a : i32
  cf.br ^right
^right:
  // expected-error@below {{operand 1 is used before it is defined}}
  %1 = arith.muli %a, %0 : i32
  func.return %1 : i32
}

// -----

func.func @two_errors(%a: i32) -> i64 {
  // expected-error@+1 {{operand 1 is used before it is defined}}
  %0 = arith.addi %a, %1 : i32
  %1 = arith.addi %a, %a : i32
  func.return %1 : i32
  // expected-error@above {{expected arguments to have the same types as the function output types}}
}
