
/*
 * A URL of the command line: its request, or requests if there are redirects,
 * and the response.  The same for ATLS and for plain HTTPS.
 */


#ifndef ATLS_CMD_TRANSFER_H_INCLUDED
#define ATLS_CMD_TRANSFER_H_INCLUDED


#include "../base/headers.h"
#include "../options/options.h"
#include "../options/url.h"
#include "decode.h"
#include "jar.h"
#include "output.h"
#include "progress.h"
#include "request.h"
#include "upload.h"


typedef struct {
    const cmd_options_t  *options;
    size_t                n;            /* number of the URL, from 0 */
    char                 *requested;    /* the URL, with -G or -T */
    cmd_url_t             url;          /* of the current request */
    cmd_request_t         request;
    const char           *file;         /* of -T; NULL: none */
    cmd_upload_t          upload;
    cmd_upload_e          body;         /* of the current request */
    cmd_output_t          output;
    cmd_output_t          dump;         /* of -D */
    cmd_progress_t        progress;

    cmd_jar_t            *jar;

    int64_t               began;        /* times are by atls_clock_us() */
    int64_t               ended;
    int64_t               deadline;     /* by atls_clock(); 0: none */
    int64_t               offset;       /* -C: bytes that are not requested */
    unsigned              redirects;

    int                   code;         /* exit code if a callback aborted the
                                           transfer, after its message */
    atls_client_t        *client;       /* NULL: plain HTTPS was used */
    int                   exported;     /* --export is done */

    /* sums of all requests */

    int64_t               connects;
    int64_t               request_size;
    int64_t               header_size;  /* of responses */

    /* the current request and its response */

    int64_t               request_began;
    int64_t               response_began;
    atls_transfer_info_t  info;

    int                   status;       /* 0: not received yet */
    cmd_headers_t         headers;
    unsigned              in_header:1;
    unsigned              print:1;      /* print the header */
    unsigned              skip:1;       /* do not print the body */
    cmd_decode_t          decode;
    int64_t               received;     /* bytes of the body */
    int64_t               total;        /* -1: unknown */
} cmd_transfer_t;


/*
 * Return an exit code; the transfer must be freed in any case.  The code passed
 * to cmd_transfer_end() is the result of the requests; if it is an error, its
 * message was already printed.
 */

int cmd_transfer_begin(cmd_transfer_t *transfer, const cmd_options_t *options,
    cmd_jar_t *jar, size_t n);
int cmd_transfer_end(cmd_transfer_t *transfer, int code);

void cmd_transfer_free(cmd_transfer_t *transfer);

/* Whether the body, if any, can be read again. */

int cmd_transfer_repeatable(const cmd_transfer_t *transfer);

/* Begins again, for a retry.  Returns an exit code. */

int cmd_transfer_restart(cmd_transfer_t *transfer);

/* Creates the request for the current URL.  Returns an exit code. */

int cmd_transfer_request(cmd_transfer_t *transfer);

/* Adds transfer->info to the sums, after the request. */

void cmd_transfer_count(cmd_transfer_t *transfer);

/* Callbacks for the request, as in atls.h. */

long cmd_transfer_read(void *data, void *buf, size_t size);
int cmd_transfer_rewind(void *data);
int cmd_transfer_wait(void *data);


#endif /* ATLS_CMD_TRANSFER_H_INCLUDED */
