; Running a kernel from Python: addresses, new arrays, chunks.

; The address of an argument's elements; null if it does not fit. A number is put into `room`, which has 16 bytes.
define internal ptr @elements(ptr %object, ptr %spec, ptr %room) {
entry:
  %fit = call i1 @fits(ptr %object, ptr %spec)
  br i1 %fit, label %array, label %number
array:
  %data.at = getelementptr %array, ptr %object, i64 0, i32 1
  %data = load ptr, ptr %data.at
  ret ptr %data
number:
  %nd.at = getelementptr %spec, ptr %spec, i64 0, i32 3
  %nd = load i64, ptr %nd.at
  %point = icmp eq i64 %nd, 0
  br i1 %point, label %which, label %no
which:
  %type.at = getelementptr i8, ptr %object, i64 TYPE
  %type = load ptr, ptr %type.at
  %descr.at = getelementptr %spec, ptr %spec, i64 0, i32 2
  %descr = load ptr, ptr %descr.at
  ; The first field of a descriptor is the type of its scalars.
  %scalar.at = getelementptr i8, ptr %descr, i64 HEAD
  %scalar = load ptr, ptr %scalar.at
  %is.scalar = icmp eq ptr %type, %scalar
  br i1 %is.scalar, label %take.scalar, label %python
take.scalar:
  %as.ctype = call ptr @get(i64 33)
  call void %as.ctype(ptr %object, ptr %room)
  ret ptr %room
python:
  %f8 = call ptr @get(i64 25)
  %i8 = call ptr @get(i64 26)
  %to.float = icmp eq ptr %descr, %f8
  br i1 %to.float, label %floats, label %ints
floats:
  %float = call ptr @get(i64 1)
  %is.float = icmp eq ptr %type, %float
  br i1 %is.float, label %take.float, label %no
take.float:
  %as.double = call ptr @get(i64 12)
  %double = call double %as.double(ptr %object)
  store double %double, ptr %room
  ret ptr %room
ints:
  %to.int = icmp eq ptr %descr, %i8
  %int = call ptr @get(i64 2)
  %is.int = icmp eq ptr %type, %int
  %both = and i1 %to.int, %is.int
  br i1 %both, label %take.int, label %no
take.int:
  %as.int = call ptr @get(i64 13)
  %value = call i64 %as.int(ptr %object)
  store i64 %value, ptr %room
  %odd = icmp eq i64 %value, -1
  br i1 %odd, label %check, label %fine
check:
  %occurred = call ptr @get(i64 14)
  %error = call ptr %occurred()
  %failed = icmp ne ptr %error, null
  br i1 %failed, label %clear, label %fine
clear:
  %clearing = call ptr @get(i64 15)
  call void %clearing()
  ret ptr null
fine:
  ret ptr %room
no:
  ret ptr null
}

; A new array for a result.
define internal ptr @allocate(ptr %result) {
entry:
  %descr = load ptr, ptr %result
  %nd.at = getelementptr %result, ptr %result, i64 0, i32 1
  %nd = load i64, ptr %nd.at
  %nd.32 = trunc i64 %nd to i32
  %shape.at = getelementptr %result, ptr %result, i64 0, i32 2
  %shape = load ptr, ptr %shape.at
  %recycled.at = getelementptr %result, ptr %result, i64 0, i32 5
  %recycled = load i64, ptr %recycled.at
  %incref = call ptr @get(i64 8)
  call void %incref(ptr %descr)
  %type = call ptr @get(i64 0)
  %new = call ptr @get(i64 7)
  %ours = icmp ne i64 %recycled, 0
  br i1 %ours, label %handled, label %plain
plain:
  %made = call ptr %new(ptr %type, ptr %descr, i32 %nd.32, ptr %shape, ptr null, ptr null, i32 0, ptr null)
  ret ptr %made
handled:
  ; The array keeps the handler that was set when it was made, and gives its memory back to that.
  %set = call ptr @get(i64 24)
  %decref = call ptr @get(i64 9)
  %handler = call ptr @get(i64 27)
  %before = call ptr %set(ptr %handler)
  %failed = icmp eq ptr %before, null
  br i1 %failed, label %drop, label %make
drop:
  call void %decref(ptr %descr)
  ret ptr null
make:
  %array = call ptr %new(ptr %type, ptr %descr, i32 %nd.32, ptr %shape, ptr null, ptr null, i32 0, ptr null)
  %mine = call ptr %set(ptr %before)
  call void %decref(ptr %before)
  %lost = icmp eq ptr %mine, null
  br i1 %lost, label %out, label %back
back:
  call void %decref(ptr %mine)
  br label %out
out:
  ret ptr %array
}

