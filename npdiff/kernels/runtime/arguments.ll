; What a compiled call needs besides its loops, as functions that Python calls as its own (METH_FASTCALL):
; arguments are checked, results allocated, kernels run over chunks and threads, memory is recycled.
; native.py puts these files together and fills the tables they read; the order of the fields is agreed with it.

; A NumPy array object: head, data, number of dimensions, shape, strides, base, descriptor, flags.
%array = type { [HEAD x i8], ptr, i32, ptr, ptr, ptr, ptr, i32 }
; What an argument must be: kind, type, descriptor, dimensions, mask of flags, flags, shape, strides, the first like it.
%spec = type { i64, ptr, ptr, i64, i64, i64, ptr, ptr, i64 }
; What a result is: descriptor, dimensions, shape, bytes of one chunk's part of it, whether chunks leave parts of it,
; whether its memory is recycled.
%result = type { ptr, i64, ptr, i64, i64, i64 }
; A kernel's call: loops, joining of parts, extent, chunk, number of inputs, number of results, whether other Python
; threads run meanwhile, whether workers help, specs, results.
%plan = type { ptr, ptr, i64, i64, i64, i64, i64, i64, ptr, ptr }
; Kernels that run one after another: number of inputs, of results, bytes of memory for what they hand on, number of
; kernels, most addresses of one, whether other Python threads run meanwhile, specs, results, steps.
%sequence = type { i64, i64, i64, i64, i64, i64, ptr, ptr, ptr }
; One of them: loops, extent, number of addresses, where in the memory it says that NumPy has to do it (or -1), places.
%step = type { ptr, i64, i64, i64, ptr }
; Where a kernel's input or result is: the number of an input, of a result (counted on from those), of the memory, or of
; address zero, and bytes from there on.
%location = type { i64, i64 }

; Addresses of the interpreter's and NumPy's objects and functions, in native.py's order.
@world = internal global [48 x ptr] zeroinitializer

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define void @npdiff_begin(ptr %values, i64 %count) {
  %bytes = mul i64 %count, 8
  call void @llvm.memcpy.p0.p0.i64(ptr @world, ptr %values, i64 %bytes, i1 false)
  ret void
}

define internal ptr @get(i64 %k) alwaysinline {
  %at = getelementptr ptr, ptr @world, i64 %k
  %value = load ptr, ptr %at
  ret ptr %value
}

; Whether an object is what a spec says. Kinds: 0 an array, 1 an object of a type, 2 one object.
define internal i1 @fits(ptr %object, ptr %spec) {
entry:
  %kind = load i64, ptr %spec
  %wanted.at = getelementptr %spec, ptr %spec, i64 0, i32 1
  %wanted = load ptr, ptr %wanted.at
  %one = icmp eq i64 %kind, 2
  br i1 %one, label %identity, label %typed
identity:
  %itself = icmp eq ptr %object, %wanted
  ret i1 %itself
typed:
  %type.at = getelementptr i8, ptr %object, i64 TYPE
  %type = load ptr, ptr %type.at
  %right.type = icmp eq ptr %type, %wanted
  br i1 %right.type, label %which, label %no
which:
  %array = icmp eq i64 %kind, 0
  br i1 %array, label %by.descr, label %yes
by.descr:
  %descr.at = getelementptr %array, ptr %object, i64 0, i32 6
  %descr = load ptr, ptr %descr.at
  %descr.wanted.at = getelementptr %spec, ptr %spec, i64 0, i32 2
  %descr.wanted = load ptr, ptr %descr.wanted.at
  %right.descr = icmp eq ptr %descr, %descr.wanted
  br i1 %right.descr, label %dimensions, label %no
dimensions:
  %nd.at = getelementptr %array, ptr %object, i64 0, i32 2
  %nd.32 = load i32, ptr %nd.at
  %nd = sext i32 %nd.32 to i64
  %nd.wanted.at = getelementptr %spec, ptr %spec, i64 0, i32 3
  %nd.wanted = load i64, ptr %nd.wanted.at
  %right.nd = icmp eq i64 %nd, %nd.wanted
  br i1 %right.nd, label %by.flags, label %no
by.flags:
  %flags.at = getelementptr %array, ptr %object, i64 0, i32 7
  %flags.32 = load i32, ptr %flags.at
  %flags = sext i32 %flags.32 to i64
  %mask.at = getelementptr %spec, ptr %spec, i64 0, i32 4
  %mask = load i64, ptr %mask.at
  %flags.wanted.at = getelementptr %spec, ptr %spec, i64 0, i32 5
  %flags.wanted = load i64, ptr %flags.wanted.at
  %masked = and i64 %flags, %mask
  %right.flags = icmp eq i64 %masked, %flags.wanted
  br i1 %right.flags, label %by.shape, label %no
by.shape:
  %shape.at = getelementptr %array, ptr %object, i64 0, i32 3
  %shape.ptr = load ptr, ptr %shape.at
  %shape.wanted.at = getelementptr %spec, ptr %spec, i64 0, i32 6
  %shape.wanted = load ptr, ptr %shape.wanted.at
  %right.shape = call i1 @alike(ptr %shape.ptr, ptr %shape.wanted, i64 %nd)
  br i1 %right.shape, label %by.strides, label %no
by.strides:
  %strides.wanted.at = getelementptr %spec, ptr %spec, i64 0, i32 7
  %strides.wanted = load ptr, ptr %strides.wanted.at
  %contiguous = icmp eq ptr %strides.wanted, null
  br i1 %contiguous, label %yes, label %strided
strided:
  %strides.at = getelementptr %array, ptr %object, i64 0, i32 4
  %strides.ptr = load ptr, ptr %strides.at
  %right.strides = call i1 @alike(ptr %strides.ptr, ptr %strides.wanted, i64 %nd)
  ret i1 %right.strides
yes:
  ret i1 true
no:
  ret i1 false
}

