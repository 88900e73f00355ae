; The functions of a NumPy memory handler. A freed block rests here until an array of its size is made; where too many
; rest, the one that has rested longest goes.
;
; Elements begin at a cache line, as stores across two of them take twice as long. In front of them stand the address
; that the system knows the block by, and the block's bytes.

; A block of memory at rest: address, bytes.
%block = type { ptr, i64 }

@blocks = internal global [64 x %block] zeroinitializer
@count = internal global i64 0
@held = internal global i64 0
@limit = internal global i64 0
@held.lock = internal global i64 0

declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.umin.i64(i64, i64)

define ptr @npdiff_malloc(ptr %context, i64 %size) {
entry:
  %locked = atomicrmw xchg ptr @held.lock, i64 1 acquire
  %free = icmp eq i64 %locked, 0
  br i1 %free, label %begin, label %fresh
begin:
  %count = load i64, ptr @count
  br label %search
search:
  ; The block that was freed last is the likeliest to be in a cache.
  %i = phi i64 [ %count, %begin ], [ %at, %look ]
  %more = icmp sgt i64 %i, 0
  br i1 %more, label %look, label %nothing
look:
  %at = sub i64 %i, 1
  %size.at = getelementptr [64 x %block], ptr @blocks, i64 0, i64 %at, i32 1
  %bytes = load i64, ptr %size.at
  %right = icmp eq i64 %bytes, %size
  br i1 %right, label %found, label %search
found:
  %memory = call ptr @taken(i64 %at)
  store atomic i64 0, ptr @held.lock release, align 8
  ret ptr %memory
nothing:
  store atomic i64 0, ptr @held.lock release, align 8
  br label %fresh
fresh:
  %new = call ptr @fresh(i64 %size)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %relieve, label %out
relieve:
  ; What rests here may be what is missing.
  %again = atomicrmw xchg ptr @held.lock, i64 1 acquire
  %alone = icmp eq i64 %again, 0
  br i1 %alone, label %let.go, label %out
let.go:
  call void @make.room(i64 0, i64 0)
  store atomic i64 0, ptr @held.lock release, align 8
  %last = call ptr @fresh(i64 %size)
  br label %out
out:
  %result = phi ptr [ %new, %fresh ], [ null, %relieve ], [ %last, %let.go ]
  ret ptr %result
}

define void @npdiff_free(ptr %context, ptr %memory, i64 %passed) {
entry:
  %nothing = icmp eq ptr %memory, null
  br i1 %nothing, label %out, label %try
try:
  %size.at = getelementptr i8, ptr %memory, i64 -8
  %size = load i64, ptr %size.at
  %locked = atomicrmw xchg ptr @held.lock, i64 1 acquire
  %free = icmp eq i64 %locked, 0
  br i1 %free, label %measure, label %away
measure:
  %limit = load i64, ptr @limit
  %fits = icmp ule i64 %size, %limit
  br i1 %fits, label %keep, label %large
keep:
  %room = sub i64 %limit, %size
  call void @make.room(i64 %room, i64 63)
  %count = load i64, ptr @count
  %block = getelementptr [64 x %block], ptr @blocks, i64 0, i64 %count
  %bytes.at = getelementptr %block, ptr %block, i64 0, i32 1
  store ptr %memory, ptr %block
  store i64 %size, ptr %bytes.at
  %more = add i64 %count, 1
  store i64 %more, ptr @count
  %held = load i64, ptr @held
  %sum = add i64 %held, %size
  store i64 %sum, ptr @held
  store atomic i64 0, ptr @held.lock release, align 8
  ret void
large:
  store atomic i64 0, ptr @held.lock release, align 8
  br label %away
away:
  call void @give.back(ptr %memory)
  br label %out
out:
  ret void
}

; A block out of the table, which stays in the order of age.
define internal ptr @taken(i64 %i) {
  %block = getelementptr [64 x %block], ptr @blocks, i64 0, i64 %i
  %bytes.at = getelementptr %block, ptr %block, i64 0, i32 1
  %memory = load ptr, ptr %block
  %bytes = load i64, ptr %bytes.at
  %held = load i64, ptr @held
  %less = sub i64 %held, %bytes
  store i64 %less, ptr @held
  %count = load i64, ptr @count
  %left = sub i64 %count, 1
  store i64 %left, ptr @count
  %behind = sub i64 %left, %i
  %moved = mul i64 %behind, 16
  %following = getelementptr %block, ptr %block, i64 1
  call void @llvm.memmove.p0.p0.i64(ptr %block, ptr %following, i64 %moved, i1 false)
  ret ptr %memory
}