; Put the addresses of all arguments into `addresses`; false if one does not fit.
define internal i1 @take(ptr %args, i64 %count, ptr %specs, ptr %addresses, ptr %rooms) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %taken ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %each, label %all
each:
  %object.at = getelementptr ptr, ptr %args, i64 %i
  %object = load ptr, ptr %object.at
  %spec = getelementptr %spec, ptr %specs, i64 %i
  %room = getelementptr [2 x i64], ptr %rooms, i64 %i
  %data = call ptr @elements(ptr %object, ptr %spec, ptr %room)
  %missing = icmp eq ptr %data, null
  br i1 %missing, label %unfit, label %taken
taken:
  %data.at = getelementptr ptr, ptr %addresses, i64 %i
  store ptr %data, ptr %data.at
  %next = add i64 %i, 1
  br label %loop
all:
  ret i1 true
unfit:
  ret i1 false
}

; New arrays for all results, and where their elements are; false if there is no memory: an error is set then.
define internal i1 @make(ptr %descriptions, i64 %count, ptr %arrays, ptr %addresses) {
entry:
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %next, %made ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %each, label %all
each:
  %description = getelementptr %result, ptr %descriptions, i64 %k
  %array = call ptr @allocate(ptr %description)
  %no.memory = icmp eq ptr %array, null
  br i1 %no.memory, label %release, label %made
made:
  %array.at = getelementptr ptr, ptr %arrays, i64 %k
  store ptr %array, ptr %array.at
  %memory.at = getelementptr %array, ptr %array, i64 0, i32 1
  %memory = load ptr, ptr %memory.at
  %address.at = getelementptr ptr, ptr %addresses, i64 %k
  store ptr %memory, ptr %address.at
  %next = add i64 %k, 1
  br label %loop
all:
  ret i1 true
release:
  call void @drop(ptr %arrays, i64 %k)
  ret i1 false
}

; Let go of arrays.
define internal void @drop(ptr %arrays, i64 %count) {
entry:
  %decref = call ptr @get(i64 9)
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %next, %each ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %each, label %out
each:
  %array.at = getelementptr ptr, ptr %arrays, i64 %k
  %array = load ptr, ptr %array.at
  call void %decref(ptr %array)
  %next = add i64 %k, 1
  br label %loop
out:
  ret void
}

; The results as Python gets them: one, or a tuple.
define internal ptr @give(ptr %arrays, i64 %count) {
entry:
  %single = icmp eq i64 %count, 1
  br i1 %single, label %one, label %several
one:
  %only = load ptr, ptr %arrays
  ret ptr %only
several:
  %tuple.new = call ptr @get(i64 10)
  %tuple.set = call ptr @get(i64 11)
  %tuple = call ptr %tuple.new(i64 %count)
  %no.tuple = icmp eq ptr %tuple, null
  br i1 %no.tuple, label %release, label %fill
fill:
  %f = phi i64 [ 0, %several ], [ %f.next, %filling ]
  %f.more = icmp slt i64 %f, %count
  br i1 %f.more, label %filling, label %filled
filling:
  %item.at = getelementptr ptr, ptr %arrays, i64 %f
  %item = load ptr, ptr %item.at
  %put = call i32 %tuple.set(ptr %tuple, i64 %f, ptr %item)
  %f.next = add i64 %f, 1
  br label %fill
filled:
  ret ptr %tuple
release:
  call void @drop(ptr %arrays, i64 %count)
  ret ptr null
}

; What Python gets where an argument does not fit.
define internal ptr @unfit() {
entry:
  %none = call ptr @get(i64 6)
  %incref = call ptr @get(i64 8)
  call void %incref(ptr %none)
  ret ptr %none
}