define internal i1 @alike(ptr %a, ptr %b, i64 %count) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %same ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %compare, label %yes
compare:
  %a.at = getelementptr i64, ptr %a, i64 %i
  %b.at = getelementptr i64, ptr %b, i64 %i
  %x = load i64, ptr %a.at
  %y = load i64, ptr %b.at
  %equal = icmp eq i64 %x, %y
  br i1 %equal, label %same, label %no
same:
  %next = add i64 %i, 1
  br label %loop
yes:
  ret i1 true
no:
  ret i1 false
}

; Python: True if the arguments fit the specs in self, and arrays are the same objects where the specs say so.
; The table: number of arguments, then the specs.
define ptr @npdiff_match(ptr %self, ptr %args, i64 %count) {
entry:
  %table.at = getelementptr %array, ptr %self, i64 0, i32 1
  %table = load ptr, ptr %table.at
  %expected = load i64, ptr %table
  %specs = getelementptr i64, ptr %table, i64 1
  %right.count = icmp eq i64 %count, %expected
  br i1 %right.count, label %loop, label %no
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %kept ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %yes
one:
  %spec = getelementptr %spec, ptr %specs, i64 %i
  %object.at = getelementptr ptr, ptr %args, i64 %i
  %object = load ptr, ptr %object.at
  %right = call i1 @fits(ptr %object, ptr %spec)
  br i1 %right, label %arrays, label %no
arrays:
  %kind = load i64, ptr %spec
  %array = icmp eq i64 %kind, 0
  br i1 %array, label %before, label %kept
before:
  %like.at = getelementptr %spec, ptr %spec, i64 0, i32 8
  %like = load i64, ptr %like.at
  br label %others
others:
  %j = phi i64 [ 0, %before ], [ %j.next, %agreed ]
  %earlier = icmp slt i64 %j, %i
  br i1 %earlier, label %compare, label %kept
compare:
  %other.at = getelementptr ptr, ptr %args, i64 %j
  %other = load ptr, ptr %other.at
  %other.spec = getelementptr %spec, ptr %specs, i64 %j
  %other.like.at = getelementptr %spec, ptr %other.spec, i64 0, i32 8
  %other.like = load i64, ptr %other.like.at
  %same = icmp eq ptr %other, %object
  %same.wanted = icmp eq i64 %like, %other.like
  %agree = icmp eq i1 %same, %same.wanted
  br i1 %agree, label %agreed, label %no
agreed:
  %j.next = add i64 %j, 1
  br label %others
kept:
  %next = add i64 %i, 1
  br label %loop
yes:
  %true = call ptr @get(i64 4)
  br label %out
no:
  %false = call ptr @get(i64 5)
  br label %out
out:
  %answer = phi ptr [ %true, %yes ], [ %false, %no ]
  %incref = call ptr @get(i64 8)
  call void %incref(ptr %answer)
  ret ptr %answer
}
