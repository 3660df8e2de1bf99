
/*
 * The metrics, see metrics.h.
 */


#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "metrics.h"


#define GW_METRICS_TIMEOUT  5000        /* milliseconds */


typedef struct {
    const char          *name;
    const char          *help;
} gw_metric_t;


static void gw_metrics_accept(gw_metrics_t *metrics, int fd);
static void gw_metrics_client(gw_metrics_client_t *client,
    const gw_t *gateway);
static void gw_metrics_read(gw_metrics_client_t *client, const gw_t *gateway);
static void gw_metrics_drop(gw_metrics_client_t *client);
static void gw_metrics_response(atls_buf_t *out, const gw_t *gateway,
    int found);
static void gw_metrics_text(atls_buf_t *out, const gw_t *gateway);


static const gw_metric_t  gw_metrics_counters[GW_COUNTERS] = {
    { "requests",       "CoAP requests that were received" },
    { "duplicates",     "of these, those received before" },
    { "challenges",     "responses with an Echo option" },
    { "verified",       "sources verified by an Echo option" },
    { "limited",        "requests without a response: the rate of its source" },
    { "refused",        "requests that were not forwarded" },
    { "shared",         "of these, those for which others leave less room" },
    { "forwarded",      "POSTs to services" },
    { "unanswered",     "POSTs to services without a response" },
    { "sessions",       "ATLS sessions that were begun" },
    { "dtls_errors",    "handshakes and records of DTLS that failed" },
    { "received_bytes", "bodies of forwarded requests" },
    { "sent_bytes",     "payloads of responses" },
};


int
gw_metrics_open(gw_metrics_t *metrics, const cmd_options_t *options)
{
    size_t  i;

    for (i = 0; i < GW_METRICS_CLIENTS; i++) {
        metrics->clients[i].fd = -1;
    }

    return options->metrics ? cmd_listen_open(&metrics->listen,
                                              options->metrics,
                                              options->silent)
                            : 0;
}


void
gw_metrics_close(gw_metrics_t *metrics)
{
    size_t  i;

    for (i = 0; i < GW_METRICS_CLIENTS; i++) {
        gw_metrics_drop(&metrics->clients[i]);
    }

    cmd_listen_close(&metrics->listen);
}


unsigned
gw_metrics_fds(const gw_metrics_t *metrics, struct curl_waitfd *fds)
{
    size_t                      i;
    unsigned                    n;
    const gw_metrics_client_t  *client;

    n = 0;

    for (i = 0; i < metrics->listen.n; i++) {
        fds[n].fd = metrics->listen.fds[i];
        fds[n++].events = CURL_WAIT_POLLIN;
    }

    for (i = 0; i < GW_METRICS_CLIENTS; i++) {
        client = &metrics->clients[i];

        if (client->fd != -1) {
            fds[n].fd = client->fd;
            fds[n++].events = client->out.len ? CURL_WAIT_POLLOUT
                                              : CURL_WAIT_POLLIN;
        }
    }

    return n;
}


void
gw_metrics_run(gw_metrics_t *metrics, const gw_t *gateway)
{
    int     fd;
    size_t  i;

    for (i = 0; i < metrics->listen.n; i++) {
        fd = accept4(metrics->listen.fds[i], NULL, NULL,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd != -1) {
            gw_metrics_accept(metrics, fd);
        }
    }

    for (i = 0; i < GW_METRICS_CLIENTS; i++) {
        if (metrics->clients[i].fd != -1) {
            gw_metrics_client(&metrics->clients[i], gateway);
        }
    }
}


static void
gw_metrics_accept(gw_metrics_t *metrics, int fd)
{
    size_t                i;
    gw_metrics_client_t  *client;

    for (i = 0; i < GW_METRICS_CLIENTS; i++) {
        client = &metrics->clients[i];

        if (client->fd == -1) {
            client->fd = fd;
            client->received = 0;
            client->sent = 0;
            client->deadline = atls_clock() + GW_METRICS_TIMEOUT;
            return;
        }
    }

    close(fd);
}


