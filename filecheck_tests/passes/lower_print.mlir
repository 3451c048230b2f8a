// RUN: xmlc opt %s -p lower-print | filecheck %s

// A newline ends every loop but the outermost.
// CHECK-LABEL: @matrix
// CHECK:         scf.for [[I:%.*]] = {{.*}} {
// CHECK:           scf.for [[J:%.*]] = {{.*}} {
// CHECK-NEXT:        [[E:%.*]] = tensor.extract %x{{\[}}[[I]], [[J]]] : tensor<2x3xf64>
// CHECK-NEXT:        func.call @toy_print_f64([[E]]) : (f64) -> ()
// CHECK-NEXT:      }
// CHECK-NEXT:      func.call @toy_print_newline() : () -> ()
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return
func.func @matrix(%x: tensor<2x3xf64>) {
  toy.print %x : tensor<2x3xf64>
  func.return
}

// CHECK-LABEL: @number
// CHECK-NEXT:    [[E:%.*]] = tensor.extract %x[] : tensor<f64>
// CHECK-NEXT:    func.call @toy_print_f64([[E]])
// CHECK-NEXT:    func.return
func.func @number(%x: tensor<f64>) {
  toy.print %x : tensor<f64>
  func.return
}

// CHECK-LABEL: @unknown_size
// CHECK:         [[N:%.*]] = tensor.dim %x, %{{.*}} : tensor<?xf64>
// CHECK:         scf.for %{{.*}} = %{{.*}} to [[N]] step
func.func @unknown_size(%x: tensor<?xf64>) {
  toy.print %x : tensor<?xf64>
  func.return
}

// CHECK: func.func private @toy_print_f64(f64) -> ()
// CHECK: func.func private @toy_print_newline() -> ()
