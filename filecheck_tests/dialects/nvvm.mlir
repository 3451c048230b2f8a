// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @kernel
gpu.module @module {
  gpu.func @kernel(%i: i32, %b: i1, %f: f32, %near: !llvm.ptr<3>, %far: !llvm.ptr<1>,
    %map: !llvm.ptr, %cluster: !llvm.ptr<7>, %pair: vector<2xf16>, %descriptor: i64, %blocks: i16, %g: f64,
    %sums: !llvm.struct<(f32, f32, f32, f32)>, %counts: !llvm.struct<(i32, i32, i32, i32)>) kernel {
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
    // CHECK-NEXT: nvvm.mbarrier.init %near, %i : !llvm.ptr<3>, i32
    nvvm.mbarrier.init %near, %i : !llvm.ptr<3>, i32
    // CHECK-NEXT: nvvm.mbarrier.arrive %near : !llvm.ptr<3> -> i64
    %s0 = nvvm.mbarrier.arrive %near : !llvm.ptr<3> -> i64
    // CHECK-NEXT: nvvm.mbarrier.arrive.nocomplete %near, %i : !llvm.ptr<3>, i32 -> i64
    %s1 = nvvm.mbarrier.arrive.nocomplete %near, %i : !llvm.ptr<3>, i32 -> i64
    // CHECK-NEXT: nvvm.mbarrier.arrive.expect_tx %near, %i : !llvm.ptr<3>, i32
    nvvm.mbarrier.arrive.expect_tx %near, %i : !llvm.ptr<3>, i32
    // CHECK-NEXT: nvvm.mbarrier.test.wait %near, %s0 : !llvm.ptr<3>, i64 -> i1
    %ended = nvvm.mbarrier.test.wait %near, %s0 : !llvm.ptr<3>, i64 -> i1
    // CHECK-NEXT: nvvm.mbarrier.try_wait.parity %near, %i, %i : !llvm.ptr<3>, i32, i32
    nvvm.mbarrier.try_wait.parity %near, %i, %i : !llvm.ptr<3>, i32, i32
    // CHECK-NEXT: nvvm.mbarrier.inval %near : !llvm.ptr<3>
    nvvm.mbarrier.inval %near : !llvm.ptr<3>
    // CHECK-NEXT: nvvm.prefetch tensormap, %map : !llvm.ptr
    nvvm.prefetch tensormap, %map : !llvm.ptr
    // CHECK-NEXT: nvvm.cp.async.bulk.tensor.shared.cluster.global %cluster, %map, %near, box[%i, %i] : !llvm.ptr<7>, !llvm.ptr
    nvvm.cp.async.bulk.tensor.shared.cluster.global %cluster, %map, %near, box[%i, %i] : !llvm.ptr<7>, !llvm.ptr
    // CHECK-NEXT: nvvm.cp.async.bulk.tensor.shared.cluster.global %cluster, %map, %near, box[%i, %i, %i] multicast_mask = %blocks : !llvm.ptr<7>, !llvm.ptr
    nvvm.cp.async.bulk.tensor.shared.cluster.global %cluster, %map, %near, box[%i, %i, %i] multicast_mask = %blocks : !llvm.ptr<7>, !llvm.ptr
    // CHECK-NEXT: nvvm.cp.async.bulk.tensor.shared.cluster.global %cluster, %map, %near, box[%i] l2_cache_hint = %descriptor : !llvm.ptr<7>, !llvm.ptr
    nvvm.cp.async.bulk.tensor.shared.cluster.global %cluster, %map, %near, box[%i] l2_cache_hint = %descriptor : !llvm.ptr<7>, !llvm.ptr
    // CHECK-NEXT: nvvm.cp.async.bulk.tensor.global.shared.cta %map, %near, box[%i, %i] : !llvm.ptr, !llvm.ptr<3>
    nvvm.cp.async.bulk.tensor.global.shared.cta %map, %near, box[%i, %i] : !llvm.ptr, !llvm.ptr<3>
    // CHECK-NEXT: nvvm.cp.async.bulk.shared.cluster.global %cluster, %far, %near, %i : !llvm.ptr<7>, !llvm.ptr<1>
    nvvm.cp.async.bulk.shared.cluster.global %cluster, %far, %near, %i : !llvm.ptr<7>, !llvm.ptr<1>
    // CHECK-NEXT: nvvm.cp.async.bulk.global.shared.cta %far, %near, %i : !llvm.ptr<1>, !llvm.ptr<3>
    nvvm.cp.async.bulk.global.shared.cta %far, %near, %i : !llvm.ptr<1>, !llvm.ptr<3>
    // CHECK-NEXT: nvvm.cp.async.bulk.commit.group
    nvvm.cp.async.bulk.commit.group
    // CHECK-NEXT: nvvm.cp.async.bulk.wait_group 1
    nvvm.cp.async.bulk.wait_group 1
    // CHECK-NEXT: nvvm.cp.async.bulk.wait_group 0 {read}
    nvvm.cp.async.bulk.wait_group 0 {read}
    // CHECK-NEXT: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
    // CHECK-NEXT: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async>}
    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async>}
    // CHECK-NEXT: nvvm.ldmatrix %near {num = 1 : i32, layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> i32
    %m1 = nvvm.ldmatrix %near {num = 1 : i32, layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> i32
    // CHECK-NEXT: nvvm.ldmatrix %near {num = 4 : i32, layout = #nvvm.mma_layout<col>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>
    %m4 = nvvm.ldmatrix %near {num = 4 : i32, layout = #nvvm.mma_layout<col>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>
    // CHECK-NEXT: nvvm.stmatrix %near, %i, %i {layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : !llvm.ptr<3>, i32, i32
    nvvm.stmatrix %near, %i, %i {layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : !llvm.ptr<3>, i32, i32
    // CHECK-NEXT: nvvm.mma.sync A[%pair, %pair, %pair, %pair] B[%pair, %pair] C[%f, %f, %f, %f] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, shape = #nvvm.shape<m = 16, n = 8, k = 16>} : (vector<2xf16>, vector<2xf16>, f32) -> !llvm.struct<(f32, f32, f32, f32)>
    %d0 = nvvm.mma.sync A[%pair, %pair, %pair, %pair] B[%pair, %pair] C[%f, %f, %f, %f] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, shape = #nvvm.shape<m = 16, n = 8, k = 16>} : (vector<2xf16>, vector<2xf16>, f32) -> !llvm.struct<(f32, f32, f32, f32)>
    // CHECK-NEXT: nvvm.mma.sync A[%pair, %pair] B[%pair] C[%pair, %pair] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, shape = #nvvm.shape<m = 16, n = 8, k = 8>} : (vector<2xf16>, vector<2xf16>, vector<2xf16>) -> !llvm.struct<(vector<2xf16>, vector<2xf16>)>
    %d1 = nvvm.mma.sync A[%pair, %pair] B[%pair] C[%pair, %pair] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, shape = #nvvm.shape<m = 16, n = 8, k = 8>} : (vector<2xf16>, vector<2xf16>, vector<2xf16>) -> !llvm.struct<(vector<2xf16>, vector<2xf16>)>
    // CHECK-NEXT: nvvm.mma.sync A[%i, %i, %i, %i] B[%i, %i] C[%f, %f, %f, %f] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m = 16, n = 8, k = 16>} : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
    %d2 = nvvm.mma.sync A[%i, %i, %i, %i] B[%i, %i] C[%f, %f, %f, %f] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m = 16, n = 8, k = 16>} : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
    // CHECK-NEXT: nvvm.mma.sync A[%i, %i, %i, %i] B[%i, %i] C[%f, %f, %f, %f] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<tf32>, multiplicandBPtxType = #nvvm.mma_type<tf32>, shape = #nvvm.shape<m = 16, n = 8, k = 8>} : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
    %d3 = nvvm.mma.sync A[%i, %i, %i, %i] B[%i, %i] C[%f, %f, %f, %f] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<tf32>, multiplicandBPtxType = #nvvm.mma_type<tf32>, shape = #nvvm.shape<m = 16, n = 8, k = 8>} : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
    // CHECK-NEXT: nvvm.mma.sync A[%i, %i, %i, %i] B[%i, %i] C[%i, %i, %i, %i] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<s8>, multiplicandBPtxType = #nvvm.mma_type<u8>, intOverflowBehavior = #nvvm.mma_int_overflow<satfinite>, shape = #nvvm.shape<m = 16, n = 8, k = 32>} : (i32, i32, i32) -> !llvm.struct<(i32, i32, i32, i32)>
    %d4 = nvvm.mma.sync A[%i, %i, %i, %i] B[%i, %i] C[%i, %i, %i, %i] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<s8>, multiplicandBPtxType = #nvvm.mma_type<u8>, intOverflowBehavior = #nvvm.mma_int_overflow<satfinite>, shape = #nvvm.shape<m = 16, n = 8, k = 32>} : (i32, i32, i32) -> !llvm.struct<(i32, i32, i32, i32)>
    // CHECK-NEXT: nvvm.mma.sync A[%g] B[%g] C[%g, %g] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, shape = #nvvm.shape<m = 8, n = 8, k = 4>} : (f64, f64, f64) -> !llvm.struct<(f64, f64)>
    %d5 = nvvm.mma.sync A[%g] B[%g] C[%g, %g] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, shape = #nvvm.shape<m = 8, n = 8, k = 4>} : (f64, f64, f64) -> !llvm.struct<(f64, f64)>
    // CHECK-NEXT: nvvm.wgmma.fence.aligned
    nvvm.wgmma.fence.aligned
    // CHECK-NEXT: nvvm.wgmma.mma_async %descriptor, %descriptor, %sums, <m = 64, n = 8, k = 16>, D[<f32>, <one>], A[<bf16>, <one>, <row>], B[<bf16>, <neg>, <row>] : !llvm.struct<(f32, f32, f32, f32)> -> !llvm.struct<(f32, f32, f32, f32)>
    %w0 = nvvm.wgmma.mma_async %descriptor, %descriptor, %sums, <m = 64, n = 8, k = 16>, D[<f32>, <one>], A[<bf16>, <one>, <row>], B[<bf16>, <neg>, <row>] : !llvm.struct<(f32, f32, f32, f32)> -> !llvm.struct<(f32, f32, f32, f32)>
    // CHECK-NEXT: nvvm.wgmma.mma_async %descriptor, %descriptor, %sums, <m = 64, n = 8, k = 8>, D[<f32>, <zero>], A[<tf32>, <one>, <row>], B[<tf32>, <one>, <col>] : !llvm.struct<(f32, f32, f32, f32)> -> !llvm.struct<(f32, f32, f32, f32)>
    %w1 = nvvm.wgmma.mma_async %descriptor, %descriptor, %sums, <m = 64, n = 8, k = 8>, D[<f32>, <zero>], A[<tf32>, <one>, <row>], B[<tf32>, <one>, <col>] : !llvm.struct<(f32, f32, f32, f32)> -> !llvm.struct<(f32, f32, f32, f32)>
    // CHECK-NEXT: nvvm.wgmma.mma_async %descriptor, %descriptor, %counts, <m = 64, n = 8, k = 32>, D[<s32>, <one>, <satfinite>], A[<s8>, <one>, <row>], B[<u8>, <one>, <col>] : !llvm.struct<(i32, i32, i32, i32)> -> !llvm.struct<(i32, i32, i32, i32)>
    %w2 = nvvm.wgmma.mma_async %descriptor, %descriptor, %counts, <m = 64, n = 8, k = 32>, D[<s32>, <one>, <satfinite>], A[<s8>, <one>, <row>], B[<u8>, <one>, <col>] : !llvm.struct<(i32, i32, i32, i32)> -> !llvm.struct<(i32, i32, i32, i32)>
    // CHECK-NEXT: nvvm.wgmma.commit.group.sync.aligned
    nvvm.wgmma.commit.group.sync.aligned
    // CHECK-NEXT: nvvm.wgmma.wait.group.sync.aligned 1
    nvvm.wgmma.wait.group.sync.aligned 1
    gpu.return
  }
}
