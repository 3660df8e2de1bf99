
/*
 * The default command, see fetch.h.
 */


#include <string.h>

#include "../base/exitcode.h"
#include "../options/options.h"
#include "fallback.h"
#include "fetch.h"
#include "inner.h"
#include "receive.h"
#include "redirect.h"
#include "retry.h"


typedef struct {
    cmd_options_t    options;
    cmd_jar_t        jar;
    cmd_inner_t      inner;
    cmd_fallback_t   fallback;
} cmd_fetch_t;


static int cmd_fetch_all(cmd_fetch_t *fetch);
static int cmd_fetch_one(cmd_fetch_t *fetch, size_t n);
static int cmd_fetch_retry(cmd_fetch_t *fetch, cmd_transfer_t *transfer);
static int cmd_fetch_follow(cmd_fetch_t *fetch, cmd_transfer_t *transfer);
static int cmd_fetch_perform(cmd_fetch_t *fetch, cmd_transfer_t *transfer);


int
cmd_fetch(int argc, char **argv)
{
    int          code;
    cmd_fetch_t  fetch;

    memset(&fetch, 0, sizeof(cmd_fetch_t));

    code = cmd_options_parse(&fetch.options, CMD_FETCH, argc, argv);

    if (code == CMD_OK && !fetch.options.done) {
        cmd_jar_open(&fetch.jar, &fetch.options);
        code = cmd_inner_init(&fetch.inner, &fetch.options);

        if (code == CMD_OK) {
            code = cmd_fallback_init(&fetch.fallback, &fetch.options);
        }

        if (code == CMD_OK) {
            code = cmd_fetch_all(&fetch);
        }
    }

    cmd_inner_done(&fetch.inner);
    cmd_fallback_done(&fetch.fallback);
    cmd_jar_close(&fetch.jar);
    cmd_options_free(&fetch.options);

    return code;
}


/* Returns the exit code of the first request that fails. */

static int
cmd_fetch_all(cmd_fetch_t *fetch)
{
    int     code, first;
    size_t  i;

    first = CMD_OK;

    for (i = 0; i < fetch->options.urls.n; i++) {
        code = cmd_fetch_one(fetch, i);

        if (first == CMD_OK) {
            first = code;
        }

        if (code == CMD_WRITE) {
            break;
        }
    }

    return first;
}


static int
cmd_fetch_one(cmd_fetch_t *fetch, size_t n)
{
    int             code;
    cmd_transfer_t  transfer;

    code = cmd_transfer_begin(&transfer, &fetch->options, &fetch->jar, n);

    if (code == CMD_OK) {
        code = cmd_fetch_retry(fetch, &transfer);
        code = cmd_transfer_end(&transfer, code);
    }

    cmd_transfer_free(&transfer);

    return code;
}


static int
cmd_fetch_retry(cmd_fetch_t *fetch, cmd_transfer_t *transfer)
{
    int          code;
    cmd_retry_t  retry;

    cmd_retry_init(&retry, &fetch->options);

    code = cmd_fetch_follow(fetch, transfer);

    while (cmd_transfer_repeatable(transfer)
           && cmd_retry(&retry, transfer, code))
    {
        code = cmd_transfer_restart(transfer);

        if (code == CMD_OK) {
            code = cmd_fetch_follow(fetch, transfer);
        }
    }

    return code;
}


/* Sends the request; follows redirects. */

static int
cmd_fetch_follow(cmd_fetch_t *fetch, cmd_transfer_t *transfer)
{
    int  code;

    do {
        cmd_receive_begin(transfer);

        code = cmd_transfer_request(transfer);

        if (code == CMD_OK) {
            code = cmd_fetch_perform(fetch, transfer);
            code = cmd_receive_end(transfer, code);
        }

        if (code != CMD_OK || !cmd_receive_redirect(transfer)) {
            return code;
        }

        code = cmd_redirect(transfer);

    } while (code == CMD_OK);

    return code;
}


static int
cmd_fetch_perform(cmd_fetch_t *fetch, cmd_transfer_t *transfer)
{
    int  code;

    code = fetch->options.fallback || fetch->options.direct
           ? cmd_fallback_perform(&fetch->fallback, transfer)
           : CMD_FALLBACK_UNTRUSTED;

    return code == CMD_FALLBACK_UNTRUSTED
           ? cmd_inner_perform(&fetch->inner, transfer) : code;
}
