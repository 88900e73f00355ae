; Whether what a function reads outside is still the same objects.

; A place to look at, and the object that was there: kind, holder, key, object.
; Kinds: 0 a cell, 1 an entry of a dict, 2 a function's defaults, 3 its keyword defaults (null where it has none), 4 its
; code.
%place = type { i64, ptr, ptr, ptr }

; Python: True if every place of the table in self (a count, then the places) holds its object.
define ptr @npdiff_unchanged(ptr %self, ptr %args, i64 %none) {
entry:
  %table.at = getelementptr %array, ptr %self, i64 0, i32 1
  %table = load ptr, ptr %table.at
  %count = load i64, ptr %table
  %places = getelementptr i64, ptr %table, i64 1
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %same ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %yes
one:
  %place = getelementptr %place, ptr %places, i64 %i
  %kind = load i64, ptr %place
  %holder.at = getelementptr %place, ptr %place, i64 0, i32 1
  %holder = load ptr, ptr %holder.at
  %key.at = getelementptr %place, ptr %place, i64 0, i32 2
  %key = load ptr, ptr %key.at
  %expected.at = getelementptr %place, ptr %place, i64 0, i32 3
  %expected = load ptr, ptr %expected.at
  switch i64 %kind, label %cell [ i64 1, label %entry.of i64 2, label %defaults i64 3, label %keywords
    i64 4, label %code ]
cell:
  %inside.at = getelementptr i8, ptr %holder, i64 HEAD
  %inside = load ptr, ptr %inside.at
  br label %compare
entry.of:
  %look = call ptr @get(i64 30)
  %value = call ptr %look(ptr %holder, ptr %key)
  %missing = icmp eq ptr %value, null
  br i1 %missing, label %clear, label %compare
clear:
  %clearing = call ptr @get(i64 15)
  call void %clearing()
  br label %no
defaults:
  %get.defaults = call ptr @get(i64 31)
  %tuple = call ptr %get.defaults(ptr %holder)
  br label %compare
keywords:
  %get.keywords = call ptr @get(i64 32)
  %dict = call ptr %get.keywords(ptr %holder)
  br label %compare
code:
  %get.code = call ptr @get(i64 35)
  %compiled = call ptr %get.code(ptr %holder)
  br label %compare
compare:
  %found = phi ptr [ %inside, %cell ], [ %value, %entry.of ], [ %tuple, %defaults ], [ %dict, %keywords ],
                   [ %compiled, %code ]
  %right = icmp eq ptr %found, %expected
  br i1 %right, label %same, label %no
same:
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
