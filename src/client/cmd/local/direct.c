
/*
 * Connections to hosts without ATLS, see direct.h.
 */


#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../lib/clock.h"
#include "../base/util.h"
#include "../base/verbose.h"
#include "../options/route.h"
#include "direct.h"
#include "stop.h"


/* Milliseconds without data, after which a connection is closed. */

#define CMD_DIRECT_HALF     60000           /* if one side has sent all */
#define CMD_DIRECT_STOP     500             /* if the server is being stopped */


static CURLcode cmd_direct_connect(cmd_direct_t *direct,
    const cmd_options_t *options, const cmd_host_t *host);
static CURLcode cmd_direct_setup(cmd_direct_t *direct,
    const cmd_options_t *options, const char *url);
static const char *cmd_direct_proxy(void);
static int cmd_direct_debug(CURL *curl, curl_infotype type, char *text,
    size_t n, void *data);
static int cmd_direct_progress(void *data, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow);
static int cmd_direct_wait(const cmd_direct_t *direct);
static void cmd_direct_send(cmd_direct_t *direct);
static void cmd_direct_receive(cmd_direct_t *direct);


int
cmd_direct_open(cmd_direct_t *direct, const cmd_options_t *options,
    const cmd_host_t *host, cmd_stream_t *stream)
{
    CURLcode  code;

    memset(direct, 0, sizeof(cmd_direct_t));

    direct->stream = stream;
    direct->began = atls_clock();
    atls_failure_clear(&direct->failure);
    snprintf(direct->tag, sizeof(direct->tag), "%s ", stream->peer);

    code = cmd_direct_connect(direct, options, host);

    if (code == CURLE_OK) {
        code = curl_easy_getinfo(direct->curl, CURLINFO_ACTIVESOCKET,
                                 &direct->fd);
    }

    if (code == CURLE_OK) {
        return 0;
    }

    if (direct->failure.error == ATLS_OK) {
        atls_fail(&direct->failure, code == CURLE_OPERATION_TIMEDOUT
                                    ? ATLS_ERROR_TIMEOUT : ATLS_ERROR_CONNECT,
                  "%s", direct->error[0] ? direct->error
                                         : curl_easy_strerror(code));
    }

    return -1;
}


static CURLcode
cmd_direct_connect(cmd_direct_t *direct, const cmd_options_t *options,
    const cmd_host_t *host)
{
    char      *url;
    CURLcode   code;

    direct->curl = curl_easy_init();

    if (direct->curl == NULL) {
        return CURLE_OUT_OF_MEMORY;
    }

    url = cmd_format(strchr(host->name, ':') ? "http://[%s]:%d"
                                             : "http://%s:%d",
                     host->name, host->port);

    code = cmd_direct_setup(direct, options, url);
    free(url);

    return code == CURLE_OK ? curl_easy_perform(direct->curl) : code;
}


/* For libcurl, it is a connection for http, with CONNECT to a proxy. */

static CURLcode
cmd_direct_setup(cmd_direct_t *direct, const cmd_options_t *options,
    const char *url)
{
    CURL               *curl = direct->curl;
    atls_route_conf_t   conf;

    cmd_route(&conf, options);

    if (conf.proxy == NULL) {
        conf.proxy = cmd_direct_proxy();
    }

    if (atls_route_set(&direct->route, curl, &conf, &direct->failure) == -1) {
        return CURLE_FAILED_INIT;
    }

    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, direct->error);

    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, cmd_direct_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, direct);

    if (options->verbose) {
        direct->debug.handler = cmd_verbose;
        direct->debug.data = direct->tag;

        curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
        curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, cmd_direct_debug);
        curl_easy_setopt(curl, CURLOPT_DEBUGDATA, direct);
    }

    return curl_easy_setopt(curl, CURLOPT_URL, url);
}


/* The proxy that libcurl would use for https. */

static const char *
cmd_direct_proxy(void)
{
    size_t       i;
    const char  *proxy;

    static const char *const  names[] = { "https_proxy", "HTTPS_PROXY",
                                          "all_proxy", "ALL_PROXY" };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        proxy = getenv(names[i]);

        if (proxy && *proxy) {
            return proxy;
        }
    }

    /* otherwise, libcurl would look for http_proxy */

    return "";
}


