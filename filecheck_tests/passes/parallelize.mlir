// RUN: xmlc opt %s -p 'parallelize{threads=4}' | filecheck %s
// RUN: xmlc opt %s -p 'parallelize{threads=1}' | filecheck %s --check-prefix=ONE
// RUN: xmlc opt %s -p 'parallelize{threads=4 least-work=100}' | filecheck %s --check-prefix=EAGER
// RUN: xmlc opt %s -p 'parallelize{threads=4 piece-work=10000}' | filecheck %s --check-prefix=PIECES

// With one thread nothing is left but the loops.
// ONE-NOT: scf.parallel
// ONE-NOT: xmlc.parallel

// Rows are shared out in four chunks of equal size.
// CHECK-LABEL: @rows
// CHECK-DAG: %[[QUARTER:[0-9]+]] = arith.constant 256
// CHECK: "scf.parallel"
// CHECK-NEXT: ^{{.*}}(%[[T:[0-9]+]]: index)
// CHECK-NEXT: %[[FIRST:[0-9]+]] = arith.muli %[[T]], %[[QUARTER]]
// CHECK-NEXT: %[[LAST:[0-9]+]] = arith.addi %[[FIRST]], %[[QUARTER]]
// CHECK-NEXT: scf.for %{{.*}} = %[[FIRST]] to %[[LAST]]
// CHECK: xmlc.threads = 4

// Where there is much to do, chunks are many: 64 for four threads, which take one after another.
// PIECES-LABEL: @rows
// PIECES-DAG: %[[ROWS:[0-9]+]] = arith.constant 16
// PIECES-DAG: %[[CHUNKS:[0-9]+]] = arith.constant 64
// PIECES: "scf.parallel"(%{{.*}}, %[[CHUNKS]], %{{.*}})
// PIECES-NEXT: ^{{.*}}(%[[T:[0-9]+]]: index)
// PIECES-NEXT: arith.muli %[[T]], %[[ROWS]]
// PIECES: xmlc.threads = 4
func.func @rows(%x: memref<1024x1024xf32>, %y: memref<1024x1024xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 1024 : index
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %n step %c1 {
      %a = memref.load %x[%i, %j] : memref<1024x1024xf32>
      %b = arith.addf %a, %a : f32
      memref.store %b, %y[%i, %j] : memref<1024x1024xf32>
    }
  } {xmlc.parallel}
  func.return
}

// Limit: what takes less time than waking threads stays serial, and so does a loop without the mark.
// CHECK-LABEL: @small
// CHECK-NOT: scf.parallel
// EAGER-LABEL: @small
// EAGER: scf.parallel
// EAGER-LABEL: @unmarked
// EAGER-NOT: scf.parallel
func.func @small(%x: memref<512xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 512 : index
  scf.for %i = %c0 to %n step %c1 {
    %a = memref.load %x[%i] : memref<512xf32>
    %b = arith.addf %a, %a : f32
    memref.store %b, %x[%i] : memref<512xf32>
  } {xmlc.parallel}
  func.return
}
// CHECK-LABEL: @unmarked
// CHECK-NOT: scf.parallel
func.func @unmarked(%x: memref<1000000xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 1000000 : index
  scf.for %i = %c1 to %n step %c1 {
    %before = arith.subi %i, %c1 : index
    %a = memref.load %x[%before] : memref<1000000xf32>
    memref.store %a, %x[%i] : memref<1000000xf32>
  }
  func.return
}

// Three rows do not spread over four threads: columns are cut, at a multiple of 16 elements, and the chunks are outermost.
// EAGER-LABEL: @few_rows
// CHECK-LABEL: @few_rows
// CHECK-DAG: %[[WIDTH:[0-9]+]] = arith.constant 50016 : index
// CHECK: "scf.parallel"
// CHECK: arith.muli %{{.*}}, %[[WIDTH]]
// CHECK: %[[LAST:[0-9]+]] = arith.minsi
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step
// CHECK-NEXT: scf.for %{{.*}} = %{{.*}} to %[[LAST]]
func.func @few_rows(%x: memref<3x200040xf32>, %y: memref<3x200040xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %n = arith.constant 200040 : index
  scf.for %i = %c0 to %c3 step %c1 {
    scf.for %j = %c0 to %n step %c1 {
      %a = memref.load %x[%i, %j] : memref<3x200040xf32>
      memref.store %a, %y[%i, %j] : memref<3x200040xf32>
    } {xmlc.parallel}
  } {xmlc.parallel}
  func.return
}

// A buffer made in an iteration becomes one for each chunk, with room between them.
// There are no more of them than threads then.
// PIECES-LABEL: @private
// PIECES: memref.alloc() {alignment = 64 : i64} : memref<114944xi8>
// CHECK-LABEL: @private
// CHECK-DAG: %[[APART:[0-9]+]] = arith.constant 28736 : index
// CHECK: %[[ALL:[0-9]+]] = memref.alloc() {alignment = 64 : i64} : memref<114944xi8>
// CHECK: "scf.parallel"
// CHECK: %[[AT:[0-9]+]] = arith.muli %{{.*}}, %[[APART]]
// CHECK: memref.view %[[ALL]][%[[AT]]]{{.*}} to memref<2050xf32>
// CHECK-NOT: memref.alloc
func.func @private(%x: memref<64x2050xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = arith.constant 64 : index
  %n = arith.constant 2050 : index
  scf.for %i = %c0 to %rows step %c1 {
    %own = memref.alloc() {alignment = 64 : i64} : memref<2050xf32>
    scf.for %j = %c0 to %n step %c1 {
      %a = memref.load %x[%i, %j] : memref<64x2050xf32>
      %b = arith.divf %a, %a : f32
      memref.store %b, %own[%j] : memref<2050xf32>
    }
    scf.for %j = %c0 to %n step %c1 {
      %a = memref.load %own[%j] : memref<2050xf32>
      %b = arith.divf %a, %a : f32
      memref.store %b, %x[%i, %j] : memref<64x2050xf32>
    }
  } {xmlc.parallel}
  func.return
}

// Limit: a loop of two iterations would keep two of four threads idle; what is inside is a better place, and there is one
// level of parallel loops only.
// CHECK-LABEL: @inside
// CHECK: scf.for
// CHECK: "scf.parallel"
// CHECK-NOT: "scf.parallel"
func.func @inside(%x: memref<1x4x10000x100xf32>, %s: memref<1xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %m = arith.constant 10000 : index
  %n = arith.constant 100 : index
  scf.for %b = %c0 to %c1 step %c1 {
    %v = memref.load %s[%b] : memref<1xf32>
    scf.for %i = %c0 to %c4 step %c1 {
      scf.for %j = %c0 to %m step %c1 {
        %t = memref.load %s[%b] : memref<1xf32>
        scf.for %k = %c0 to %n step %c1 {
          memref.store %v, %x[%b, %i, %j, %k] : memref<1x4x10000x100xf32>
        } {xmlc.parallel}
      } {xmlc.parallel}
    } {xmlc.parallel}
  } {xmlc.parallel}
  func.return
}
