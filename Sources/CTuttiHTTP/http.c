// HTTP and TLS of the system's libcurl, loaded at run time if it is installed; nothing is linked.
//
// The numbers of options are part of libcurl's binary interface, which has not changed them since version 7.
// Reference: curl/curl.h; https://curl.se/libcurl/c/ABI.html.
#define _GNU_SOURCE 1
#include "CTuttiHTTP.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct list list;
static struct {
    int (*global_init)(long flags);
    void *(*easy_init)(void);
    void (*easy_cleanup)(void *);
    void (*easy_reset)(void *);
    int (*setopt)(void *, int option, ...);
    int (*getinfo)(void *, int info, ...);
    int (*perform)(void *);
    const char *(*strerror)(int);
    list *(*append)(list *, const char *);
    void (*free_list)(list *);
} curl;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static int is_loaded = 0;

// Options: long from 0, pointer from 10000, function from 20000, 64 bits from 30000.
enum {
    LOW_SPEED_LIMIT = 19, LOW_SPEED_TIME = 20, NOPROGRESS = 43, NOBODY = 44, UPLOAD = 46, POST = 47, FOLLOWLOCATION = 52,
    SSL_VERIFYPEER = 64, FRESH_CONNECT = 74, SSL_VERIFYHOST = 81, HTTP_VERSION = 84, NOSIGNAL = 99, CONNECTTIMEOUT_MS = 156, PROTOCOLS = 181,
    TCP_KEEPALIVE = 213, PATH_AS_IS = 234,
    WRITEDATA = 10001, URL = 10002, PROXY = 10004, READDATA = 10009, ERRORBUFFER = 10010, POSTFIELDS = 10015,
    HTTPHEADER = 10023, SSLCERT = 10025, HEADERDATA = 10029, CUSTOMREQUEST = 10036, XFERINFODATA = 10057, CAINFO = 10065,
    SSLKEY = 10087, SEEKDATA = 10168,
    WRITEFUNCTION = 20011, READFUNCTION = 20012, HEADERFUNCTION = 20079, SEEKFUNCTION = 20167, XFERINFOFUNCTION = 20219,
    INFILESIZE_LARGE = 30115, POSTFIELDSIZE_LARGE = 30120,
    RESPONSE_CODE = 0x200002,
};

static void load(void) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    curl.global_init = (int (*)(long))dlsym(library, "curl_global_init");
    curl.easy_init = (void *(*)(void))dlsym(library, "curl_easy_init");
    curl.easy_cleanup = (void (*)(void *))dlsym(library, "curl_easy_cleanup");
    curl.easy_reset = (void (*)(void *))dlsym(library, "curl_easy_reset");
    curl.setopt = (int (*)(void *, int, ...))dlsym(library, "curl_easy_setopt");
    curl.getinfo = (int (*)(void *, int, ...))dlsym(library, "curl_easy_getinfo");
    curl.perform = (int (*)(void *))dlsym(library, "curl_easy_perform");
    curl.strerror = (const char *(*)(int))dlsym(library, "curl_easy_strerror");
    curl.append = (list * (*)(list *, const char *)) dlsym(library, "curl_slist_append");
    curl.free_list = (void (*)(list *))dlsym(library, "curl_slist_free_all");
    is_loaded = curl.global_init && curl.easy_init && curl.easy_cleanup && curl.easy_reset && curl.setopt && curl.getinfo &&
                curl.perform && curl.strerror && curl.append && curl.free_list && curl.global_init(3) == 0;
}

int tutti_http_available(void) {
    pthread_once(&load_once, load);
    return is_loaded;
}

void *tutti_http_open(void) { return tutti_http_available() ? curl.easy_init() : NULL; }

void tutti_http_close(void *connection) { curl.easy_cleanup(connection); }

// What the callbacks of one transfer share.
typedef struct {
    const tutti_http_request *request;
    const tutti_http_sink *sink;
    int64_t sent;
    int has_stopped;
} transfer;

static size_t on_header(char *line, size_t size, size_t count, void *context) {
    transfer *t = context;
    size_t length = size * count;
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) length--;
    t->sink->header(t->sink->context, line, length);
    return size * count;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    transfer *t = context;
    if (t->sink->body(t->sink->context, bytes, size * count)) return size * count;
    t->has_stopped = 1;
    return 0;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *context) {
    transfer *t = context;
    size_t length = size * count;
    int64_t left = t->request->size - t->sent;
    if (left <= 0) return 0;
    if ((int64_t)length > left) length = (size_t)left;
    if (t->request->bytes) {
        memcpy(bytes, (const char *)t->request->bytes + t->sent, length);
    } else {
        ssize_t read = pread(t->request->file, bytes, length, t->request->offset + t->sent);
        if (read <= 0) return 0x10000000;  // CURL_READFUNC_ABORT: the file is shorter than it was
        length = (size_t)read;
    }
    t->sent += (int64_t)length;
    return length;
}

