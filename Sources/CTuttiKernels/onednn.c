// oneDNN's single-precision product, loaded at run time if the library is installed; nothing is linked.
//
// The library's threads are OpenMP's, whose number is a property of the calling thread, so each thread that finds it
// changed sets it again. Reference: dnnl_sgemm in oneDNN's dnnl.h, the same in versions 2 and 3.
#define _GNU_SOURCE 1
#include "vectorise.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

typedef int (*sgemm_function)(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                              const float *a, int64_t a_stride, const float *b, int64_t b_stride, float beta, float *c,
                              int64_t c_stride);
typedef void (*set_threads_function)(int threads);
typedef struct {
    int major, minor, patch; // and more that is not read
} version_numbers;
typedef const version_numbers *(*version_function)(void);

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static sgemm_function sgemm = NULL;
static set_threads_function set_threads = NULL;
static version_function version = NULL;
static _Thread_local int threads_of_caller = 0;

static void load(void) {
    void *library = dlopen("libdnnl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    sgemm = (sgemm_function)dlsym(library, "dnnl_sgemm");
    version = (version_function)dlsym(library, "dnnl_version");
    set_threads = (set_threads_function)dlsym(library, "omp_set_num_threads"); // null: built without OpenMP
}

int tutti_onednn_available(void) {
    pthread_once(&load_once, load);
    return sgemm != NULL;
}

int tutti_onednn_version(int *major, int *minor, int *patch) {
    const version_numbers *numbers = tutti_onednn_available() && version ? version() : NULL;
    if (!numbers) return -1;
    *major = numbers->major, *minor = numbers->minor, *patch = numbers->patch;
    return 0;
}

int tutti_onednn_multiply(const tutti_product *p) {
    if (!tutti_onednn_available()) return -1;
    int threads = tutti_here->library_threads;
    if (set_threads && threads != threads_of_caller) {
        set_threads(threads);
        threads_of_caller = threads;
    }
    return sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, p->alpha, p->a.at, p->a.stride,
                 p->b.at, p->b.stride, p->beta, p->c.at, p->c.stride);
}
