// A static pool of threads for row-parallel loops: no allocation, no queue, one region at a time.
//
// A region publishes (body, context, count, grain); the caller and the workers take pieces from one atomic counter until
// none are left. A caller that finds the pool busy, or that is itself inside a body, runs its region serially: several
// in-process ranks may share the pool, and nesting cannot deadlock. Between regions workers look for the next one for some
// microseconds, if there is a core for every thread, before they sleep on a condition variable: being woken takes longer.
#define _GNU_SOURCE 1
#include "CTuttiKernels.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum {
    most_threads = 256,
    look_nanoseconds = 50000, // about what sleeping and being woken cost
    looks_between_clocks = 64,
};

static pthread_mutex_t region_lock = PTHREAD_MUTEX_INITIALIZER; // held by the caller whose region runs
static pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER;  // guards the fields below
static pthread_cond_t work_ready = PTHREAD_COND_INITIALIZER;
static pthread_cond_t work_done = PTHREAD_COND_INITIALIZER;
static pthread_t workers[most_threads];
static int64_t worker_count = 0;
static _Atomic uint64_t generation = 0; // counts regions
static _Atomic int64_t running = 0;     // workers still inside the current region
static bool stopping = false;

static tutti_range_body body;
static void *body_context;
static int64_t piece_count, piece_size, element_count;
static _Atomic int64_t next_piece;
static _Atomic int64_t thread_count = 1;
static _Atomic bool looks_first = false; // whether every thread has a core of its own
static _Thread_local bool inside_body = false;

static inline void pause_core(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool has_new_region(uint64_t seen) { return atomic_load_explicit(&generation, memory_order_acquire) != seen; }
static bool has_ended(uint64_t unused) {
    (void)unused;
    return atomic_load_explicit(&running, memory_order_acquire) == 0;
}

/// Waits a while for a condition without sleeping; the caller looks again under the lock.
static void look_for(bool (*condition)(uint64_t), uint64_t argument) {
    if (!atomic_load_explicit(&looks_first, memory_order_relaxed)) return;
    int64_t end = nanoseconds() + look_nanoseconds;
    do {
        for (int i = 0; i < looks_between_clocks; i++) {
            if (condition(argument)) return;
            pause_core();
        }
    } while (nanoseconds() < end);
}

/// Whether this process may run on at least so many cores.
static bool has_cores(int64_t threads) {
#ifdef __linux__
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores) >= threads;
#endif
    (void)threads;
    return false;
}

static void take_pieces(int64_t worker) {
    inside_body = true;
    for (;;) {
        int64_t piece = atomic_fetch_add_explicit(&next_piece, 1, memory_order_relaxed);
        if (piece >= piece_count) break;
        int64_t begin = piece * piece_size;
        int64_t end = begin + piece_size < element_count ? begin + piece_size : element_count;
        body(body_context, begin, end, worker);
    }
    inside_body = false;
}

static void *work(void *argument) {
    int64_t worker = (int64_t)(intptr_t)argument;
    pthread_mutex_lock(&state_lock);
    uint64_t seen = generation;
    running -= 1; // started: see tutti_parallel_set_threads
    pthread_cond_signal(&work_done);
    for (;;) {
        pthread_mutex_unlock(&state_lock);
        look_for(has_new_region, seen);
        pthread_mutex_lock(&state_lock);
        while (generation == seen && !stopping) pthread_cond_wait(&work_ready, &state_lock);
        if (stopping) break;
        seen = generation;
        pthread_mutex_unlock(&state_lock);
        take_pieces(worker);
        pthread_mutex_lock(&state_lock);
        if (--running == 0) pthread_cond_signal(&work_done);
    }
    pthread_mutex_unlock(&state_lock);
    return NULL;
}

void tutti_parallel_for(int64_t count, int64_t grain, tutti_range_body run, void *context) {
    if (count <= 0) return;
    if (inside_body || count <= grain || atomic_load(&thread_count) == 1 || pthread_mutex_trylock(&region_lock) != 0) {
        run(context, 0, count, 0);
        return;
    }
    pthread_mutex_lock(&state_lock);
    body = run;
    body_context = context;
    element_count = count;
    // At most eight pieces a thread: enough to even out uneven rows without hammering the counter.
    int64_t threads = worker_count + 1;
    int64_t size = (count + 8 * threads - 1) / (8 * threads);
    piece_size = size > grain ? size : grain;
    piece_count = (count + piece_size - 1) / piece_size;
    atomic_store(&next_piece, 0);
    running = worker_count;
    generation += 1;
    pthread_cond_broadcast(&work_ready);
    pthread_mutex_unlock(&state_lock);
    take_pieces(0);
    look_for(has_ended, 0);
    pthread_mutex_lock(&state_lock);
    while (running > 0) pthread_cond_wait(&work_done, &state_lock);
    pthread_mutex_unlock(&state_lock);
    pthread_mutex_unlock(&region_lock);
}

void tutti_parallel_set_threads(int64_t threads) {
    if (threads < 1) threads = 1;
    if (threads > most_threads) threads = most_threads;
    pthread_mutex_lock(&region_lock);
    pthread_mutex_lock(&state_lock);
    stopping = true;
    pthread_cond_broadcast(&work_ready);
    pthread_mutex_unlock(&state_lock);
    for (int64_t w = 0; w < worker_count; w++) pthread_join(workers[w], NULL);
    pthread_mutex_lock(&state_lock);
    stopping = false;
    worker_count = 0;
    running = 0;
    for (int64_t w = 1; w < threads; w++) {
        running += 1;
        if (pthread_create(&workers[worker_count], NULL, work, (void *)(intptr_t)w) != 0) {
            running -= 1; // the system refuses more threads: work with those that started
            break;
        }
        worker_count += 1;
    }
    while (running > 0) pthread_cond_wait(&work_done, &state_lock);
    atomic_store(&thread_count, worker_count + 1);
    atomic_store(&looks_first, has_cores(worker_count + 1));
    pthread_mutex_unlock(&state_lock);
    pthread_mutex_unlock(&region_lock);
}

int64_t tutti_parallel_threads(void) { return atomic_load(&thread_count); }

// A non-escaping Swift closure arrives as (function, context) in Swift's own calling convention. Storing it on the C side
// for the length of the call costs nothing; in Swift it would have to be made escapable, one heap allocation a region.
#if defined(__has_attribute) && __has_attribute(swiftcall)
#define SWIFT_CALL __attribute__((swiftcall))
#define SWIFT_CONTEXT __attribute__((swift_context))
#else
#error "the compiler must know Swift's calling convention"
#endif

typedef SWIFT_CALL void (*swift_closure)(int64_t begin, int64_t end, int64_t worker, SWIFT_CONTEXT void *context);

typedef struct {
    swift_closure function;
    void *context;
} closure;

static void call_closure(void *argument, int64_t begin, int64_t end, int64_t worker) {
    const closure *run = argument;
    run->function(begin, end, worker, run->context);
}

SWIFT_CALL void tutti_parallel_for_closure(int64_t count, int64_t grain, swift_closure function, void *context);

SWIFT_CALL void tutti_parallel_for_closure(int64_t count, int64_t grain, swift_closure function, void *context) {
    closure run = {function, context};
    tutti_parallel_for(count, grain, call_closure, &run);
}
