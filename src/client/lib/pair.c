
/*
 * Two POSTs of a session at the same time, see pair.h.
 */


#include <string.h>

#include <curl/curl.h>

#include "pair.h"


#define ATLS_PAIR_FDS   4


static atls_error_e atls_pair_add(atls_pair_t *pair, atls_pair_e which);


int
atls_pair_init(atls_pair_t *pair, atls_outer_t *outer)
{
    memset(pair, 0, sizeof(atls_pair_t));

    pair->multi = curl_multi_init();
    pair->posts[ATLS_PAIR_DATA].outer = outer;
    pair->posts[ATLS_PAIR_POLL].outer = atls_outer_clone(outer);

    if (pair->multi == NULL || pair->posts[ATLS_PAIR_POLL].outer == NULL) {
        return -1;
    }

    atls_outer_set_once(pair->posts[ATLS_PAIR_POLL].outer);

    return 0;
}


void
atls_pair_free(atls_pair_t *pair)
{
    atls_pair_abort(pair, ATLS_PAIR_DATA);
    atls_pair_abort(pair, ATLS_PAIR_POLL);

    if (pair->multi) {
        curl_multi_cleanup(pair->multi);
    }

    atls_outer_free(pair->posts[ATLS_PAIR_POLL].outer);
    memset(pair, 0, sizeof(atls_pair_t));
}


atls_error_e
atls_pair_start(atls_pair_t *pair, atls_pair_e which, const void *bytes,
    size_t n, int again, atls_sink_pt sink, void *data)
{
    atls_outer_start(pair->posts[which].outer, bytes, n, again, sink, data);

    return atls_pair_add(pair, which);
}


atls_error_e
atls_pair_start_open(atls_pair_t *pair, atls_pair_e which,
    atls_source_pt source, atls_sink_pt sink, void *data)
{
    atls_outer_start_open(pair->posts[which].outer, source, sink, data);

    return atls_pair_add(pair, which);
}


static atls_error_e
atls_pair_add(atls_pair_t *pair, atls_pair_e which)
{
    if (curl_multi_add_handle(pair->multi,
                              atls_outer_handle(pair->posts[which].outer))
        != CURLM_OK)
    {
        return ATLS_ERROR_MEMORY;
    }

    pair->posts[which].busy = 1;
    pair->posts[which].ended = 0;

    return ATLS_OK;
}


int
atls_pair_join(atls_pair_t *pair)
{
    atls_pair_e  other;

    other = pair->newest == ATLS_PAIR_DATA ? ATLS_PAIR_POLL : ATLS_PAIR_DATA;

    if (!pair->apart || pair->posts[other].busy) {
        return 0;
    }

    pair->apart = 0;

    return atls_outer_join(pair->posts[other].outer,
                           pair->posts[pair->newest].outer);
}


int
atls_pair_busy(const atls_pair_t *pair, atls_pair_e which)
{
    return pair->posts[which].busy;
}


void
atls_pair_transfer(atls_pair_t *pair)
{
    int        running, left;
    unsigned   i;
    CURLMsg   *msg;

    (void) curl_multi_perform(pair->multi, &running);

    while ((msg = curl_multi_info_read(pair->multi, &left)) != NULL) {

        for (i = 0; i < ATLS_PAIR_POSTS; i++) {

            if (msg->msg == CURLMSG_DONE
                && atls_outer_handle(pair->posts[i].outer) == msg->easy_handle)
            {
                pair->posts[i].ended = 1;
                pair->posts[i].code = (int) msg->data.result;
            }
        }
    }
}


void
atls_pair_wait(atls_pair_t *pair, struct pollfd *fds, unsigned n, int timeout)
{
    unsigned            i;
    struct curl_waitfd  wait[ATLS_PAIR_FDS];

    for (i = 0; i < n; i++) {
        wait[i].fd = fds[i].fd;
        wait[i].events = (short) ((fds[i].events & POLLIN ? CURL_WAIT_POLLIN
                                                          : 0)
                                  | (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT
                                                             : 0));
        wait[i].revents = 0;
    }

    for (i = 0; i < ATLS_PAIR_POSTS; i++) {
        if (pair->posts[i].ended) {
            timeout = 0;
        }
    }

    (void) curl_multi_poll(pair->multi, wait, n, timeout, NULL);
    (void) poll(fds, n, 0);
}


int
atls_pair_has_ended(const atls_pair_t *pair, atls_pair_e which)
{
    return pair->posts[which].ended;
}


int
atls_pair_ended(atls_pair_t *pair, atls_pair_e which, atls_error_e *result)
{
    atls_outer_t  *outer = pair->posts[which].outer;

    if (!pair->posts[which].ended) {
        return 0;
    }

    /* the socket is known until the handle is removed */

    *result = atls_outer_end(outer, pair->posts[which].code);

    atls_pair_abort(pair, which);

    if (*result == ATLS_OK && atls_outer_renewed(outer)) {
        pair->newest = which;
        pair->apart = 1;
    }

    return 1;
}


void
atls_pair_abort(atls_pair_t *pair, atls_pair_e which)
{
    if (pair->posts[which].busy) {
        curl_multi_remove_handle(pair->multi,
                               atls_outer_handle(pair->posts[which].outer));
    }

    pair->posts[which].busy = 0;
    pair->posts[which].ended = 0;
}
