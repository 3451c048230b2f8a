// RUN: xmlc opt %s -p "pack-weights{dots=i8,bf16},dce" | filecheck %s

// Steps that an instruction takes at once lie side by side; integers stay as narrow as they are.
// CHECK-LABEL: @main
// CHECK:         %[[PACKED:.*]] = ml.transpose %{{.*}} [2, 0, 3, 1] : tensor<128x4x9x32xi8> -> tensor<9x128x32x4xi8>
// CHECK-NEXT:    %[[WIDE:.*]] = ml.cast %[[PACKED]] : tensor<9x128x32x4xi8> -> tensor<9x128x32x4xi32>
// CHECK-NEXT:    ml.packed_matmul %{{.*}}, %[[WIDE]]
func.func @main(%x: tensor<8x512xui8>, %w: tensor<512x288xi8> {ml.weight}) -> tensor<8x288xi32> {
  %a = ml.cast %x : tensor<8x512xui8> -> tensor<8x512xi32>
  %b = ml.cast %w : tensor<512x288xi8> -> tensor<512x288xi32>
  %y = ml.matmul %a, %b : tensor<8x512xi32>, tensor<512x288xi32> -> tensor<8x288xi32>
  func.return %y : tensor<8x288xi32>
}