static int
cmd_direct_debug(CURL *curl, curl_infotype type, char *text, size_t n,
    void *data)
{
    cmd_direct_t  *direct = data;

    static const atls_debug_e  kinds[] = { ATLS_DEBUG_OUTER,
                                           ATLS_DEBUG_OUTER_RECEIVED,
                                           ATLS_DEBUG_OUTER_SENT };

    (void) curl;

    if (type <= CURLINFO_HEADER_OUT) {
        atls_debug_lines(&direct->debug, kinds[type], text, n);
    }

    return 0;
}


static int
cmd_direct_progress(void *data, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow)
{
    cmd_direct_t  *direct = data;

    (void) dltotal;
    (void) dlnow;
    (void) ultotal;
    (void) ulnow;

    /* a client may shut down its output after the request */

    direct->gone = cmd_stream_gone(direct->stream)
                   && !cmd_stream_pending(direct->stream);

    return direct->gone;
}


void
cmd_direct_close(cmd_direct_t *direct)
{
    direct->debug.handler = NULL;

    curl_easy_cleanup(direct->curl);
    atls_route_free(&direct->route);
    direct->curl = NULL;
}


void
cmd_direct_run(cmd_direct_t *direct)
{
    do {
        cmd_direct_send(direct);
        cmd_direct_receive(direct);

    } while (!direct->broken && !(direct->sent_all && direct->received_all)
             && cmd_direct_wait(direct));

    if (direct->broken) {
        cmd_stream_reset(direct->stream);

    } else {
        cmd_stream_end(direct->stream);
    }
}


/* Returns 0 on timeout. */

static int
cmd_direct_wait(const cmd_direct_t *direct)
{
    int            stopping, unsent, timeout;
    struct pollfd  fds[3];

    stopping = cmd_stopping();
    unsent = direct->stream->pos < direct->stream->len;

    timeout = stopping ? CMD_DIRECT_STOP
              : direct->sent_all || direct->received_all ? CMD_DIRECT_HALF
              : -1;

    /* poll() would always report the end of a connection: -1 is ignored */

    fds[0].fd = direct->sent_all || unsent ? -1 : direct->stream->fd;
    fds[0].events = POLLIN;

    fds[1].fd = direct->received_all && !unsent ? -1 : direct->fd;
    fds[1].events = (short) ((direct->received_all ? 0 : POLLIN)
                             | (unsent ? POLLOUT : 0));

    fds[2].fd = stopping ? -1 : cmd_stop_fd();
    fds[2].events = POLLIN;

    return poll(fds, 3, timeout) != 0;
}


/* Sends one piece at most, so that the other direction gets its turn. */

static void
cmd_direct_send(cmd_direct_t *direct)
{
    size_t         n;
    ssize_t        got;
    CURLcode       code;
    cmd_stream_t  *stream = direct->stream;

    got = direct->sent_all ? -1 : cmd_stream_fill(stream, 0);

    if (got == 0) {
        direct->sent_all = 1;
        (void) shutdown(direct->fd, SHUT_WR);
    }

    if (got <= 0) {
        return;
    }

    n = 0;
    code = curl_easy_send(direct->curl, stream->buf + stream->pos,
                          (size_t) got, &n);

    direct->broken = code != CURLE_OK && code != CURLE_AGAIN;
    direct->sent += n;
    stream->pos += n;
}


/*
 * Receives all that there is, since poll() does not know about data in buffers
 * of libcurl; or until the program sends something.
 */

static void
cmd_direct_receive(cmd_direct_t *direct)
{
    char          buf[CMD_STREAM_SIZE];
    size_t        n;
    CURLcode      code;
    struct iovec  piece;

    while (!direct->received_all && !direct->broken) {

        n = 0;
        code = curl_easy_recv(direct->curl, buf, sizeof(buf), &n);

        if (code == CURLE_AGAIN) {
            return;
        }

        if (code == CURLE_OK && n == 0) {
            direct->received_all = 1;
            (void) shutdown(direct->stream->fd, SHUT_WR);
            return;
        }

        piece.iov_base = buf;
        piece.iov_len = n;

        direct->broken = code != CURLE_OK
                         || cmd_stream_write(direct->stream, &piece, 1) == -1;
        direct->received += n;

        if (direct->stream->pos == direct->stream->len
            && cmd_stream_pending(direct->stream))
        {
            return;
        }
    }
}


char *
cmd_direct_summary(const cmd_direct_t *direct)
{
    return cmd_format("direct, %llu byte%s sent, %llu received, %.3f s",
                      (unsigned long long) direct->sent,
                      direct->sent == 1 ? "" : "s",
                      (unsigned long long) direct->received,
                      (double) (atls_clock() - direct->began) / 1000);
}
