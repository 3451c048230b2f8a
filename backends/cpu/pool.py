"""The pool: threads that help with the iterations of parallel loops, as LLVM IR that is put into machine code once.

    @xmlc.share(ptr task, ptr captured, i64 count, i32 threads)   task(captured, i) for every i from 0 to count - 1

The caller works too, and never waits for a helper to come: it only waits for iterations that one has begun. So a loop
takes little longer than in one thread where the other cores are busy, and a child made by `fork`, which has no helpers,
goes on alone. Where the pool is taken (several threads call at once, or a task shares iterations itself), the caller
does all iterations.

Where something else of the same priority has a helper's core, the helper may be interrupted for several milliseconds
with an iteration begun. Callers that have waited so long again and again work alone for a while.

What there is to do is one 64-bit word, the ticket: the number of the job (32 bits), the first iteration that nobody has
begun, and the end of those (16 bits each). Taking an iteration is a compare-and-exchange of the ticket, which fails
where anything changed since the taker read what the job is. The caller and every second helper take from the front,
the others from the back: a core then meets much the same rows in one loop after another, which its cache still holds.

A helper without work spins for SPIN microseconds, then sleeps. It does not offer its core to others (sched_yield)
meanwhile: Linux takes a whole turn, 3 ms, from a thread that does, and gives it to anything that waits for that core.
Whoever publishes a job keeps helpers off its own core (`placement.py`).

Whoever publishes a job wakes sleepers; that none sleeps on while there is work rests on this order: a sleeper counts
itself and then looks at the ticket, a publisher writes the ticket and then looks at the count. A caller that waits for
the end says for how many iterations (`awaited`) and then looks how many are done; who ends one counts it and then looks
whether that is what the caller waits for.
"""

from __future__ import annotations

from xmlc.backends.cpu import placement
from xmlc.backends.cpu.target import Target

SHARE = "xmlc.share"
RESET = "xmlc.pool.reset"

SPIN = 200
"""Microseconds that a helper waits for work before it sleeps: longer than what is between loops of one program."""
LOOKS = 64
"""How often a helper that spins looks for work before it looks at the clock."""
PATIENCE = 4096
"""How often a caller looks whether the last iterations are done before it sleeps: some 50 µs, as waking it takes. It
keeps its core meanwhile, where no helper may run."""
STALL = 1000
"""Microseconds. A caller that slept so long for its helpers, and longer than it worked itself, has stalled."""
DISTRUST = 3
"""Callers work alone until this many times as long as they stalled has passed since the stall before: they lose a third
of their time at most to helpers without a core, and none beyond the stall itself where stalls are rare."""
MOST = 65535
"""Iterations that a ticket can count. Loops with more are not shared."""

NEEDS = (
    "clock_gettime", "pthread_attr_init", "pthread_attr_setdetachstate", "pthread_cond_broadcast", "pthread_cond_init",
    "pthread_cond_signal", "pthread_cond_wait", "pthread_create", "pthread_mutex_init", "pthread_mutex_lock",
    "pthread_mutex_unlock", *placement.NEEDS,
)  # fmt: skip
"""Functions of the C library that the pool calls."""

PAUSE = {"x86_64": "call void @llvm.x86.sse2.pause()", "aarch64": "call void @llvm.aarch64.hint(i32 1)"}
"""Architecture -> what tells a core that it waits for another."""

DECLARATION = f"declare void @{SHARE}(ptr, ptr, i64, i32) nounwind"


def pool_text(target: Target) -> str:
    """The pool as a module of its own, in LLVM IR text."""
    return f'target datalayout = "{target.data_layout}"\ntarget triple = "{target.triple}"\n{functions(target)}'


def with_pool(llvm_ir: str, target: Target) -> str:
    """A module with the pool in it, if it needs one: several that are linked into one program share the first's."""
    if DECLARATION not in llvm_ir:
        return llvm_ir
    return llvm_ir.replace(DECLARATION, "") + functions(target, "linkonce_odr ")


def functions(target: Target, linkage: str = "") -> str:
    return placement.placement(target) + TEXT.format(
        linkage=linkage,
        clock=6 if "darwin" in target.triple else 1,  # CLOCK_MONOTONIC
        pause=PAUSE.get(target.architecture, ""),
        spin=SPIN * 1000,
        looks=LOOKS,
        patience=PATIENCE,
        stall=STALL * 1000,
        distrust=DISTRUST,
        most=MOST,
    )


