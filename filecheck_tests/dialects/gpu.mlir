// RUN: xmlc opt %s | filecheck %s

// CHECK: builtin.module attributes {gpu.container_module}
module attributes {gpu.container_module} {
  // CHECK: gpu.module @kernels {
  gpu.module @kernels {
    "memref.global"() <{sym_name = "s", sym_visibility = "private", type = memref<32xf32, #gpu.address_space<workgroup>>, initial_value}> : () -> ()

    // CHECK: gpu.func @known_sizes() kernel attributes {known_block_size = array<i32: 32, 1, 1>, known_grid_size = array<i32: 4, 2, 1>} {
    gpu.func @known_sizes() kernel attributes {known_block_size = array<i32: 32, 1, 1>, known_grid_size = array<i32: 4, 2, 1>} {
      gpu.return
    }

    // CHECK: gpu.func @positions(%m: memref<64xf32>) kernel {
    gpu.func @positions(%m: memref<64xf32>) kernel {
      // CHECK-NEXT: gpu.thread_id x
      %t = gpu.thread_id x
      // CHECK-NEXT: gpu.block_id y
      %b = gpu.block_id y
      // CHECK-NEXT: gpu.block_dim z
      %n = gpu.block_dim z
      // CHECK-NEXT: gpu.grid_dim x
      %g = gpu.grid_dim x
      // CHECK-NEXT: gpu.global_id x
      %i = gpu.global_id x
      // CHECK-NEXT: gpu.lane_id
      %l = gpu.lane_id
      // CHECK-NEXT: gpu.subgroup_id : index
      %w = gpu.subgroup_id : index
      // CHECK-NEXT: gpu.num_subgroups : index
      %c = gpu.num_subgroups : index
      // CHECK-NEXT: gpu.subgroup_size : index
      %s = gpu.subgroup_size : index
      gpu.return
    }

    // CHECK: gpu.func @together
    gpu.func @together(%x: f32, %n: i32, %m: memref<64xf32>) kernel {
      // CHECK-NEXT: %{{.*}}, %{{.*}} = gpu.shuffle xor %x, %n, %n : f32
      %y, %inside = gpu.shuffle xor %x, %n, %n : f32
      // CHECK-NEXT: gpu.subgroup_reduce add %x : (f32) -> f32
      %a = gpu.subgroup_reduce add %x : (f32) -> f32
      // CHECK-NEXT: gpu.subgroup_reduce maximumf %x cluster(size = 4, stride = 2) : (f32) -> f32
      %b = gpu.subgroup_reduce maximumf %x cluster(size = 4, stride = 2) : (f32) -> f32
      // CHECK-NEXT: gpu.barrier
      gpu.barrier
      // CHECK-NEXT: memref.get_global @s : memref<32xf32, #gpu.address_space<workgroup>>
      %s = memref.get_global @s : memref<32xf32, #gpu.address_space<workgroup>>
      // CHECK-NEXT: gpu.dynamic_shared_memory : memref<?xi8, #gpu.address_space<workgroup>>
      %d = gpu.dynamic_shared_memory : memref<?xi8, #gpu.address_space<workgroup>>
      gpu.return
    }
  }

  // CHECK: func.func @main
  func.func @main(%m: memref<64xf32>) {
    %one = arith.constant 1 : index
    %bytes = arith.constant 128 : i32
    // CHECK: gpu.launch_func @kernels::@positions blocks in (%one, %one, %one) threads in (%one, %one, %one) args(%m : memref<64xf32>)
    gpu.launch_func @kernels::@positions blocks in (%one, %one, %one) threads in (%one, %one, %one) args(%m : memref<64xf32>)
    // CHECK-NEXT: gpu.launch_func @kernels::@positions clusters in (%one, %one, %one) blocks in (%one, %one, %one) threads in (%one, %one, %one) dynamic_shared_memory_size %bytes args(%m : memref<64xf32>)
    gpu.launch_func @kernels::@positions clusters in (%one, %one, %one) blocks in (%one, %one, %one) threads in (%one, %one, %one) dynamic_shared_memory_size %bytes args(%m : memref<64xf32>)
    func.return
  }
}
