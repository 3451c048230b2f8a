"""Placement: helpers of the pool are kept off the core of the thread that they help, as LLVM IR text.

    @xmlc.pool.hired(i32 helper, i64 thread)       there is a new helper
    @xmlc.pool.arrive(i32 helper)                  a helper notes the core that it runs on
    @xmlc.pool.spread(i32 threads, i1 asleep)      whoever publishes a job keeps helpers off its own core

Linux wakes a thread on the core of the one that wakes it where it knows no idle core, and leaves it there for several
of its turns, 3 ms each: two threads then take as long as one. On two cores anything that runs on the other one is
enough for that, however low its priority. So a helper that sleeps, or was last seen on the core of the publisher, may
from then on run on all cores that the publisher may use but that one. This is one call of the system, about a
microsecond, and only when the publisher has come to another core; no thread is bound to a single core of several.
Where the publisher itself may use one core only, nothing is changed.

Other systems than Linux do not tell a thread its core: nothing is done there.
"""

from __future__ import annotations

from xmlc.backends.cpu.target import Target

NEEDS = ("pthread_setaffinity_np", "sched_getaffinity", "sched_getcpu")
"""Functions of Linux' C libraries that placement calls."""

MOST_HELPERS = 64
"""Helpers beyond this number go where the system puts them."""
MOST_CORES = 1024
"""Cores that a set of cores has room for."""


def placement(target: Target) -> str:
    """The functions for a system, to be put before those of the pool."""
    if "linux" not in target.triple:
        return NOTHING
    return TEXT.format(
        helpers=MOST_HELPERS, last=MOST_HELPERS - 1, cores=MOST_CORES, words=MOST_CORES // 64, size=MOST_CORES // 8
    )


NOTHING = """
define internal void @xmlc.pool.arrive(i32 %helper) nounwind alwaysinline {
  ret void
}
define internal void @xmlc.pool.hired(i32 %helper, i64 %thread) nounwind alwaysinline {
  ret void
}
define internal void @xmlc.pool.spread(i32 %threads, i1 %asleep) nounwind alwaysinline {
  ret void
}
"""

TEXT = """
; By helper: its thread; the core that it was last seen on, and the core that it is kept off, each plus one (0: none).
@xmlc.pool.identities = internal global [{helpers} x i64] zeroinitializer, align 64
@xmlc.pool.seen = internal global [{helpers} x i32] zeroinitializer, align 64
@xmlc.pool.avoided = internal global [{helpers} x i32] zeroinitializer, align 64

declare i32 @pthread_setaffinity_np(i64, i64, ptr)
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_getcpu()
declare i64 @llvm.vector.reduce.or.v{words}i64(<{words} x i64>)

define internal void @xmlc.pool.arrive(i32 %helper) nounwind {{
entry:
  %known = icmp ult i32 %helper, {helpers}
  br i1 %known, label %look, label %done
look:
  %core = call i32 @sched_getcpu()
  %here = add i32 %core, 1
  %place = getelementptr [{helpers} x i32], ptr @xmlc.pool.seen, i32 0, i32 %helper
  %before = load atomic i32, ptr %place monotonic, align 4
  %same = icmp eq i32 %before, %here
  br i1 %same, label %done, label %note
note:
  store atomic i32 %here, ptr %place monotonic, align 4
  br label %done
done:
  ret void
}}

; A helper begins: nobody has seen it, and it is kept off no core.
define internal void @xmlc.pool.hired(i32 %helper, i64 %thread) nounwind {{
entry:
  %known = icmp ult i32 %helper, {helpers}
  br i1 %known, label %note, label %done
note:
  %identity = getelementptr [{helpers} x i64], ptr @xmlc.pool.identities, i32 0, i32 %helper
  store i64 %thread, ptr %identity
  %seen = getelementptr [{helpers} x i32], ptr @xmlc.pool.seen, i32 0, i32 %helper
  store atomic i32 0, ptr %seen monotonic, align 4
  %avoided = getelementptr [{helpers} x i32], ptr @xmlc.pool.avoided, i32 0, i32 %helper
  store i32 0, ptr %avoided
  br label %done
done:
  ret void
}}

define internal void @xmlc.pool.spread(i32 %threads, i1 %asleep) nounwind {{
entry:
  %core = call i32 @sched_getcpu()
  %here = add i32 %core, 1
  %known = icmp ult i32 %core, {cores}
  br i1 %known, label %count, label %done
count:
  %present = load i32, ptr @xmlc.pool.helpers
  %wanted = sub i32 %threads, 1
  %those = call i32 @llvm.smin.i32(i32 %present, i32 %wanted)
  %last = call i32 @llvm.smin.i32(i32 %those, i32 {last})
  br label %loop
loop:
  %before = phi i32 [ 0, %count ], [ %helper, %next ]
  %helper = add i32 %before, 1
  %more = icmp sle i32 %helper, %last
  br i1 %more, label %look, label %done
look:
  %avoided = getelementptr [{helpers} x i32], ptr @xmlc.pool.avoided, i32 0, i32 %helper
  %off = load i32, ptr %avoided
  %kept = icmp eq i32 %off, %here
  br i1 %kept, label %next, label %where
where:
  %place = getelementptr [{helpers} x i32], ptr @xmlc.pool.seen, i32 0, i32 %helper
  %seen = load atomic i32, ptr %place monotonic, align 4
  %met = icmp eq i32 %seen, %here
  %unseen = icmp eq i32 %seen, 0
  %close = or i1 %met, %unseen
  %move = or i1 %close, %asleep
  br i1 %move, label %keep, label %next
keep:
  store i32 %here, ptr %avoided
  call void @xmlc.pool.keep.off(i32 %helper, i32 %core)
  br label %next
next:
  br label %loop
done:
  ret void
}}

; Let a helper run on all cores that the calling thread may run on but one; leave it as it is where there is no other.
define internal void @xmlc.pool.keep.off(i32 %helper, i32 %core) nounwind {{
entry:
  %set = alloca <{words} x i64>, align 128
  store <{words} x i64> zeroinitializer, ptr %set
  %refused = call i32 @sched_getaffinity(i32 0, i64 {size}, ptr %set)
  %ok = icmp eq i32 %refused, 0
  br i1 %ok, label %remove, label %done
remove:
  %word = lshr i32 %core, 6
  %place = getelementptr i64, ptr %set, i32 %word
  %cores = load i64, ptr %place
  %wide = zext i32 %core to i64
  %within = and i64 %wide, 63
  %bit = shl i64 1, %within
  %others = xor i64 %bit, -1
  %rest = and i64 %cores, %others
  store i64 %rest, ptr %place
  %all = load <{words} x i64>, ptr %set
  %any = call i64 @llvm.vector.reduce.or.v{words}i64(<{words} x i64> %all)
  %some = icmp ne i64 %any, 0
  br i1 %some, label %move, label %done
move:
  %identity = getelementptr [{helpers} x i64], ptr @xmlc.pool.identities, i32 0, i32 %helper
  %thread = load i64, ptr %identity
  call i32 @pthread_setaffinity_np(i64 %thread, i64 {size}, ptr %set)
  br label %done
done:
  ret void
}}
"""
