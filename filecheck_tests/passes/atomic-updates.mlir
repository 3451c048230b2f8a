// RUN: xmlc opt %s -p atomic-updates | filecheck %s
// RUN: xmlc opt %s -p 'atomic-updates{floats=false}' | filecheck %s --check-prefix ORDER

// Updates of elements that data chooses are combined atomically: then no iteration need wait for another.
// CHECK-LABEL: func.func @histogram
// CHECK: %update = memref.load %updates[%i]
// CHECK-NEXT: "memref.atomic_rmw"(%update, %counts, %place) <{kind = 0 : i64}>
// CHECK-NEXT: } {xmlc.parallel}
// ORDER-LABEL: func.func @histogram
// ORDER-NOT: atomic_rmw
func.func @histogram(%places: memref<1000xindex>, %updates: memref<1000xf32>, %counts: memref<10xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 1000 : index
  scf.for %i = %c0 to %n step %c1 {
    %place = memref.load %places[%i] : memref<1000xindex>
    %before = memref.load %counts[%place] : memref<10xf32>
    %update = memref.load %updates[%i] : memref<1000xf32>
    %after = arith.addf %before, %update : f32
    memref.store %after, %counts[%place] : memref<10xf32>
  }
  func.return
}

// Limits: a sum at a place that no data chooses is made in a register; products have no atomic instruction; what is
// read for another use too is not updated only.
// CHECK-LABEL: func.func @others
// CHECK-NOT: atomic_rmw
// CHECK-NOT: xmlc.parallel
func.func @others(%places: memref<1000xindex>, %updates: memref<1000xf32>, %x: memref<10xf32>, %seen: memref<1xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 1000 : index
  scf.for %i = %c0 to %n step %c1 {
    %before = memref.load %x[%c0] : memref<10xf32>
    %update = memref.load %updates[%i] : memref<1000xf32>
    %after = arith.addf %before, %update : f32
    memref.store %after, %x[%c0] : memref<10xf32>
  }
  scf.for %i = %c0 to %n step %c1 {
    %place = memref.load %places[%i] : memref<1000xindex>
    %before = memref.load %x[%place] : memref<10xf32>
    %update = memref.load %updates[%i] : memref<1000xf32>
    %after = arith.mulf %before, %update : f32
    memref.store %after, %x[%place] : memref<10xf32>
  }
  scf.for %i = %c0 to %n step %c1 {
    %place = memref.load %places[%i] : memref<1000xindex>
    %before = memref.load %x[%place] : memref<10xf32>
    %update = memref.load %updates[%i] : memref<1000xf32>
    %after = arith.addf %before, %update : f32
    memref.store %after, %x[%place] : memref<10xf32>
    memref.store %before, %seen[%c0] : memref<1xf32>
  }
  func.return
}
