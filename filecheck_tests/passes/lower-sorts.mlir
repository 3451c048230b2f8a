// RUN: xmlc opt %s -p lower-sorts | filecheck %s

// Rows of sixteen in two vectors of keys and places: each is sorted by shuffles, both are compared with one another in
// mirror image, then each by shuffles again; values are read where the places say.
// CHECK-LABEL: @all
// CHECK: %[[PLACES:[0-9]+]] = memref.alloc() {{.*}} : memref<16xi64>
// CHECK: vector.load %x
// CHECK: arith.shli
// CHECK: %[[OTHER:[0-9]+]] = vector.shuffle {{.*}} [1, 0, 3, 2, 5, 4, 7, 6]
// CHECK-NEXT: arith.minsi %{{[0-9]+}}, %[[OTHER]]
// CHECK-NEXT: arith.maxsi %{{[0-9]+}}, %[[OTHER]]
// CHECK-NEXT: vector.shuffle {{.*}} [0, 9, 2, 11, 4, 13, 6, 15]
// CHECK: vector.store {{.*}} %[[PLACES]]
// CHECK: vector.shuffle {{.*}} [7, 6, 5, 4, 3, 2, 1, 0]
// CHECK-NEXT: arith.minsi
// CHECK: vector.store {{.*}} %indices
// CHECK: memref.store {{.*}} %values
func.func @all(%x: memref<3x16xi32>, %values: memref<3x16xi32>, %indices: memref<3x16xi64>) {
  "fused.sort"(%x, %values, %indices) : (memref<3x16xi32>, memref<3x16xi32>, memref<3x16xi64>) -> ()
  func.return
}

// The first four of a row: two vectors of them go through it, and nothing of it is in memory.
// CHECK-LABEL: @four
// CHECK-NOT: memref.alloc
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xi64>, vector<8xi64>)
// CHECK: vector.maskedstore %indices
func.func @four(%x: memref<3x64xi32>, %values: memref<3x4xi32>, %indices: memref<3x4xi64>) {
  "fused.sort"(%x, %values, %indices) : (memref<3x64xi32>, memref<3x4xi32>, memref<3x4xi64>) -> ()
  func.return
}

// Sixteen rows side by side, of whose places nobody asks: a lane for each row, keys of 32 bits alone.
// CHECK-LABEL: @beside
// CHECK: %[[WORDS:[0-9]+]] = memref.alloc() {{.*}} : memref<32x16xi32>
// CHECK: scf.for
// CHECK-COUNT-16: vector.load %x
// CHECK: vector.shuffle
// CHECK: arith.minsi
// CHECK-NEXT: arith.maxsi
// CHECK-NOT: vector.shuffle
// CHECK: vector.load %[[WORDS]]
// CHECK: vector.store {{.*}} %values
// CHECK-NOT: memref.store
func.func @beside(%x: memref<16x32xi32>, %values: memref<16x32xi32>) {
  %indices = memref.alloc() : memref<16x32xi64>
  "fused.sort"(%x, %values, %indices) : (memref<16x32xi32>, memref<16x32xi32>, memref<16x32xi64>) -> ()
  func.return
}