; Python: run the kernel of the plan in self on its inputs; the results, or None if an input does not fit.
define ptr @npdiff_launch(ptr %self, ptr %args, i64 %count) {
entry:
  %plan.at = getelementptr %array, ptr %self, i64 0, i32 1
  %plan = load ptr, ptr %plan.at
  %inputs.at = getelementptr %plan, ptr %plan, i64 0, i32 4
  %inputs = load i64, ptr %inputs.at
  %results.at = getelementptr %plan, ptr %plan, i64 0, i32 5
  %results = load i64, ptr %results.at
  %specs.at = getelementptr %plan, ptr %plan, i64 0, i32 8
  %specs = load ptr, ptr %specs.at
  %descriptions.at = getelementptr %plan, ptr %plan, i64 0, i32 9
  %descriptions = load ptr, ptr %descriptions.at
  %all = add i64 %inputs, %results
  %addresses = alloca ptr, i64 %all
  %rooms = alloca [2 x i64], i64 %inputs
  %arrays = alloca ptr, i64 %results
  %right.count = icmp eq i64 %count, %inputs
  br i1 %right.count, label %take, label %unfit
take:
  %taken = call i1 @take(ptr %args, i64 %inputs, ptr %specs, ptr %addresses, ptr %rooms)
  br i1 %taken, label %make, label %unfit
unfit:
  %none = call ptr @unfit()
  ret ptr %none
make:
  %behind = getelementptr ptr, ptr %addresses, i64 %inputs
  %made = call i1 @make(ptr %descriptions, i64 %results, ptr %arrays, ptr %behind)
  br i1 %made, label %ready, label %failed
ready:
  %good = call i1 @run(ptr %plan, ptr %addresses)
  br i1 %good, label %finish, label %no.scratch
finish:
  %given = call ptr @give(ptr %arrays, i64 %results)
  ret ptr %given
no.scratch:
  call void @drop(ptr %arrays, i64 %results)
  %raise = call ptr @get(i64 28)
  %raised = call ptr %raise()
  br label %failed
failed:
  ret ptr null
}

