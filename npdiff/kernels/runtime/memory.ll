; The functions of a NumPy memory handler. A freed block rests here until an array of its size is made.

; A block of memory at rest: address, bytes.
%block = type { ptr, i64 }

@blocks = internal global [64 x %block] zeroinitializer
@held = internal global i64 0
@limit = internal global i64 0
@held.lock = internal global i64 0

define ptr @npdiff_malloc(ptr %context, i64 %size) {
entry:
  %locked = atomicrmw xchg ptr @held.lock, i64 1 acquire
  %free = icmp eq i64 %locked, 0
  br i1 %free, label %search, label %fresh
search:
  %i = phi i64 [ 0, %entry ], [ %next, %other ]
  %more = icmp slt i64 %i, 64
  br i1 %more, label %look, label %nothing
look:
  %block = getelementptr [64 x %block], ptr @blocks, i64 0, i64 %i
  %size.at = getelementptr %block, ptr %block, i64 0, i32 1
  %bytes = load i64, ptr %size.at
  %right = icmp eq i64 %bytes, %size
  br i1 %right, label %found, label %other
other:
  %next = add i64 %i, 1
  br label %search
found:
  %memory = load ptr, ptr %block
  store i64 0, ptr %size.at
  %held = load i64, ptr @held
  %less = sub i64 %held, %size
  store i64 %less, ptr @held
  store atomic i64 0, ptr @held.lock release, align 8
  ret ptr %memory
nothing:
  store atomic i64 0, ptr @held.lock release, align 8
  br label %fresh
fresh:
  %malloc = call ptr @get(i64 20)
  %new = call ptr %malloc(i64 %size)
  ret ptr %new
}

define void @npdiff_free(ptr %context, ptr %memory, i64 %size) {
entry:
  %large = icmp uge i64 %size, 1048576
  br i1 %large, label %try, label %away
try:
  %locked = atomicrmw xchg ptr @held.lock, i64 1 acquire
  %free = icmp eq i64 %locked, 0
  br i1 %free, label %room, label %away
room:
  %held = load i64, ptr @held
  %limit = load i64, ptr @limit
  %sum = add i64 %held, %size
  %allowed = icmp ule i64 %sum, %limit
  br i1 %allowed, label %search, label %full
search:
  %i = phi i64 [ 0, %room ], [ %next, %other ]
  %more = icmp slt i64 %i, 64
  br i1 %more, label %look, label %full
look:
  %block = getelementptr [64 x %block], ptr @blocks, i64 0, i64 %i
  %size.at = getelementptr %block, ptr %block, i64 0, i32 1
  %bytes = load i64, ptr %size.at
  %empty = icmp eq i64 %bytes, 0
  br i1 %empty, label %keep, label %other
other:
  %next = add i64 %i, 1
  br label %search
keep:
  store ptr %memory, ptr %block
  store i64 %size, ptr %size.at
  store i64 %sum, ptr @held
  store atomic i64 0, ptr @held.lock release, align 8
  ret void
full:
  store atomic i64 0, ptr @held.lock release, align 8
  br label %away
away:
  %freeing = call ptr @get(i64 21)
  call void %freeing(ptr %memory)
  ret void
}

define ptr @npdiff_calloc(ptr %context, i64 %count, i64 %size) {
  %calloc = call ptr @get(i64 23)
  %new = call ptr %calloc(i64 %count, i64 %size)
  ret ptr %new
}

define ptr @npdiff_realloc(ptr %context, ptr %memory, i64 %size) {
  %realloc = call ptr @get(i64 22)
  %new = call ptr %realloc(ptr %memory, i64 %size)
  ret ptr %new
}

; Keep at most so many bytes at rest; returns how many rest now.
define i64 @npdiff_limit(i64 %bytes) {
  store i64 %bytes, ptr @limit
  %held = load i64, ptr @held
  ret i64 %held
}

; After a fork: whoever held the lock is in the other process.
define void @npdiff_memory_forked() {
  store i64 0, ptr @held.lock
  ret void
}
