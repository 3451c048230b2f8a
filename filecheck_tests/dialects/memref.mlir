// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @asks_for_a_line
func.func @asks_for_a_line(%m: memref<4x64xf32>, %i: index) {
  // CHECK-NEXT: memref.prefetch %m[%i, %i], read, locality<3>, data : memref<4x64xf32>
  memref.prefetch %m[%i, %i], read, locality<3>, data : memref<4x64xf32>
  // CHECK-NEXT: memref.prefetch %m[%i, %i], write, locality<0>, instr : memref<4x64xf32>
  memref.prefetch %m[%i, %i], write, locality<0>, instr : memref<4x64xf32>
  func.return
}
