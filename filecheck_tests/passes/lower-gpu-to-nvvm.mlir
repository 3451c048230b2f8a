// RUN: xmlc opt %s -p lower-gpu-to-nvvm | filecheck %s

gpu.module @kernels {
  // CHECK-LABEL: @positions
  gpu.func @positions(%out: memref<4xindex>) kernel {
    // CHECK: [[T:%.*]] = nvvm.read.ptx.sreg.tid.x : i32
    // CHECK-NEXT: [[I:%.*]] = arith.index_cast [[T]] : i32 to index
    %t = gpu.thread_id x
    %c = arith.constant 0 : index
    // CHECK: memref.store [[I]], %out
    memref.store %t, %out[%c] : memref<4xindex>
    // CHECK-NEXT: nvvm.barrier0
    gpu.barrier
    gpu.return
  }

  // CHECK-LABEL: @shuffle_of_32_bits
  gpu.func @shuffle_of_32_bits(%x: f32, %out: memref<1xf32>) kernel {
    %c = arith.constant 0 : index
    %offset = arith.constant 4 : i32
    %width = arith.constant 8 : i32
    // CHECK: [[M:%.*]] = arith.constant -1 : i32
    // CHECK-NEXT: [[C:%.*]] = arith.constant 6175 : i32
    // CHECK-NEXT: [[Y:%.*]] = nvvm.shfl.sync bfly [[M]], %x, %offset, [[C]] : f32 -> f32
    %y, %inside = gpu.shuffle xor %x, %offset, %width : f32
    memref.store %y, %out[%c] : memref<1xf32>
    gpu.return
  }

  // CHECK-LABEL: @shuffle_of_64_bits
  gpu.func @shuffle_of_64_bits(%x: f64, %out: memref<1xf64>) kernel {
    %c = arith.constant 0 : index
    %offset = arith.constant 4 : i32
    %width = arith.constant 32 : i32
    // CHECK: arith.bitcast %x : f64 to i64
    // CHECK-COUNT-2: nvvm.shfl.sync bfly {{.*}} : i32 -> i32
    // CHECK: arith.bitcast {{.*}} : i64 to f64
    %y, %inside = gpu.shuffle xor %x, %offset, %width : f64
    memref.store %y, %out[%c] : memref<1xf64>
    gpu.return
  }

  // CHECK-LABEL: @cluster_of_4_lanes
  gpu.func @cluster_of_4_lanes(%x: i32, %out: memref<1xi32>) kernel {
    %c = arith.constant 0 : index
    // CHECK-COUNT-2: arith.addi
    %y = gpu.subgroup_reduce add %x cluster(size = 4) : (i32) -> i32
    memref.store %y, %out[%c] : memref<1xi32>
    gpu.return
  }

  // CHECK-LABEL: @functions_of_floats
  gpu.func @functions_of_floats(%x: f32, %h: f16, %out: memref<1xf32>, %half: memref<1xf16>) kernel {
    %c = arith.constant 0 : index
    // CHECK: llvm.call_intrinsic "llvm.sqrt.f32"(%x) : (f32) -> f32
    %y = math.sqrt %x : f32
    memref.store %y, %out[%c] : memref<1xf32>
    // CHECK: math.sqrt %h : f16
    %z = math.sqrt %h : f16
    memref.store %z, %half[%c] : memref<1xf16>
    gpu.return
  }
}
