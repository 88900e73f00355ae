; Chunks of one job on several threads. Workers are Python threads that stay in npdiff_worker, without the GIL.

; A running job: loops, addresses, extent, chunk, next chunk, gate (number of workers inside; 2**32: closed).
%job = type { ptr, ptr, i64, i64, i64, i64 }
; A worker: its lock, whether it sleeps.
%worker = type { ptr, i64 }

@job = internal global %job { ptr null, ptr null, i64 0, i64 1, i64 0, i64 4294967296 }
@busy = internal global i64 0
@workers = internal global [256 x %worker] zeroinitializer
@crew = internal global i64 0

; Do all chunks of a job, with the workers if they are free and there is more than one chunk.
define internal void @share(ptr %kernel, ptr %addresses, i64 %extent, i64 %chunk, i64 %chunks, i64 %wide) {
entry:
  %crew = load i64, ptr @crew
  %nobody = icmp eq i64 %crew, 0
  %single = icmp slt i64 %chunks, 2
  %narrow = icmp eq i64 %wide, 0
  %one.of = or i1 %nobody, %single
  %alone.wanted = or i1 %one.of, %narrow
  br i1 %alone.wanted, label %alone, label %claim
claim:
  ; One job at a time has the workers; others meanwhile do their chunks themselves.
  %claimed = cmpxchg ptr @busy, i64 0, i64 1 acq_rel acquire
  %mine = extractvalue { i64, i1 } %claimed, 1
  br i1 %mine, label %together, label %alone
alone:
  %own = alloca i64
  store i64 0, ptr %own
  call void @work(ptr %kernel, ptr %addresses, i64 %extent, i64 %chunk, ptr %own)
  ret void
together:
  store ptr %kernel, ptr @job
  store ptr %addresses, ptr getelementptr (%job, ptr @job, i64 0, i32 1)
  store i64 %extent, ptr getelementptr (%job, ptr @job, i64 0, i32 2)
  store i64 %chunk, ptr getelementptr (%job, ptr @job, i64 0, i32 3)
  store i64 0, ptr getelementptr (%job, ptr @job, i64 0, i32 4)
  store atomic i64 0, ptr getelementptr (%job, ptr @job, i64 0, i32 5) seq_cst, align 8
  %others = sub i64 %chunks, 1
  %few = icmp slt i64 %others, %crew
  %helpers = select i1 %few, i64 %others, i64 %crew
  br label %wake
wake:
  %w = phi i64 [ 0, %together ], [ %w.next, %woken ]
  %w.more = icmp slt i64 %w, %helpers
  br i1 %w.more, label %look, label %begin
look:
  %worker = getelementptr [256 x %worker], ptr @workers, i64 0, i64 %w
  %asleep.at = getelementptr %worker, ptr %worker, i64 0, i32 1
  %asleep = atomicrmw xchg ptr %asleep.at, i64 0 seq_cst
  %sleeps = icmp ne i64 %asleep, 0
  br i1 %sleeps, label %rouse, label %woken
rouse:
  %lock = load ptr, ptr %worker
  %release = call ptr @get(i64 19)
  call void %release(ptr %lock)
  br label %woken
woken:
  %w.next = add i64 %w, 1
  br label %wake
begin:
  call void @work(ptr %kernel, ptr %addresses, i64 %extent, i64 %chunk,
                  ptr getelementptr (%job, ptr @job, i64 0, i32 4))
  ; No worker enters from here on; those inside finish their last chunk.
  %gate = atomicrmw or ptr getelementptr (%job, ptr @job, i64 0, i32 5), i64 4294967296 seq_cst
  %inside = icmp ne i64 %gate, 0
  br i1 %inside, label %wait, label %done
wait:
  %acquire = call ptr @get(i64 18)
  %finished = call ptr @get(i64 29)
  %got = call i32 %acquire(ptr %finished, i32 1)
  br label %done
done:
  store atomic i64 0, ptr @busy seq_cst, align 8
  ret void
}

; Take chunks until there are none left.
define internal void @work(ptr %kernel, ptr %addresses, i64 %extent, i64 %chunk, ptr %next) {
entry:
  br label %loop
loop:
  %k = atomicrmw add ptr %next, i64 1 seq_cst
  %begin = mul i64 %k, %chunk
  %more = icmp slt i64 %begin, %extent
  br i1 %more, label %do, label %out
do:
  %far = add i64 %begin, %chunk
  %within = icmp slt i64 %far, %extent
  %end = select i1 %within, i64 %far, i64 %extent
  call void %kernel(ptr %addresses, i64 %begin, i64 %end)
  br label %loop
out:
  ret void
}

; The life of worker `k`: sleep, and take part in the job that woke it.
define void @npdiff_worker(i64 %k) {
entry:
  %worker = getelementptr [256 x %worker], ptr @workers, i64 0, i64 %k
  %asleep.at = getelementptr %worker, ptr %worker, i64 0, i32 1
  %gate = getelementptr %job, ptr @job, i64 0, i32 5
  br label %sleep
sleep:
  store atomic i64 1, ptr %asleep.at seq_cst, align 8
  %lock = load ptr, ptr %worker
  %acquire = call ptr @get(i64 18)
  %got = call i32 %acquire(ptr %lock, i32 1)
  br label %knock
knock:
  %seen = load atomic i64, ptr %gate seq_cst, align 8
  %closed = icmp uge i64 %seen, 4294967296
  br i1 %closed, label %sleep, label %enter
enter:
  %one.more = add i64 %seen, 1
  %entered = cmpxchg ptr %gate, i64 %seen, i64 %one.more seq_cst seq_cst
  %inside = extractvalue { i64, i1 } %entered, 1
  br i1 %inside, label %help, label %knock
help:
  %kernel = load ptr, ptr @job
  %addresses = load ptr, ptr getelementptr (%job, ptr @job, i64 0, i32 1)
  %extent = load i64, ptr getelementptr (%job, ptr @job, i64 0, i32 2)
  %chunk = load i64, ptr getelementptr (%job, ptr @job, i64 0, i32 3)
  call void @work(ptr %kernel, ptr %addresses, i64 %extent, i64 %chunk,
                  ptr getelementptr (%job, ptr @job, i64 0, i32 4))
  %before = atomicrmw sub ptr %gate, i64 1 seq_cst
  %last = icmp eq i64 %before, 4294967297
  br i1 %last, label %tell, label %sleep
tell:
  %release = call ptr @get(i64 19)
  %finished = call ptr @get(i64 29)
  call void %release(ptr %finished)
  br label %sleep
}

; Give worker `k` its lock.
define void @npdiff_hire(i64 %k, ptr %lock) {
  %worker = getelementptr [256 x %worker], ptr @workers, i64 0, i64 %k
  store ptr %lock, ptr %worker
  ret void
}

; How many workers take part.
define void @npdiff_crew(i64 %count) {
  store i64 %count, ptr @crew
  ret void
}

; After a fork: the workers are in the other process, and so is whatever they were doing.
define void @npdiff_forked() {
  store i64 0, ptr @crew
  store i64 0, ptr @busy
  store i64 4294967296, ptr getelementptr (%job, ptr @job, i64 0, i32 5)
  ret void
}