; Python: run the kernels of the sequence in self one after another, with one allocation for all that they hand on; the
; results, or None if an input does not fit or one of the kernels leaves its work to NumPy.
define ptr @npdiff_sequence(ptr %self, ptr %args, i64 %count) {
entry:
  %sequence.at = getelementptr %array, ptr %self, i64 0, i32 1
  %sequence = load ptr, ptr %sequence.at
  %inputs = load i64, ptr %sequence
  %results.at = getelementptr %sequence, ptr %sequence, i64 0, i32 1
  %results = load i64, ptr %results.at
  %bytes.at = getelementptr %sequence, ptr %sequence, i64 0, i32 2
  %bytes = load i64, ptr %bytes.at
  %steps.at = getelementptr %sequence, ptr %sequence, i64 0, i32 3
  %steps = load i64, ptr %steps.at
  %most.at = getelementptr %sequence, ptr %sequence, i64 0, i32 4
  %most = load i64, ptr %most.at
  %long.at = getelementptr %sequence, ptr %sequence, i64 0, i32 5
  %long.field = load i64, ptr %long.at
  %long = icmp ne i64 %long.field, 0
  %specs.at = getelementptr %sequence, ptr %sequence, i64 0, i32 6
  %specs = load ptr, ptr %specs.at
  %descriptions.at = getelementptr %sequence, ptr %sequence, i64 0, i32 7
  %descriptions = load ptr, ptr %descriptions.at
  %first.at = getelementptr %sequence, ptr %sequence, i64 0, i32 8
  %first = load ptr, ptr %first.at
  %known = add i64 %inputs, %results
  %all = add i64 %known, 2
  %bases = alloca ptr, i64 %all
  %rooms = alloca [2 x i64], i64 %inputs
  %arrays = alloca ptr, i64 %results
  %addresses = alloca ptr, i64 %most
  %right.count = icmp eq i64 %count, %inputs
  br i1 %right.count, label %take, label %unfit
take:
  %taken = call i1 @take(ptr %args, i64 %inputs, ptr %specs, ptr %bases, ptr %rooms)
  br i1 %taken, label %scratch, label %unfit
unfit:
  %none = call ptr @unfit()
  ret ptr %none
scratch:
  %malloc = call ptr @get(i64 20)
  %free = call ptr @get(i64 21)
  %room.for = add i64 %bytes, 64
  %memory = call ptr %malloc(i64 %room.for)
  %no.memory = icmp eq ptr %memory, null
  br i1 %no.memory, label %raise, label %make
raise:
  %raising = call ptr @get(i64 28)
  %raised = call ptr %raising()
  ret ptr null
make:
  %behind = getelementptr ptr, ptr %bases, i64 %inputs
  %made = call i1 @make(ptr %descriptions, i64 %results, ptr %arrays, ptr %behind)
  br i1 %made, label %start, label %failed
failed:
  call void %free(ptr %memory)
  ret ptr null
start:
  %number = ptrtoint ptr %memory to i64
  %up = add i64 %number, 63
  %even = and i64 %up, -64
  %aligned = inttoptr i64 %even to ptr
  %scratch.at = getelementptr ptr, ptr %bases, i64 %known
  store ptr %aligned, ptr %scratch.at
  %absolute = add i64 %known, 1
  %absolute.at = getelementptr ptr, ptr %bases, i64 %absolute
  store ptr null, ptr %absolute.at
  br i1 %long, label %let.go, label %running
let.go:
  %save = call ptr @get(i64 16)
  %state = call ptr %save()
  br label %running
running:
  %held = phi ptr [ null, %start ], [ %state, %let.go ]
  br label %loop
loop:
  %k = phi i64 [ 0, %running ], [ %k.next, %fine ]
  %k.more = icmp slt i64 %k, %steps
  br i1 %k.more, label %each, label %done
each:
  %step = getelementptr %step, ptr %first, i64 %k
  %kernel = load ptr, ptr %step
  %extent.at = getelementptr %step, ptr %step, i64 0, i32 1
  %extent = load i64, ptr %extent.at
  %places.at = getelementptr %step, ptr %step, i64 0, i32 2
  %places = load i64, ptr %places.at
  %flag.at = getelementptr %step, ptr %step, i64 0, i32 3
  %flag = load i64, ptr %flag.at
  %place.at = getelementptr %step, ptr %step, i64 0, i32 4
  %list = load ptr, ptr %place.at
  br label %placing
placing:
  %p = phi i64 [ 0, %each ], [ %p.next, %put ]
  %p.more = icmp slt i64 %p, %places
  br i1 %p.more, label %put, label %call
put:
  %pair = getelementptr %location, ptr %list, i64 %p
  %base.number = load i64, ptr %pair
  %offset.at = getelementptr %location, ptr %pair, i64 0, i32 1
  %offset = load i64, ptr %offset.at
  %base.at = getelementptr ptr, ptr %bases, i64 %base.number
  %base = load ptr, ptr %base.at
  %address = getelementptr i8, ptr %base, i64 %offset
  %address.at = getelementptr ptr, ptr %addresses, i64 %p
  store ptr %address, ptr %address.at
  %p.next = add i64 %p, 1
  br label %placing
call:
  call void %kernel(ptr %addresses, i64 0, i64 %extent)
  %checked = icmp sge i64 %flag, 0
  br i1 %checked, label %check, label %fine
check:
  %unclear.at = getelementptr i8, ptr %aligned, i64 %flag
  %unclear.byte = load i8, ptr %unclear.at
  %unclear = icmp ne i8 %unclear.byte, 0
  br i1 %unclear, label %done, label %fine
fine:
  %k.next = add i64 %k, 1
  br label %loop
done:
  %good = phi i1 [ true, %loop ], [ false, %check ]
  br i1 %long, label %come.back, label %finish
come.back:
  %restore = call ptr @get(i64 17)
  call void %restore(ptr %held)
  br label %finish
finish:
  call void %free(ptr %memory)
  br i1 %good, label %given, label %left
given:
  %outcome = call ptr @give(ptr %arrays, i64 %results)
  ret ptr %outcome
left:
  call void @drop(ptr %arrays, i64 %results)
  %nothing = call ptr @unfit()
  ret ptr %nothing
}