TEXT = """
@xmlc.pool.ticket = internal global i64 0, align 64
@xmlc.pool.done = internal global i64 0, align 64
@xmlc.pool.awaited = internal global i64 -1
@xmlc.pool.alone = internal global i64 0, align 64
@xmlc.pool.stalled = internal global i64 0
@xmlc.pool.taken = internal global i32 0, align 64
@xmlc.pool.task = internal global ptr null, align 64
@xmlc.pool.captured = internal global ptr null
@xmlc.pool.threads = internal global i32 0
@xmlc.pool.helpers = internal global i32 0
@xmlc.pool.sleepers = internal global i32 0, align 64
@xmlc.pool.mutex = internal global [128 x i8] zeroinitializer, align 64
@xmlc.pool.work = internal global [128 x i8] zeroinitializer, align 64
@xmlc.pool.end = internal global [128 x i8] zeroinitializer, align 64

declare i32 @clock_gettime(i32, ptr)
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_setdetachstate(ptr, i32)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)

; Every iteration of a loop, by the caller and by as many helpers as make up the number of threads.
define {linkage}void @xmlc.share(ptr %task, ptr %captured, i64 %count, i32 %threads) nounwind {{
entry:
  %few = icmp ule i64 %count, {most}
  br i1 %few, label %recall, label %alone
recall:
  %until = load atomic i64, ptr @xmlc.pool.alone monotonic, align 8
  %trusted = icmp eq i64 %until, 0
  br i1 %trusted, label %try, label %doubt
doubt:
  %time = call i64 @xmlc.pool.now()
  %over = icmp sge i64 %time, %until
  br i1 %over, label %forgive, label %alone
forgive:
  store atomic i64 0, ptr @xmlc.pool.alone monotonic, align 8
  br label %try
try:
  %taking = cmpxchg ptr @xmlc.pool.taken, i32 0, i32 1 acquire monotonic
  %mine = extractvalue {{ i32, i1 }} %taking, 1
  br i1 %mine, label %publish, label %alone
publish:
  call void @xmlc.pool.hire(i32 %threads)
  store atomic ptr %task, ptr @xmlc.pool.task monotonic, align 8
  store atomic ptr %captured, ptr @xmlc.pool.captured monotonic, align 8
  store atomic i32 %threads, ptr @xmlc.pool.threads monotonic, align 4
  store atomic i64 0, ptr @xmlc.pool.done monotonic, align 8
  %last = load atomic i64, ptr @xmlc.pool.ticket monotonic, align 8
  %number = lshr i64 %last, 32
  %next = add i64 %number, 1
  %job = shl i64 %next, 32
  %ticket = or i64 %job, %count
  store atomic i64 %ticket, ptr @xmlc.pool.ticket seq_cst, align 8
  %asleep = load atomic i32, ptr @xmlc.pool.sleepers seq_cst, align 4
  %any = icmp ne i32 %asleep, 0
  call void @xmlc.pool.spread(i32 %threads, i1 %any)
  br i1 %any, label %wake, label %work
wake:
  call i32 @pthread_mutex_lock(ptr @xmlc.pool.mutex)
  call i32 @pthread_cond_broadcast(ptr @xmlc.pool.work)
  call i32 @pthread_mutex_unlock(ptr @xmlc.pool.mutex)
  br label %work
work:
  %began = call i64 @xmlc.pool.now()
  call void @xmlc.pool.help(i32 0)
  br label %wait
wait:
  %looks = phi i64 [ 0, %work ], [ %looked, %pause ]
  %done = load atomic i64, ptr @xmlc.pool.done acquire, align 8
  %all = icmp eq i64 %done, %count
  br i1 %all, label %finished, label %look
look:
  %looked = add i64 %looks, 1
  %patient = icmp ult i64 %looked, {patience}
  br i1 %patient, label %pause, label %rest
pause:
  {pause}
  br label %wait
rest:
  %tired = call i64 @xmlc.pool.now()
  call i32 @pthread_mutex_lock(ptr @xmlc.pool.mutex)
  store atomic i64 %count, ptr @xmlc.pool.awaited seq_cst, align 8
  br label %check
check:
  %ended = load atomic i64, ptr @xmlc.pool.done seq_cst, align 8
  %complete = icmp eq i64 %ended, %count
  br i1 %complete, label %rise, label %sleep
sleep:
  call i32 @pthread_cond_wait(ptr @xmlc.pool.end, ptr @xmlc.pool.mutex)
  br label %check
rise:
  store atomic i64 -1, ptr @xmlc.pool.awaited monotonic, align 8
  call i32 @pthread_mutex_unlock(ptr @xmlc.pool.mutex)
  %risen = call i64 @xmlc.pool.now()
  %worked = sub i64 %tired, %began
  %waited = sub i64 %risen, %tired
  %shortest = call i64 @llvm.smax.i64(i64 %worked, i64 {stall})
  %stalled = icmp sgt i64 %waited, %shortest
  br i1 %stalled, label %mistrust, label %finished
mistrust:
  %span = mul i64 %waited, {distrust}
  %stall.before = load i64, ptr @xmlc.pool.stalled
  store i64 %risen, ptr @xmlc.pool.stalled
  %later = add i64 %stall.before, %span
  store atomic i64 %later, ptr @xmlc.pool.alone monotonic, align 8
  br label %finished
finished:
  store atomic i32 0, ptr @xmlc.pool.taken release, align 4
  ret void
alone:
  %some = icmp ne i64 %count, 0
  br i1 %some, label %run, label %ran
run:
  %index = phi i64 [ 0, %alone ], [ %following, %run ]
  call void %task(ptr %captured, i64 %index)
  %following = add i64 %index, 1
  %more = icmp ult i64 %following, %count
  br i1 %more, label %run, label %ran
ran:
  ret void
}}

; Take iterations of the job that is published, until there are none left to take.
define internal void @xmlc.pool.help(i32 %helper) nounwind {{
entry:
  %odd = trunc i32 %helper to i1
  br label %look
look:
  %ticket = load atomic i64, ptr @xmlc.pool.ticket acquire, align 8
  %front = call i64 @xmlc.pool.front(i64 %ticket)
  %back = and i64 %ticket, 65535
  %some = icmp ult i64 %front, %back
  %wanted = load atomic i32, ptr @xmlc.pool.threads monotonic, align 4
  %welcome = icmp slt i32 %helper, %wanted
  %go = and i1 %some, %welcome
  br i1 %go, label %take, label %none
take:
  %task = load atomic ptr, ptr @xmlc.pool.task monotonic, align 8
  %captured = load atomic ptr, ptr @xmlc.pool.captured monotonic, align 8
  %without.front = add i64 %ticket, 65536
  %without.back = sub i64 %ticket, 1
  %left = select i1 %odd, i64 %without.back, i64 %without.front
  %before.back = sub i64 %back, 1
  %index = select i1 %odd, i64 %before.back, i64 %front
  %taking = cmpxchg ptr @xmlc.pool.ticket, i64 %ticket, i64 %left acq_rel monotonic
  %mine = extractvalue {{ i64, i1 }} %taking, 1
  br i1 %mine, label %run, label %look
run:
  call void %task(ptr %captured, i64 %index)
  %before = atomicrmw add ptr @xmlc.pool.done, i64 1 seq_cst
  %done = add i64 %before, 1
  %awaited = load atomic i64, ptr @xmlc.pool.awaited seq_cst, align 8
  %last = icmp eq i64 %done, %awaited
  br i1 %last, label %tell, label %look
tell:
  call i32 @pthread_mutex_lock(ptr @xmlc.pool.mutex)
  call i32 @pthread_cond_signal(ptr @xmlc.pool.end)
  call i32 @pthread_mutex_unlock(ptr @xmlc.pool.mutex)
  br label %look
none:
  ret void
}}

define internal i64 @xmlc.pool.front(i64 %ticket) nounwind alwaysinline {{
  %shifted = lshr i64 %ticket, 16
  %front = and i64 %shifted, 65535
  ret i64 %front
}}

; Whether there is an iteration for this helper to take.
define internal i1 @xmlc.pool.wants(i32 %helper) nounwind alwaysinline {{
  %ticket = load atomic i64, ptr @xmlc.pool.ticket seq_cst, align 8
  %front = call i64 @xmlc.pool.front(i64 %ticket)
  %back = and i64 %ticket, 65535
  %some = icmp ult i64 %front, %back
  %wanted = load atomic i32, ptr @xmlc.pool.threads monotonic, align 4
  %welcome = icmp slt i32 %helper, %wanted
  %go = and i1 %some, %welcome
  ret i1 %go
}}

; Start as many helpers as make up the number of threads with the caller; fewer where the system refuses.
define internal void @xmlc.pool.hire(i32 %threads) nounwind {{
entry:
  %attributes = alloca [128 x i8], align 16
  %thread = alloca i64, align 8
  %present = load i32, ptr @xmlc.pool.helpers
  %wanted = sub i32 %threads, 1
  %enough = icmp sge i32 %present, %wanted
  br i1 %enough, label %done, label %prepare
prepare:
  call i32 @pthread_attr_init(ptr %attributes)
  call i32 @pthread_attr_setdetachstate(ptr %attributes, i32 1)
  %first = icmp eq i32 %present, 0
  br i1 %first, label %make, label %start
make:
  call i32 @pthread_mutex_init(ptr @xmlc.pool.mutex, ptr null)
  call i32 @pthread_cond_init(ptr @xmlc.pool.work, ptr null)
  call i32 @pthread_cond_init(ptr @xmlc.pool.end, ptr null)
  br label %start
start:
  %before = phi i32 [ %present, %prepare ], [ %present, %make ], [ %number, %started ]
  %number = add i32 %before, 1
  %wide = zext i32 %number to i64
  %argument = inttoptr i64 %wide to ptr
  %refused = call i32 @pthread_create(ptr %thread, ptr %attributes, ptr @xmlc.pool.helper, ptr %argument)
  %ok = icmp eq i32 %refused, 0
  br i1 %ok, label %started, label %done
started:
  %identity = load i64, ptr %thread
  call void @xmlc.pool.hired(i32 %number, i64 %identity)
  store i32 %number, ptr @xmlc.pool.helpers
  %more = icmp slt i32 %number, %wanted
  br i1 %more, label %start, label %done
done:
  ret void
}}

; What a helper does all its life: help, spin for a while, sleep.
define internal ptr @xmlc.pool.helper(ptr %argument) nounwind {{
entry:
  %wide = ptrtoint ptr %argument to i64
  %helper = trunc i64 %wide to i32
  br label %help
help:
  call void @xmlc.pool.arrive(i32 %helper)
  call void @xmlc.pool.help(i32 %helper)
  %start = call i64 @xmlc.pool.now()
  %end = add i64 %start, {spin}
  br label %spin
spin:
  %looks = phi i64 [ 0, %help ], [ %looked, %idle ], [ 0, %clock ]
  %found = call i1 @xmlc.pool.wants(i32 %helper)
  br i1 %found, label %help, label %idle
idle:
  {pause}
  %looked = add i64 %looks, 1
  %due = icmp uge i64 %looked, {looks}
  br i1 %due, label %clock, label %spin
clock:
  call void @xmlc.pool.arrive(i32 %helper)
  %now = call i64 @xmlc.pool.now()
  %late = icmp sge i64 %now, %end
  br i1 %late, label %rest, label %spin
rest:
  call i32 @pthread_mutex_lock(ptr @xmlc.pool.mutex)
  %one.more = atomicrmw add ptr @xmlc.pool.sleepers, i32 1 seq_cst
  br label %check
check:
  %called = call i1 @xmlc.pool.wants(i32 %helper)
  br i1 %called, label %rise, label %sleep
sleep:
  call i32 @pthread_cond_wait(ptr @xmlc.pool.work, ptr @xmlc.pool.mutex)
  br label %check
rise:
  %one.less = atomicrmw sub ptr @xmlc.pool.sleepers, i32 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr @xmlc.pool.mutex)
  br label %help
}}

; Nanoseconds of a clock that only goes forward.
define internal i64 @xmlc.pool.now() nounwind {{
  %time = alloca [2 x i64], align 16
  call i32 @clock_gettime(i32 {clock}, ptr %time)
  %seconds = load i64, ptr %time
  %part = getelementptr i64, ptr %time, i64 1
  %nanoseconds = load i64, ptr %part
  %billions = mul i64 %seconds, 1000000000
  %sum = add i64 %billions, %nanoseconds
  ret i64 %sum
}}

; In a child made by `fork`: there are no helpers, and nobody holds the pool.
define {linkage}void @xmlc.pool.reset() nounwind {{
  %last = load i64, ptr @xmlc.pool.ticket
  %ended = and i64 %last, -4294967296
  store i64 %ended, ptr @xmlc.pool.ticket
  store i32 0, ptr @xmlc.pool.helpers
  store i32 0, ptr @xmlc.pool.sleepers
  store i64 -1, ptr @xmlc.pool.awaited
  store i64 0, ptr @xmlc.pool.alone
  store i64 0, ptr @xmlc.pool.stalled
  store i32 0, ptr @xmlc.pool.taken
  ret void
}}
"""
