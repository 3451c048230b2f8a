// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @dots
func.func @dots(%s: vector<16xi32>, %x: vector<64xi8>, %f: vector<16xf32>, %h: vector<32xbf16>) {
  // CHECK-NEXT: grouped.dot %s, %x, %x : vector<16xi32>, vector<64xi8>
  %0 = grouped.dot %s, %x, %x : vector<16xi32>, vector<64xi8>
  // CHECK-NEXT: grouped.dot unsigned %s, %x, %x : vector<16xi32>, vector<64xi8>
  %1 = grouped.dot unsigned %s, %x, %x : vector<16xi32>, vector<64xi8>
  // CHECK-NEXT: grouped.dot %f, %h, %h : vector<16xf32>, vector<32xbf16>
  %2 = grouped.dot %f, %h, %h : vector<16xf32>, vector<32xbf16>
  func.return
}
