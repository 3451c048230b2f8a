// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @tiles
func.func @tiles(%a: memref<16x32xbf16>, %c: memref<2x16x16xf32>, %i: index) {
  // CHECK-NEXT: %z = amx.tile_zero : !amx.tile<16x16xf32>
  %z = amx.tile_zero : !amx.tile<16x16xf32>
  // CHECK-NEXT: %x = amx.tile_load %a[%i, %i] : memref<16x32xbf16> into !amx.tile<16x32xbf16>
  %x = amx.tile_load %a[%i, %i] : memref<16x32xbf16> into !amx.tile<16x32xbf16>
  // CHECK-NEXT: %d = amx.tile_mulf %x, %x, %z : !amx.tile<16x32xbf16>, !amx.tile<16x32xbf16>, !amx.tile<16x16xf32>
  %d = amx.tile_mulf %x, %x, %z : !amx.tile<16x32xbf16>, !amx.tile<16x32xbf16>, !amx.tile<16x16xf32>
  // CHECK-NEXT: amx.tile_store %c[%i, %i, %i], %d : memref<2x16x16xf32>, !amx.tile<16x16xf32>
  amx.tile_store %c[%i, %i, %i], %d : memref<2x16x16xf32>, !amx.tile<16x16xf32>
  func.return
}

// CHECK-LABEL: @bytes
func.func @bytes(%x: !amx.tile<16x64xi8>, %s: !amx.tile<16x16xi32>) {
  // CHECK-NEXT: amx.tile_muli %x zext, %x, %s
  %0 = amx.tile_muli %x zext, %x, %s : !amx.tile<16x64xi8>, !amx.tile<16x64xi8>, !amx.tile<16x16xi32>
  // CHECK-NEXT: amx.tile_muli %x, %x zext, %s
  %1 = amx.tile_muli %x, %x zext, %s : !amx.tile<16x64xi8>, !amx.tile<16x64xi8>, !amx.tile<16x16xi32>
  func.return
}
