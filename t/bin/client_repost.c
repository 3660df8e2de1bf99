
/*
 * Sends POSTs by the outer connection of libatls, and counts those of libcurl.
 * Commands on stdin; only the last one has an answer:
 *
 *     open URL [MS [libcurl]]     a limit for the time without data, 0: none;
 *                                 libcurl: it sends all POSTs
 *     post SIZE [MS | stop]       a time limit; stop: aborted by the callback
 *     shift SECONDS               of the clocks
 *     result                      of the last POST
 */


#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "outer.h"


#define SIZE  65536


typedef struct {
    atls_failure_t   failure;
    atls_outer_t    *outer;
    atls_error_e     error;
    int              stop;
    unsigned         transfers;             /* of libcurl */
    long             shift;
    size_t           n;
    char             body[SIZE];
} program_t;


static program_t  program;


CURLcode
curl_easy_perform(CURL *curl)
{
    CURLcode  (*real)(CURL *curl);

    program.transfers++;

    *(void **) &real = dlsym(RTLD_NEXT, "curl_easy_perform");

    return real(curl);
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    long  rc;

    rc = syscall(SYS_clock_gettime, id, ts);
    ts->tv_sec += program.shift;

    return (int) rc;
}


static void
fail(const char *what)
{
    fprintf(stderr, "client_repost: %s\n", what);
    exit(1);
}


static int
on_wait(void *data)
{
    (void) data;

    return program.stop;
}


static atls_error_e
sink(void *data, const unsigned char *bytes, size_t n)
{
    (void) data;

    if (n > sizeof(program.body) - program.n) {
        fail("body too large");
    }

    memcpy(program.body + program.n, bytes, n);
    program.n += n;

    return ATLS_OK;
}


static void
on_debug(void *data, atls_debug_e type, const char *text)
{
    (void) data;
    (void) type;
    (void) text;
}


static void
start(const char *url, const char *idle, const char *way)
{
    atls_outer_conf_t  conf;

    memset(&conf, 0, sizeof(atls_outer_conf_t));
    conf.url = url;
    conf.idle_timeout = atoi(idle);
    conf.debug.handler = *way ? on_debug : NULL;

    atls_outer_free(program.outer);
    program.outer = atls_outer_create(&conf, &program.failure);

    if (program.outer == NULL) {
        fail(program.failure.text);
    }

    atls_outer_set_wait(program.outer, on_wait, NULL);
}


static void
post(size_t n, const char *limit)
{
    static char  bytes[SIZE];

    if (n > sizeof(bytes)) {
        fail("POST too large");
    }

    memset(bytes, 'p', n);

    program.n = 0;
    program.transfers = 0;
    program.stop = strcmp(limit, "stop") == 0;

    atls_outer_set_deadline(program.outer,
                            atoi(limit) ? atls_clock() + atoi(limit) : 0);
    atls_failure_clear(&program.failure);

    program.error = atls_outer_post(program.outer, bytes, n, sink, NULL);
}


static void
print(const char *name, const char *bytes, size_t n)
{
    size_t  i;

    printf("\t%s=", name);

    for (i = 0; i < n; i++) {
        printf(bytes[i] < ' ' || bytes[i] == '%' ? "%%%02x" : "%c",
               (unsigned char) bytes[i]);
    }
}


static void
result(void)
{
    atls_outer_info_t  info;

    atls_outer_info(program.outer, &info);

    printf("error=%d\tstatus=%d\tcurl=%u\treused=%d\tkept=%d\texpired=%d"
           "\tsent=%d\tretry=%ld\thttp=%s", program.error,
           info.status, program.transfers, atls_outer_is_reused(program.outer),
           atls_outer_connection(program.outer),
           atls_outer_expired(program.outer), atls_outer_sent(program.outer),
           info.retry_after, info.http);
    print("body", program.body, program.n);
    print("text", program.failure.text, strlen(program.failure.text));
    putchar('\n');
    fflush(stdout);
}


int
main(void)
{
    int     fields;
    char    line[1024], limit[16], url[1024], way[16];
    size_t  n;

    while (fgets(line, sizeof(line), stdin)) {

        *limit = '\0';
        *way = '\0';

        if (sscanf(line, "open %1023s %15s %15s", url, limit, way) > 0) {
            start(url, limit, way);
            continue;
        }

        if (sscanf(line, "shift %ld", &program.shift) > 0) {
            continue;
        }

        fields = sscanf(line, "post %zu %15s", &n, limit);

        if (fields > 0) {
            post(n, limit);

        } else {
            result();
        }
    }

    atls_outer_free(program.outer);

    return 0;
}
