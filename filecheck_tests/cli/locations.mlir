// RUN: xmlc opt %s --print-debuginfo | filecheck %s

// An op that states no location gets the place of its name in the text; a stated one is kept.
// CHECK: arith.addi %a, %a : i32 loc("{{.*}}locations.mlir":8:8)
// CHECK-NEXT: arith.muli %0, %0 : i32 loc("net.py":3:4)
// CHECK-NEXT: func.return %1 : i32 loc("{{.*}}locations.mlir":10:3)
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.muli %0, %0 : i32 loc("net.py":3:4)
  func.return %1 : i32
}