; Run a kernel: other Python threads run meanwhile if it is long, and workers help if that pays.
; False if there is no memory for the parts of its results.
define internal i1 @run(ptr %plan, ptr %addresses) {
entry:
  %kernel = load ptr, ptr %plan
  %join.at = getelementptr %plan, ptr %plan, i64 0, i32 1
  %join = load ptr, ptr %join.at
  %extent.at = getelementptr %plan, ptr %plan, i64 0, i32 2
  %extent = load i64, ptr %extent.at
  %chunk.at = getelementptr %plan, ptr %plan, i64 0, i32 3
  %chunk = load i64, ptr %chunk.at
  %inputs.at = getelementptr %plan, ptr %plan, i64 0, i32 4
  %inputs = load i64, ptr %inputs.at
  %results.at = getelementptr %plan, ptr %plan, i64 0, i32 5
  %results = load i64, ptr %results.at
  %long.at = getelementptr %plan, ptr %plan, i64 0, i32 6
  %long = load i64, ptr %long.at
  %wide.at = getelementptr %plan, ptr %plan, i64 0, i32 7
  %wide = load i64, ptr %wide.at
  %descriptions.at = getelementptr %plan, ptr %plan, i64 0, i32 9
  %descriptions = load ptr, ptr %descriptions.at
  %short = icmp eq i64 %long, 0
  br i1 %short, label %at.once, label %in.parts
at.once:
  call void %kernel(ptr %addresses, i64 0, i64 %extent)
  ret i1 true
in.parts:
  ; Results that every chunk has a part of are put together from these parts, in their order.
  %whole = alloca ptr, i64 %results
  %extent.up = add i64 %extent, %chunk
  %extent.last = sub i64 %extent.up, 1
  %chunks = udiv i64 %extent.last, %chunk
  %malloc = call ptr @get(i64 20)
  br label %scratch
scratch:
  %k = phi i64 [ 0, %in.parts ], [ %k.next, %scratched ]
  %k.more = icmp slt i64 %k, %results
  br i1 %k.more, label %each, label %let.go
each:
  %description = getelementptr %result, ptr %descriptions, i64 %k
  %parted.at = getelementptr %result, ptr %description, i64 0, i32 4
  %parted = load i64, ptr %parted.at
  %whole.at = getelementptr ptr, ptr %whole, i64 %k
  store ptr null, ptr %whole.at
  %has.parts = icmp ne i64 %parted, 0
  br i1 %has.parts, label %parts, label %scratched
parts:
  %bytes.at = getelementptr %result, ptr %description, i64 0, i32 3
  %bytes = load i64, ptr %bytes.at
  %need = mul i64 %bytes, %chunks
  %memory = call ptr %malloc(i64 %need)
  %no.memory = icmp eq ptr %memory, null
  br i1 %no.memory, label %give.up, label %placed
placed:
  %place = add i64 %inputs, %k
  %address.at = getelementptr ptr, ptr %addresses, i64 %place
  %final = load ptr, ptr %address.at
  store ptr %final, ptr %whole.at
  store ptr %memory, ptr %address.at
  br label %scratched
scratched:
  %k.next = add i64 %k, 1
  br label %scratch
give.up:
  call void @put.back(ptr %addresses, ptr %whole, i64 %inputs, i64 %k)
  ret i1 false
let.go:
  %save = call ptr @get(i64 16)
  %restore = call ptr @get(i64 17)
  %state = call ptr %save()
  call void @share(ptr %kernel, ptr %addresses, i64 %extent, i64 %chunk, i64 %chunks, i64 %wide)
  %apart = icmp ne ptr %join, null
  br i1 %apart, label %joining, label %again
joining:
  call void %join(ptr %addresses, ptr %whole, i64 %chunks)
  br label %again
again:
  call void %restore(ptr %state)
  call void @put.back(ptr %addresses, ptr %whole, i64 %inputs, i64 %results)
  ret i1 true
}

; Free the memory of parts.
define internal void @put.back(ptr %addresses, ptr %whole, i64 %inputs, i64 %results) {
entry:
  %free = call ptr @get(i64 21)
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %next, %done ]
  %more = icmp slt i64 %k, %results
  br i1 %more, label %each, label %out
each:
  %whole.at = getelementptr ptr, ptr %whole, i64 %k
  %final = load ptr, ptr %whole.at
  %parted = icmp ne ptr %final, null
  br i1 %parted, label %release, label %done
release:
  %place = add i64 %inputs, %k
  %address.at = getelementptr ptr, ptr %addresses, i64 %place
  %parts = load ptr, ptr %address.at
  call void %free(ptr %parts)
  store ptr %final, ptr %address.at
  br label %done
done:
  %next = add i64 %k, 1
  br label %loop
out:
  ret void
}
