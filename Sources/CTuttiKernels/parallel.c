// Pools of threads for row-parallel loops: no allocation in a region, no queue, one region of a pool at a time.
//
// A region publishes (body, context, count, grain); the caller and the workers take pieces from one atomic counter until
// none are left. A caller that finds the pool busy, or is itself inside a body, runs its region serially: several
// in-process ranks may share a pool, and nesting cannot deadlock. Between regions workers spin for the next one for some
// microseconds, if there is a core per thread, before they sleep on a condition variable: waking up takes longer.
#define _GNU_SOURCE 1
#include "vectorise.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

enum {
    most_threads = 256,
    look_nanoseconds = 50000, // about the cost of sleeping and waking
    looks_between_clocks = 64,
};

/// The arguments of a new worker.
typedef struct {
    tutti_pool *pool;
    int64_t worker;
} seat;

struct tutti_pool {
    pthread_mutex_t region_lock; // held by the caller whose region runs
    pthread_mutex_t state_lock;  // guards the fields below
    pthread_cond_t work_ready, work_done;
    int64_t worker_count;
    bool stopping;
    bool looks_first;            // whether every thread has its own core
    _Atomic uint64_t generation; // counts regions
    _Atomic int64_t running;     // workers still inside the current region
    const tutti_compute *compute; // the caller's
    tutti_range_body body;
    void *body_context;
    int64_t piece_count, piece_size, element_count;
    _Atomic int64_t next_piece;
    pthread_t workers[most_threads];
    seat seats[most_threads];
};

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

static bool has_new_region(tutti_pool *pool, uint64_t seen) {
    return atomic_load_explicit(&pool->generation, memory_order_acquire) != seen;
}

static bool has_ended(tutti_pool *pool, uint64_t unused) {
    (void)unused;
    return atomic_load_explicit(&pool->running, memory_order_acquire) == 0;
}

/// Spins a while for a condition; the caller checks again under the lock.
static void look_for(tutti_pool *pool, bool (*condition)(tutti_pool *, uint64_t), uint64_t argument) {
    if (!pool->looks_first) return;
    int64_t end = nanoseconds() + look_nanoseconds;
    do {
        for (int i = 0; i < looks_between_clocks; i++) {
            if (condition(pool, argument)) return;
            pause_core();
        }
    } while (nanoseconds() < end);
}

/// Whether this process may run on at least that many cores.
static bool has_cores(int64_t threads) {
#ifdef __linux__
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores) >= threads;
#endif
    (void)threads;
    return false;
}

static void take_pieces(tutti_pool *pool, int64_t worker) {
    inside_body = true;
    for (;;) {
        int64_t piece = atomic_fetch_add_explicit(&pool->next_piece, 1, memory_order_relaxed);
        if (piece >= pool->piece_count) break;
        int64_t begin = piece * pool->piece_size;
        int64_t end = begin + pool->piece_size < pool->element_count ? begin + pool->piece_size : pool->element_count;
        pool->body(pool->body_context, begin, end, worker);
    }
    inside_body = false;
}

static void *work(void *argument) {
    const seat *own = argument;
    tutti_pool *pool = own->pool;
    pthread_mutex_lock(&pool->state_lock);
    uint64_t seen = pool->generation;
    pool->running -= 1; // started: see tutti_pool_create
    pthread_cond_signal(&pool->work_done);
    for (;;) {
        pthread_mutex_unlock(&pool->state_lock);
        look_for(pool, has_new_region, seen);
        pthread_mutex_lock(&pool->state_lock);
        while (pool->generation == seen && !pool->stopping) pthread_cond_wait(&pool->work_ready, &pool->state_lock);
        if (pool->stopping) break;
        seen = pool->generation;
        tutti_here = pool->compute;
        pthread_mutex_unlock(&pool->state_lock);
        take_pieces(pool, own->worker);
        pthread_mutex_lock(&pool->state_lock);
        if (--pool->running == 0) pthread_cond_signal(&pool->work_done);
    }
    pthread_mutex_unlock(&pool->state_lock);
    return NULL;
}