; Give back the oldest blocks until no more than so many bytes and blocks rest.
define internal void @make.room(i64 %bytes, i64 %blocks) {
entry:
  br label %loop
loop:
  %held = load i64, ptr @held
  %count = load i64, ptr @count
  %heavy = icmp ugt i64 %held, %bytes
  %many = icmp ugt i64 %count, %blocks
  %over = or i1 %heavy, %many
  br i1 %over, label %oldest, label %out
oldest:
  %memory = call ptr @taken(i64 0)
  call void @give.back(ptr %memory)
  br label %loop
out:
  ret void
}

; New memory from the system, in large pages where that is wanted and worth it.
define internal ptr @fresh(i64 %size) {
entry:
  %malloc = call ptr @get(i64 20)
  %need = add i64 %size, 80
  %block = call ptr %malloc(i64 %need)
  %failed = icmp eq ptr %block, null
  br i1 %failed, label %out, label %align
align:
  %address = ptrtoint ptr %block to i64
  %far = add i64 %address, 79
  %line = and i64 %far, -64
  %memory = inttoptr i64 %line to ptr
  %block.at = getelementptr i8, ptr %memory, i64 -16
  store ptr %block, ptr %block.at
  %size.at = getelementptr i8, ptr %memory, i64 -8
  store i64 %size, ptr %size.at
  %advise = call ptr @get(i64 34)
  %able = icmp ne ptr %advise, null
  %large = icmp uge i64 %size, 4194304
  %wanted = and i1 %able, %large
  br i1 %wanted, label %pages, label %out
pages:
  %up = add i64 %line, 4095
  %first = and i64 %up, -4096
  %page = inttoptr i64 %first to ptr
  %end = add i64 %line, %size
  %span = sub i64 %end, %first
  %advised = call i32 %advise(ptr %page, i64 %span, i32 14)
  br label %out
out:
  %result = phi ptr [ null, %entry ], [ %memory, %align ], [ %memory, %pages ]
  ret ptr %result
}

; Memory back to the system.
define internal void @give.back(ptr %memory) {
  %free = call ptr @get(i64 21)
  %block.at = getelementptr i8, ptr %memory, i64 -16
  %block = load ptr, ptr %block.at
  call void %free(ptr %block)
  ret void
}

define ptr @npdiff_calloc(ptr %context, i64 %count, i64 %size) {
entry:
  %bytes = mul i64 %count, %size
  %new = call ptr @npdiff_malloc(ptr null, i64 %bytes)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %out, label %clear
clear:
  call void @llvm.memset.p0.i64(ptr %new, i8 0, i64 %bytes, i1 false)
  br label %out
out:
  ret ptr %new
}

define ptr @npdiff_realloc(ptr %context, ptr %memory, i64 %size) {
entry:
  %new = call ptr @npdiff_malloc(ptr null, i64 %size)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %out, label %copy
copy:
  %size.at = getelementptr i8, ptr %memory, i64 -8
  %before = load i64, ptr %size.at
  %bytes = call i64 @llvm.umin.i64(i64 %before, i64 %size)
  call void @llvm.memcpy.p0.p0.i64(ptr %new, ptr %memory, i64 %bytes, i1 false)
  call void @npdiff_free(ptr null, ptr %memory, i64 %before)
  br label %out
out:
  ret ptr %new
}

; Keep at most so many bytes at rest; returns how many rest now.
define i64 @npdiff_limit(i64 %bytes) {
entry:
  br label %wait
wait:
  %locked = atomicrmw xchg ptr @held.lock, i64 1 acquire
  %free = icmp eq i64 %locked, 0
  br i1 %free, label %change, label %wait
change:
  store i64 %bytes, ptr @limit
  call void @make.room(i64 %bytes, i64 64)
  %held = load i64, ptr @held
  store atomic i64 0, ptr @held.lock release, align 8
  ret i64 %held
}

; After a fork: whoever held the lock is in the other process, and what it did may be half done.
define void @npdiff_memory_forked() {
entry:
  %locked = load i64, ptr @held.lock
  %whole = icmp eq i64 %locked, 0
  br i1 %whole, label %out, label %forget
forget:
  store i64 0, ptr @count
  store i64 0, ptr @held
  store i64 0, ptr @held.lock
  br label %out
out:
  ret void
}