static void
gw_metrics_client(gw_metrics_client_t *client, const gw_t *gateway)
{
    ssize_t  n;

    if (atls_clock() > client->deadline) {
        gw_metrics_drop(client);
        return;
    }

    if (client->out.len == 0) {
        gw_metrics_read(client, gateway);
    }

    while (client->fd != -1 && client->sent < client->out.len) {
        n = send(client->fd, client->out.data + client->sent,
                 client->out.len - client->sent, MSG_NOSIGNAL);

        if (n == -1) {
            if (errno != EAGAIN) {
                gw_metrics_drop(client);
            }

            return;
        }

        client->sent += (size_t) n;
    }

    if (client->out.len) {
        gw_metrics_drop(client);
    }
}


/* Only the first line is read; the rest is discarded with the connection. */

static void
gw_metrics_read(gw_metrics_client_t *client, const gw_t *gateway)
{
    char     *end;
    ssize_t   n;

    n = recv(client->fd, client->in + client->received,
             sizeof(client->in) - 1 - client->received, 0);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            gw_metrics_drop(client);
        }

        return;
    }

    client->received += (size_t) n;
    client->in[client->received] = '\0';

    end = strstr(client->in, "\r\n\r\n");

    if (end || client->received == sizeof(client->in) - 1) {
        gw_metrics_response(&client->out, gateway,
                            strncmp(client->in, "GET /metrics ", 13) == 0
                            || strncmp(client->in, "GET / ", 6) == 0);
    }
}


static void
gw_metrics_drop(gw_metrics_client_t *client)
{
    if (client->fd != -1) {
        close(client->fd);
        client->fd = -1;
    }

    atls_buf_free(&client->out);
}


static void
gw_metrics_response(atls_buf_t *out, const gw_t *gateway, int found)
{
    if (!found) {
        (void) atls_buf_print(out, "HTTP/1.1 404 Not Found\r\n"
                                   "Content-Length: 0\r\n"
                                   "Connection: close\r\n\r\n");
        return;
    }

    (void) atls_buf_print(out, "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/plain; version=0.0.4\r\n"
                               "Cache-Control: no-store\r\n"
                               "Connection: close\r\n\r\n");

    gw_metrics_text(out, gateway);
}


static void
gw_metrics_text(atls_buf_t *out, const gw_t *gateway)
{
    size_t              i;
    const gw_limits_t  *limits = &gateway->limits;

    const struct {
        gw_metric_t     metric;
        size_t          value;
    } gauges[] = {
        { { "sources", "addresses, and DTLS sessions, of devices" },
          limits->sources },
        { { "posts", "POSTs to services that are in progress" },
          limits->posts },
        { { "memory_bytes", "memory for bodies and responses" },
          limits->memory + gateway->sources.history.memory },
    };

    for (i = 0; i < GW_COUNTERS; i++) {
        (void) atls_buf_print(out, "# HELP atls_gateway_%s_total %s\n"
                                   "# TYPE atls_gateway_%s_total counter\n"
                                   "atls_gateway_%s_total %llu\n",
                              gw_metrics_counters[i].name,
                              gw_metrics_counters[i].help,
                              gw_metrics_counters[i].name,
                              gw_metrics_counters[i].name,
                              (unsigned long long) gateway->counts.n[i]);
    }

    for (i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        (void) atls_buf_print(out, "# HELP atls_gateway_%s %s\n"
                                   "# TYPE atls_gateway_%s gauge\n"
                                   "atls_gateway_%s %zu\n",
                              gauges[i].metric.name, gauges[i].metric.help,
                              gauges[i].metric.name, gauges[i].metric.name,
                              gauges[i].value);
    }

    (void) atls_buf_print(out, "# HELP atls_gateway_responses_total responses,"
                               " by code\n"
                               "# TYPE atls_gateway_responses_total counter\n");

    for (i = 0; i < 256; i++) {
        if (gateway->counts.codes[i]) {
            (void) atls_buf_print(out, "atls_gateway_responses_total"
                                       "{code=\"%zu.%02zu\"} %llu\n",
                                  i >> 5, i & 31,
                                  (unsigned long long)
                                  gateway->counts.codes[i]);
        }
    }
}
