// RUN: xmlc opt %s -p pack-weights,dce | filecheck %s

// A large weight is packed, into panels of two vectors of columns.
// CHECK-LABEL: @main
// CHECK-NEXT:    %[[ROWS:.*]] = ml.reshape %w : tensor<256x192xf32> -> tensor<256x1x6x32xf32>
// CHECK-NEXT:    %[[PACKED:.*]] = ml.transpose %[[ROWS]] [2, 0, 3, 1] : {{.*}} -> tensor<6x256x32x1xf32>
// CHECK-NEXT:    ml.packed_matmul %x, %[[PACKED]]
// One that lies by columns is transposed at the same time; the last panel has columns too many, which are cut off.
// CHECK:         ml.pad %v {{.*}} -> tensor<224x256xf32>
// CHECK:         ml.transpose %{{.*}} [0, 2, 1, 3] : tensor<7x32x256x1xf32> -> tensor<7x256x32x1xf32>
// CHECK:         %[[WIDE:.*]] = ml.packed_matmul %x, %{{.*}} -> tensor<8x224xf32>
// CHECK-NEXT:    ml.slice %[[WIDE]] {{.*}} -> tensor<8x200xf32>
// A small one, one for a single row, and a factor that the caller passes are read as they are.
// CHECK-NEXT:    ml.matmul %x, %s
// CHECK-NEXT:    ml.matmul %r, %w
// CHECK-NEXT:    ml.matmul %x, %u
func.func @main(%x: tensor<8x256xf32>, %r: tensor<1x256xf32>, %u: tensor<256x192xf32>, %w: tensor<256x192xf32> {ml.weight}, %v: tensor<200x256xf32> {ml.weight}, %s: tensor<256x32xf32> {ml.weight}) -> (tensor<8x192xf32>, tensor<8x200xf32>, tensor<8x32xf32>, tensor<1x192xf32>, tensor<8x192xf32>) {
  %y = ml.matmul %x, %w : tensor<8x256xf32>, tensor<256x192xf32> -> tensor<8x192xf32>
  %t = ml.transpose %v [1, 0] : tensor<200x256xf32> -> tensor<256x200xf32>
  %z = ml.matmul %x, %t : tensor<8x256xf32>, tensor<256x200xf32> -> tensor<8x200xf32>
  %a = ml.matmul %x, %s : tensor<8x256xf32>, tensor<256x32xf32> -> tensor<8x32xf32>
  %b = ml.matmul %r, %w : tensor<1x256xf32>, tensor<256x192xf32> -> tensor<1x192xf32>
  %c = ml.matmul %x, %u : tensor<8x256xf32>, tensor<256x192xf32> -> tensor<8x192xf32>
  func.return %y, %z, %a, %b, %c : tensor<8x192xf32>, tensor<8x200xf32>, tensor<8x32xf32>, tensor<1x192xf32>, tensor<8x192xf32>
}