static int on_seek(void *context, int64_t offset, int origin) {
    transfer *t = context;
    if (origin != SEEK_SET) return 2;  // CURL_SEEKFUNC_CANTSEEK
    t->sent = offset;
    return 0;
}

static int on_progress(void *context, int64_t total_down, int64_t down, int64_t total_up, int64_t up) {
    (void)total_down, (void)down, (void)total_up, (void)up;
    transfer *t = context;
    if (t->sink->goes_on(t->sink->context)) return 0;
    t->has_stopped = 1;
    return 1;
}

// Sets the body: bytes and files are read by `on_read`, so that a PUT of a large file needs no memory.
static void set_body(void *connection, const tutti_http_request *request, transfer *t) {
    if (request->size < 0) return;
    curl.setopt(connection, READFUNCTION, on_read);
    curl.setopt(connection, READDATA, t);
    curl.setopt(connection, SEEKFUNCTION, on_seek);
    curl.setopt(connection, SEEKDATA, t);
    if (strcmp(request->method, "POST") == 0) {
        curl.setopt(connection, POST, 1L);
        curl.setopt(connection, POSTFIELDSIZE_LARGE, request->size);
    } else {
        curl.setopt(connection, UPLOAD, 1L);
        curl.setopt(connection, INFILESIZE_LARGE, request->size);
    }
}

static int kind_of(int code) {
    switch (code) {
        case 0: return tutti_http_done;
        // Proxy, host or address not found; cut, late or empty answers; errors of TLS, sending, receiving, HTTP/2.
        case 5: case 6: case 7: case 16: case 18: case 28: case 35: case 52: case 55: case 56: case 92: case 97:
            return tutti_http_no_connection;
        default: return tutti_http_refused;
    }
}

int tutti_http_perform(void *connection, const tutti_http_request *request, const tutti_http_sink *sink, int *status, char *message) {
    transfer t = {request, sink, 0, 0};
    message[0] = 0;
    *status = 0;
    curl.easy_reset(connection);  // keeps the connection itself
    list *headers = curl.append(NULL, "Expect:");
    for (size_t i = 0; i < request->header_count; i++) headers = curl.append(headers, request->headers[i]);
    curl.setopt(connection, URL, request->url);
    curl.setopt(connection, PROTOCOLS, 3L);  // http, https
    curl.setopt(connection, PATH_AS_IS, 1L);
    curl.setopt(connection, HTTP_VERSION, 2L);  // 1.1
    curl.setopt(connection, FOLLOWLOCATION, 0L);
    curl.setopt(connection, HTTPHEADER, headers);
    curl.setopt(connection, NOSIGNAL, 1L);
    curl.setopt(connection, TCP_KEEPALIVE, 1L);
    curl.setopt(connection, ERRORBUFFER, message);
    curl.setopt(connection, CONNECTTIMEOUT_MS, (long)(request->connect_timeout * 1000));
    if (request->stall_timeout > 0) {
        curl.setopt(connection, LOW_SPEED_LIMIT, 1L);
        curl.setopt(connection, LOW_SPEED_TIME, (long)(request->stall_timeout + 0.999));
    }
    if (request->proxy) curl.setopt(connection, PROXY, request->proxy);
    if (request->authorities) curl.setopt(connection, CAINFO, request->authorities);
    if (request->certificate) curl.setopt(connection, SSLCERT, request->certificate);
    if (request->key) curl.setopt(connection, SSLKEY, request->key);
    if (request->trusts_everybody) {
        curl.setopt(connection, SSL_VERIFYPEER, 0L);
        curl.setopt(connection, SSL_VERIFYHOST, 0L);
    }
    // On a connection that was closed meanwhile libcurl sends again by itself, which a POST must not be.
    if (strcmp(request->method, "POST") == 0) curl.setopt(connection, FRESH_CONNECT, 1L);
    set_body(connection, request, &t);
    if (strcmp(request->method, "HEAD") == 0) curl.setopt(connection, NOBODY, 1L);
    else curl.setopt(connection, CUSTOMREQUEST, request->method);
    curl.setopt(connection, HEADERFUNCTION, on_header);
    curl.setopt(connection, HEADERDATA, &t);
    curl.setopt(connection, WRITEFUNCTION, on_body);
    curl.setopt(connection, WRITEDATA, &t);
    curl.setopt(connection, XFERINFOFUNCTION, on_progress);
    curl.setopt(connection, XFERINFODATA, &t);
    curl.setopt(connection, NOPROGRESS, 0L);

    int code = curl.perform(connection);
    long answer = 0;
    curl.getinfo(connection, RESPONSE_CODE, &answer);
    *status = (int)answer;
    if (code != 0 && message[0] == 0) snprintf(message, 256, "%s", curl.strerror(code));
    curl.easy_reset(connection);  // it must not keep pointers to what ends here
    curl.free_list(headers);
    return t.has_stopped ? tutti_http_stopped : kind_of(code);
}
