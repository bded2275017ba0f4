// HTTP and TLS of the system's libcurl, loaded at run time if it is installed; nothing is linked.
#ifndef CTUTTI_HTTP_H
#define CTUTTI_HTTP_H

#include <stddef.h>
#include <stdint.h>

/// What a transfer ends with.
enum {
    tutti_http_done = 0,
    /// Nobody answered, or the connection broke: another try may succeed.
    tutti_http_no_connection = 1,
    /// What another try cannot mend: a wrong address, an untrusted certificate.
    tutti_http_refused = 2,
    /// `body` wanted no more.
    tutti_http_stopped = 3,
};

/// A request. Text is UTF-8 that ends with zero; times are in seconds, 0 for no limit.
typedef struct {
    const char *_Nullable method;
    const char *_Nullable url;
    /// "Name: value".
    const char *_Nullable const *_Nullable headers;
    size_t header_count;
    /// The body's bytes; null with a size takes them from `file`, from `offset` on; a size below 0 sends none.
    const void *_Nullable bytes;
    int64_t size;
    int file;
    int64_t offset;
    double connect_timeout;
    /// Without a byte in either direction.
    double stall_timeout;
    /// Null: that of libcurl, which reads http_proxy, https_proxy, all_proxy and no_proxy of the environment.
    const char *_Nullable proxy;
    const char *_Nullable authorities, *_Nullable certificate, *_Nullable key;
    int trusts_everybody;
} tutti_http_request;

/// Where the answer goes.
typedef struct {
    void *_Nullable context;
    /// Gets each header line, without its end; the first of an answer is "HTTP/1.1 200 OK".
    void (*_Nullable header)(void *_Nullable context, const char *_Nonnull line, size_t count);
    /// Gets bytes of the body; 0 stops the transfer.
    int (*_Nullable body)(void *_Nullable context, const void *_Nonnull bytes, size_t count);
    /// Called now and then while waiting; 0 stops the transfer.
    int (*_Nullable goes_on)(void *_Nullable context);
} tutti_http_sink;

/// Whether the library is installed.
int tutti_http_available(void);

/// A connection that is kept between requests, for one thread at a time; null if there is no library or no memory.
void *_Nullable tutti_http_open(void);
void tutti_http_close(void *_Nonnull connection);

/// Sends a request and passes on the answer; redirects are not followed.
/// `message` gets what went wrong, 256 bytes with the final zero.
int tutti_http_perform(void *_Nonnull connection, const tutti_http_request *_Nonnull request, const tutti_http_sink *_Nonnull sink,
                       int *_Nonnull status, char *_Nonnull message);

#endif
