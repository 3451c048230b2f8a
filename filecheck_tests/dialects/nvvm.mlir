// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @kernel
gpu.module @module {
  gpu.func @kernel(%i: i32, %b: i1, %f: f32, %near: !llvm.ptr<3>, %far: !llvm.ptr<1>) kernel {
    // CHECK-NEXT: nvvm.barrier{{$}}
    nvvm.barrier
    // CHECK-NEXT: nvvm.barrier id = %i
    nvvm.barrier id = %i
    // CHECK-NEXT: nvvm.barrier id = %i number_of_threads = %i
    nvvm.barrier id = %i number_of_threads = %i
    // CHECK-NEXT: nvvm.barrier0
    nvvm.barrier0
    // CHECK-NEXT: nvvm.shfl.sync bfly %i, %f, %i, %i : f32 -> f32
    %2 = nvvm.shfl.sync bfly %i, %f, %i, %i : f32 -> f32
    // CHECK-NEXT: nvvm.shfl.sync idx %i, %f, %i, %i {return_value_and_is_valid} : f32 -> !llvm.struct<(f32, i1)>
    %3 = nvvm.shfl.sync idx %i, %f, %i, %i {return_value_and_is_valid} : f32 -> !llvm.struct<(f32, i1)>
    // CHECK-NEXT: nvvm.redux.sync add %i, %i : i32 -> i32
    %4 = nvvm.redux.sync add %i, %i : i32 -> i32
    // CHECK-NEXT: nvvm.redux.sync umin %i, %i : i32 -> i32
    %44 = nvvm.redux.sync umin %i, %i : i32 -> i32
    // CHECK-NEXT: nvvm.vote.sync ballot %i, %b -> i32
    %5 = nvvm.vote.sync ballot %i, %b -> i32
    // CHECK-NEXT: nvvm.match.sync any %i, %i : i32 -> i32
    %8 = nvvm.match.sync any %i, %i : i32 -> i32
    // CHECK-NEXT: nvvm.match.sync all %i, %i : i32 -> !llvm.struct<(i32, i1)>
    %88 = nvvm.match.sync all %i, %i : i32 -> !llvm.struct<(i32, i1)>
    // CHECK-NEXT: nvvm.elect.sync -> i1
    %9 = nvvm.elect.sync -> i1
    // CHECK-NEXT: nvvm.cp.async.shared.global %near, %far, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.shared.global %near, %far, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    // CHECK-NEXT: nvvm.cp.async.shared.global %near, %far, 16, cache = ca, %i : !llvm.ptr<3>, !llvm.ptr<1>, i32
    nvvm.cp.async.shared.global %near, %far, 16, cache = ca, %i : !llvm.ptr<3>, !llvm.ptr<1>, i32
    // CHECK-NEXT: nvvm.cp.async.wait.group 1
    nvvm.cp.async.wait.group 1
    // CHECK-NEXT: nvvm.cp.async.commit.group
    nvvm.cp.async.commit.group
    // CHECK-NEXT: nvvm.cp.async.mbarrier.arrive %near : !llvm.ptr<3>
    nvvm.cp.async.mbarrier.arrive %near : !llvm.ptr<3>
    // CHECK-NEXT: nvvm.griddepcontrol wait
    nvvm.griddepcontrol wait
    // CHECK-NEXT: nvvm.setmaxregister increase 232
    nvvm.setmaxregister increase 232
    // CHECK-NEXT: nvvm.memory.barrier <gpu>
    nvvm.memory.barrier <gpu>
    // CHECK-NEXT: nvvm.cluster.arrive {aligned}
    nvvm.cluster.arrive {aligned}
    // CHECK-NEXT: nvvm.cluster.arrive.relaxed {aligned}
    nvvm.cluster.arrive.relaxed {aligned}
    // CHECK-NEXT: nvvm.cluster.wait
    nvvm.cluster.wait
    // CHECK-NEXT: nvvm.fence.sc.cluster
    nvvm.fence.sc.cluster
    // CHECK-NEXT: nvvm.fence.mbarrier.init
    nvvm.fence.mbarrier.init
    // CHECK-NEXT: nvvm.bar.warp.sync %i : i32
    nvvm.bar.warp.sync %i : i32
    // CHECK-NEXT: nvvm.mapa %near, %i : !llvm.ptr<3> -> !llvm.ptr<7>
    %7 = nvvm.mapa %near, %i : !llvm.ptr<3> -> !llvm.ptr<7>
    // CHECK-NEXT: nvvm.barrier.arrive id = %i number_of_threads = %i
    nvvm.barrier.arrive id = %i number_of_threads = %i
    // CHECK-NEXT: nvvm.read.ptx.sreg.tid.x : i32
    %10 = nvvm.read.ptx.sreg.tid.x : i32
    gpu.return
  }
}
