// RUN: xmlc opt %s -p plan-memory | filecheck %s

// A kernel's buffer is an argument that its caller places in the arena.
// CHECK: @kernel(%x: memref<512xf32>, %y: memref<512xf32>, %workspace: memref<512xf32> {xmlc.workspace})
func.func private @kernel(%x: memref<512xf32>, %y: memref<512xf32>) attributes {xmlc.kernel} {
  %t = memref.alloc() : memref<512xf32>
  "memref.copy"(%x, %t) : (memref<512xf32>, memref<512xf32>) -> ()
  "memref.copy"(%t, %y) : (memref<512xf32>, memref<512xf32>) -> ()
  func.return
}

// %a is done with when %c is first written, and its place is used again.
// CHECK: @main(%x: memref<512xf32>, %y: memref<512xf32>, %arena: memref<6144xi8> {xmlc.arena})
// CHECK-SAME: xmlc.arena_bytes = 6144 : i64
// CHECK-SAME: xmlc.live_bytes = 6144 : i64
// CHECK: %a = memref.view %arena[%[[A:.*]]][]
// CHECK: %c = memref.view %arena[%[[A]]][]
func.func @main(%x: memref<512xf32>, %y: memref<512xf32>) {
  %a = memref.alloc() : memref<512xf32>
  func.call @kernel(%x, %a) : (memref<512xf32>, memref<512xf32>) -> ()
  %b = memref.alloc() : memref<512xf32>
  func.call @kernel(%a, %b) : (memref<512xf32>, memref<512xf32>) -> ()
  %c = memref.alloc() : memref<512xf32>
  "memref.copy"(%b, %c) : (memref<512xf32>, memref<512xf32>) -> ()
  "memref.copy"(%c, %y) : (memref<512xf32>, memref<512xf32>) -> ()
  func.return
}
