
/*
 * Sends POSTs by the outer connection of libatls, and counts those of libcurl.
 * Commands on stdin; only the last one has an answer:
 *
 *     open URL [MS]               a limit for the time without data
 *     post SIZE [MS | stop]       a time limit; stop: aborted by the callback
 *     result                      of the last POST
 */


#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "outer.h"


#define SIZE  65536


typedef struct {
    atls_failure_t   failure;
    atls_outer_t    *outer;
    atls_error_e     error;
    int              stop;
    unsigned         transfers;             /* of libcurl */
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
start(const char *url, const char *idle)
{
    atls_outer_conf_t  conf;

    memset(&conf, 0, sizeof(atls_outer_conf_t));
    conf.url = url;
    conf.idle_timeout = atoi(idle);

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
result(void)
{
    atls_outer_info_t  info;

    atls_outer_info(program.outer, &info);

    printf("error=%d\tstatus=%d\tcurl=%u\treused=%d\tkept=%d\texpired=%d"
           "\tsent=%d\tretry=%ld\thttp=%s\tbody=%.*s\ttext=%s\n", program.error,
           info.status, program.transfers, atls_outer_is_reused(program.outer),
           atls_outer_connection(program.outer),
           atls_outer_expired(program.outer), atls_outer_sent(program.outer),
           info.retry_after, info.http,
           (int) program.n, program.body, program.failure.text);
    fflush(stdout);
}


int
main(void)
{
    int     fields;
    char    line[1024], limit[16], url[1024];
    size_t  n;

    while (fgets(line, sizeof(line), stdin)) {

        *limit = '\0';

        if (sscanf(line, "open %1023s %15s", url, limit) > 0) {
            start(url, limit);
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
