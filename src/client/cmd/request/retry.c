
/*
 * --retry, see retry.h.  What is transient, and the delays, are as in curl.
 */


#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "../../lib/clock.h"
#include "../base/exitcode.h"
#include "retry.h"


#define CMD_RETRY_DELAY     1000        /* milliseconds, doubled each time */
#define CMD_RETRY_MAX       600000


static int cmd_retry_transient(const cmd_transfer_t *transfer, int code,
    int64_t *after);
static int cmd_retry_endpoint(const cmd_transfer_t *transfer, int64_t *after);
static int cmd_retry_status(int status);
static int64_t cmd_retry_after(const cmd_transfer_t *transfer);
static void cmd_retry_wait(int64_t delay);


void
cmd_retry_init(cmd_retry_t *retry, const cmd_options_t *options)
{
    retry->left = options->retry == CMD_RETRY_UNSET ? 0 : options->retry;
    retry->began = atls_clock();
    retry->delay = options->retry_delay ? options->retry_delay
                                        : CMD_RETRY_DELAY;
}


int
cmd_retry(cmd_retry_t *retry, const cmd_transfer_t *transfer, int code)
{
    int64_t               after, delay, used;
    const cmd_options_t  *options = transfer->options;

    if (retry->left == 0 || transfer->output.failed) {
        return 0;
    }

    after = 0;

    if (!cmd_retry_transient(transfer, code, &after)
        && (code == CMD_OK || !options->retry_all_errors))
    {
        return 0;
    }

    delay = after > retry->delay ? after : retry->delay;
    used = atls_clock() - retry->began;

    if (options->retry_max_time && used + delay > options->retry_max_time) {
        return 0;
    }

    retry->left--;

    cmd_warn("retrying in %.3g s, %u left", (double) delay / 1000,
             retry->left);
    cmd_retry_wait(delay);

    if (!options->retry_delay) {
        retry->delay = retry->delay * 2 < CMD_RETRY_MAX ? retry->delay * 2
                                                        : CMD_RETRY_MAX;
    }

    return 1;
}


static int
cmd_retry_transient(const cmd_transfer_t *transfer, int code, int64_t *after)
{
    switch (code) {

    case CMD_TIMEOUT:
    case CMD_RESOLVE:
    case CMD_RESOLVE_PROXY:
        return 1;

    case CMD_CONNECT:
        return transfer->options->retry_connrefused;

    case CMD_REPLY:
        return cmd_retry_endpoint(transfer, after);

    case CMD_OK:
    case CMD_STATUS:
        *after = cmd_retry_after(transfer);
        return cmd_retry_status(transfer->status);

    default:
        return 0;
    }
}


/* An error status of the endpoint, or of a middlebox. */

static int
cmd_retry_endpoint(const cmd_transfer_t *transfer, int64_t *after)
{
    atls_outer_info_t  info;

    if (transfer->client == NULL
        || atls_get_outer(transfer->client, &info) != ATLS_OK)
    {
        return 0;
    }

    *after = (int64_t) info.retry_after * 1000;

    return cmd_retry_status(info.status);
}


static int
cmd_retry_status(int status)
{
    switch (status) {

    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return 1;

    default:
        return 0;
    }
}


/* Retry-After, in milliseconds: seconds or a date. */

static int64_t
cmd_retry_after(const cmd_transfer_t *transfer)
{
    char         *end;
    time_t        date;
    long long     seconds;
    const char   *value;

    value = cmd_headers_get(&transfer->headers, "Retry-After");

    if (value == NULL) {
        return 0;
    }

    seconds = strtoll(value, &end, 10);

    if (end == value || *end) {
        date = curl_getdate(value, NULL);
        seconds = date == -1 ? 0 : (long long) (date - time(NULL));
    }

    return seconds < 0 ? 0
           : seconds > INT32_MAX ? (int64_t) INT32_MAX * 1000
           : (int64_t) seconds * 1000;
}


static void
cmd_retry_wait(int64_t delay)
{
    struct timespec  rest;

    rest.tv_sec = delay / 1000;
    rest.tv_nsec = (long) (delay % 1000) * 1000000;

    while (nanosleep(&rest, &rest) == -1) {
        /* void */
    }
}
