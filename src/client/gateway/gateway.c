
/*
 * atls gateway, see gateway.h: one loop for libcoap, libcurl, and the metrics.
 */


#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "../cmd/base/exitcode.h"
#include "../cmd/base/file.h"
#include "../cmd/local/stop.h"
#include "../lib/clock.h"
#include "context.h"
#include "gateway.h"
#include "metrics.h"
#include "psk.h"
#include "respond.h"
#include "server.h"


#define GW_ACK_DELAY        1500        /* milliseconds; the response may come
                                           with the acknowledgement.  Less than
                                           ACK_TIMEOUT, 2 s */
#define GW_TICK             1000        /* milliseconds */
#define GW_STOP_TIMEOUT     10000       /* milliseconds: for blocks of responses
                                           that sources have not read */


static int gw_gateway_open(gw_t *gateway, gw_psk_t *psk,
    gw_metrics_t *metrics);
static void gw_gateway_limits(gw_t *gateway);
static void gw_gateway_run(gw_t *gateway, gw_metrics_t *metrics);
static int gw_gateway_wait(gw_t *gateway, const gw_metrics_t *metrics);
static void gw_gateway_acknowledge(gw_t *gateway, int64_t now);


int
gw_gateway(const cmd_options_t *options)
{
    int           code;
    gw_psk_t      psk;
    gw_metrics_t  metrics;

    static gw_t  gateway;               /* has a large table */

    memset(&psk, 0, sizeof(gw_psk_t));
    memset(&metrics, 0, sizeof(gw_metrics_t));

    gateway.options = options;

    code = gw_gateway_open(&gateway, &psk, &metrics);

    if (code == CMD_OK) {
        gw_gateway_run(&gateway, &metrics);
    }

    gw_metrics_close(&metrics);
    gw_poster_free(&gateway.poster);
    gw_server_close(&gateway);
    gw_services_free(&gateway.services);
    gw_psk_free(&psk);

    return code;
}


static int
gw_gateway_open(gw_t *gateway, gw_psk_t *psk, gw_metrics_t *metrics)
{
    int                   code;
    const cmd_options_t  *options = gateway->options;

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmd_file_raise_limit();

    gw_gateway_limits(gateway);
    gw_sources_init(&gateway->sources, &gateway->limits);
    TAILQ_INIT(&gateway->waiting);

    gateway->format = options->coap.format;
    gateway->szx = cmd_block_szx(options->coap.block_size);
    gateway->rate.rate = options->source_rate;

    code = gw_poster_init(&gateway->poster, options);

    if (code == CMD_OK
        && (gw_echo_init(&gateway->echo) == -1
            || RAND_bytes((unsigned char *) &gateway->rate.key,
                          sizeof(gateway->rate.key))
               != 1))
    {
        code = cmd_fail(CMD_MEMORY, "no random numbers");
    }

    if (code == CMD_OK) {
        code = gw_services_parse(&gateway->services, &options->to);
    }

    if (code == CMD_OK && options->psk_file) {
        code = gw_psk_read(psk, options->psk_file);
    }

    if (code == CMD_OK) {
        code = cmd_stop_init();
    }

    if (code == CMD_OK) {
        code = gw_server_open(gateway, psk);
    }

    return code == CMD_OK ? gw_metrics_open(metrics, options) : code;
}


static void
gw_gateway_limits(gw_t *gateway)
{
    gw_limits_t          *limits = &gateway->limits;
    const cmd_options_t  *options = gateway->options;

    limits->max_memory = (size_t) options->max_memory;
    limits->max_body = (size_t) options->max_body;
    limits->max_posts = options->max_requests;
    limits->max_sources = options->max_sources;
}


static void
gw_gateway_run(gw_t *gateway, gw_metrics_t *metrics)
{
    int64_t  now, ticked, stopped;

    ticked = stopped = 0;

    for ( ;; ) {
        now = atls_clock();

        gw_poster_run(&gateway->poster);
        gw_gateway_acknowledge(gateway, now);
        gw_metrics_run(metrics, gateway);
        coap_io_process(gateway->coap, COAP_IO_NO_WAIT);

        if (now - ticked >= GW_TICK) {
            ticked = now;
            gw_sources_expire(&gateway->sources, now);
        }

        if (!gateway->stopping && cmd_stopping()) {
            gateway->stopping = 1;
            stopped = now;
        }

        if (gateway->stopping && gateway->limits.posts == 0
            && (now - stopped >= GW_STOP_TIMEOUT
                || (coap_can_exit(gateway->coap)
                    && !gw_sources_unread(&gateway->sources))))
        {
            return;
        }

        (void) gw_gateway_wait(gateway, metrics);
    }
}


/* libcoap's descriptor is also readable when its timers expire. */

static int
gw_gateway_wait(gw_t *gateway, const gw_metrics_t *metrics)
{
    int                   timeout;
    int64_t               left;
    unsigned              n;
    gw_request_t         *request;
    struct curl_waitfd    fds[2 + GW_METRICS_FDS];

    memset(fds, 0, sizeof(fds));

    fds[0].fd = coap_context_get_coap_fd(gateway->coap);
    fds[0].events = CURL_WAIT_POLLIN;
    n = 1;

    if (!gateway->stopping) {
        fds[n].fd = cmd_stop_fd();
        fds[n++].events = CURL_WAIT_POLLIN;
    }

    n += gw_metrics_fds(metrics, fds + n);

    timeout = GW_TICK;
    request = TAILQ_FIRST(&gateway->waiting);

    if (request) {
        left = request->began + GW_ACK_DELAY - atls_clock();
        timeout = left <= 0 ? 0 : left < timeout ? (int) left : timeout;
    }

    return curl_multi_poll(gateway->poster.multi, fds, n, timeout, NULL)
           == CURLM_OK ? 0 : -1;
}


/* Acknowledges requests whose responses take longer. */

static void
gw_gateway_acknowledge(gw_t *gateway, int64_t now)
{
    gw_request_t  *request;

    while ((request = TAILQ_FIRST(&gateway->waiting))
           && now - request->began >= GW_ACK_DELAY)
    {
        TAILQ_REMOVE(&gateway->waiting, request, entry);
        request->waiting = 0;
        gw_respond_later(request);
    }
}