void tutti_parallel_for(int64_t count, int64_t grain, tutti_range_body run, void *context) {
    if (count <= 0) return;
    tutti_pool *pool = tutti_here->pool;
    if (!pool || inside_body || count <= grain || pthread_mutex_trylock(&pool->region_lock) != 0) {
        run(context, 0, count, 0);
        return;
    }
    pthread_mutex_lock(&pool->state_lock);
    pool->compute = tutti_here;
    pool->body = run;
    pool->body_context = context;
    pool->element_count = count;
    // At most eight pieces per thread: enough to balance uneven rows without contention on the counter.
    int64_t threads = pool->worker_count + 1;
    int64_t size = (count + 8 * threads - 1) / (8 * threads);
    pool->piece_size = size > grain ? size : grain;
    pool->piece_count = (count + pool->piece_size - 1) / pool->piece_size;
    atomic_store(&pool->next_piece, 0);
    pool->running = pool->worker_count;
    pool->generation += 1;
    pthread_cond_broadcast(&pool->work_ready);
    pthread_mutex_unlock(&pool->state_lock);
    take_pieces(pool, 0);
    look_for(pool, has_ended, 0);
    pthread_mutex_lock(&pool->state_lock);
    while (pool->running > 0) pthread_cond_wait(&pool->work_done, &pool->state_lock);
    pthread_mutex_unlock(&pool->state_lock);
    pthread_mutex_unlock(&pool->region_lock);
}

tutti_pool *tutti_pool_create(int64_t threads) {
    if (threads < 2) return NULL;
    if (threads > most_threads) threads = most_threads;
    tutti_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pthread_mutex_init(&pool->region_lock, NULL);
    pthread_mutex_init(&pool->state_lock, NULL);
    pthread_cond_init(&pool->work_ready, NULL);
    pthread_cond_init(&pool->work_done, NULL);
    pool->looks_first = has_cores(threads);
    pthread_mutex_lock(&pool->state_lock);
    for (int64_t w = 1; w < threads; w++) {
        pool->running += 1;
        pool->seats[pool->worker_count] = (seat){pool, w};
        if (pthread_create(&pool->workers[pool->worker_count], NULL, work, &pool->seats[pool->worker_count]) != 0) {
            pool->running -= 1; // the system refuses more threads: use those that started
            break;
        }
        pool->worker_count += 1;
    }
    while (pool->running > 0) pthread_cond_wait(&pool->work_done, &pool->state_lock);
    pthread_mutex_unlock(&pool->state_lock);
    return pool;
}

void tutti_pool_destroy(tutti_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->region_lock);
    pthread_mutex_lock(&pool->state_lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work_ready);
    pthread_mutex_unlock(&pool->state_lock);
    for (int64_t w = 0; w < pool->worker_count; w++) pthread_join(pool->workers[w], NULL);
    pthread_mutex_unlock(&pool->region_lock);
    pthread_cond_destroy(&pool->work_done);
    pthread_cond_destroy(&pool->work_ready);
    pthread_mutex_destroy(&pool->state_lock);
    pthread_mutex_destroy(&pool->region_lock);
    free(pool);
}

int64_t tutti_parallel_threads(void) { return tutti_here->pool ? tutti_here->pool->worker_count + 1 : 1; }

// A non-escaping Swift closure arrives as (function, context) in Swift's own calling convention. Storing it on the C side
// for the duration of the call is free; in Swift it would have to escape, one heap allocation per region.
#if defined(__has_attribute) && __has_attribute(swiftcall)
#define SWIFT_CALL __attribute__((swiftcall))
#define SWIFT_CONTEXT __attribute__((swift_context))
#else
#error "the compiler must support Swift's calling convention"
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
