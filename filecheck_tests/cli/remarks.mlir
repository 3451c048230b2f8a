// RUN: xmlc opt %s -p form-kernels --remarks 2>&1 | filecheck %s --check-prefix FORM
// RUN: xmlc compile %s --threads 2 --emit structured --remarks 2>&1 | filecheck %s
// RUN: xmlc compile %s --threads 2 --emit structured --remarks-json %t
// RUN: xmlc opt %s -p form-kernels | filecheck %s --check-prefix QUIET

// What is not fused, with the place of the op that reads and the reason.
// FORM: remarks.mlir:{{[0-9]+}}:8: missed: @main: ml.matmul is not fused into the kernel matmul_exp that it reads: each is a loop nest of its own [form-kernels]
// QUIET-NOT: missed:

// Which schedule was chosen and what came next, who shares the loops, what memory it takes.
// CHECK-DAG: remarks.mlir:{{[0-9]+}}:8: passed: @matmul_exp: {{.*}} cycles by the cost model; next is {{.*}} [lower-contractions]
// CHECK-DAG: passed: @matmul_exp: 2 threads share a loop of {{.*}} [parallelize]
// CHECK-DAG: analysis: @main: 2 buffers share an arena of 272,384 bytes; {{.*}} [plan-memory]
func.func @main(%x: tensor<256x256xf32>) -> tensor<256x256xf32> {
  %a = ml.matmul %x, %x : tensor<256x256xf32>, tensor<256x256xf32> -> tensor<256x256xf32>
  %b = ml.exp %a : tensor<256x256xf32> -> tensor<256x256xf32>
  %c = ml.matmul %b, %x : tensor<256x256xf32>, tensor<256x256xf32> -> tensor<256x256xf32>
  func.return %c : tensor<256x256xf32>
}
