
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * A POST as a stream: its description, and what all kinds of its records have
 * in common.  The records are opened and sealed by the files above this one,
 * see ngx_http_atls_stream_plaintext.h.
 */


#ifndef _NGX_HTTP_ATLS_STREAM_H_INCLUDED_
#define _NGX_HTTP_ATLS_STREAM_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_store.h"
#include "ngx_http_atls_sni.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_coding.h"
#include "ngx_http_atls_datagrams.h"


typedef enum {
    ngx_http_atls_post_begins = 0,
    ngx_http_atls_post_handshake,
    ngx_http_atls_post_failed,                 /* handshake failed */
    ngx_http_atls_post_established,
    ngx_http_atls_post_polls,                  /* waits for output */
    ngx_http_atls_post_message,                /* with exported keys */
    ngx_http_atls_post_datagrams,              /* established, with DTLS */
    ngx_http_atls_post_done
} ngx_http_atls_post_e;


/* Returns NGX_OK, a status or a problem. */

typedef ngx_int_t (*ngx_http_atls_stream_pt)(ngx_http_atls_post_t *post);


struct ngx_http_atls_post_s {
    ngx_http_request_t         *request;
    ngx_http_atls_main_conf_t  *main_conf;
    ngx_http_atls_loc_conf_t   *conf;
    ngx_http_atls_loc_conf_t   *home;          /* endpoint of the session: conf,
                                                  or one with its name */
    ngx_http_atls_target_t      target;        /* set with the session */

    ngx_http_atls_session_t    *session;       /* or NULL; with exported keys,
                                                  or DTLS, a copy */
    u_char                      id[NGX_HTTP_ATLS_ID_LEN];
    u_char                      tag[NGX_HTTP_ATLS_TAG_LEN];    /* of id, as the
                                                  client knows it */
    uint32_t                    label;         /* session, in the debug log */
    ngx_http_atls_handshake_t  *handshake;
    trl_channel_t               channel;       /* if established */
    ngx_http_atls_coding_t     *coding;        /* NULL: TLS records */
    ngx_http_atls_datagrams_t  *datagrams;     /* established, with DTLS */
    ngx_http_atls_inner_t      *inner;
    ngx_http_atls_inner_t      *polled;        /* waits for its output */
    ngx_connection_t           *reserved;      /* for inner */

    ngx_http_atls_body_t        body;
    ngx_http_atls_answer_t      answer;
    ngx_http_atls_putting_t     putting;       /* into the store */

    u_char                     *plain;         /* decrypted, not taken */
    size_t                      plain_len;
    size_t                      plain_taken;   /* bytes taken before it */

    uint64_t                    records[2];    /* in, out */
    uint64_t                    bytes[2];      /* of plaintext */

    ngx_http_atls_print_t       print;         /* of the body read so far */

    ngx_event_t                 event;         /* posted: continue or send */

    ngx_http_atls_stream_pt     open;          /* after the handshake */
    ngx_http_atls_stream_pt     headers;       /* before sending */

    /* input of ngx_http_atls_fate() */

    ngx_http_atls_post_e        stage;
    ngx_http_atls_end_e         end;           /* after this POST */
    ngx_int_t                   status;        /* reason for the end of
                                                  plaintext, or 0 */
    unsigned                    ended:1;       /* no more plaintext */
    unsigned                    opened:1;      /* a record was received */
    unsigned                    taken:1;       /* plaintext was taken */
    unsigned                    finished:1;    /* the handshake was */
    unsigned                    sealed:1;      /* a record was sent */

    unsigned                    draining:1;    /* relayed to a worker that was
                                                  shutting down */
    unsigned                    blocked:1;     /* inner waits for buffers */
    unsigned                    parking:1;     /* inner needs more data */
    unsigned                    unsent:1;      /* sealed data to be sent */
    unsigned                    bad_gateway:1; /* raw payload failed */

    /* used in src/outer only */

    ngx_http_atls_take_e        take;          /* result for the session named
                                                  by the POST */
    ngx_str_t                   flight;        /* the last one of the handshake,
                                                  with DTLS */
    ngx_uint_t                  tracking;      /* how it is named, and known to
                                                  the client:
                                                  NGX_HTTP_ATLS_TRACKING_* */
    ngx_http_atls_relay_t      *relay;         /* relayed to a worker */
    ngx_http_atls_mail_t       *mail;          /* relayed by a machine */
    ngx_http_atls_taking_t     *taking;        /* the session was asked for */
    ngx_msec_t                  leave;         /* no more requests then */

    size_t                      want;          /* bytes of the body to begin */
    u_char                     *joined;        /* a record in several POSTs */
    ngx_msec_t                  pause;         /* next one while waiting */
    ngx_msec_t                  patience;      /* no more waiting then */
    time_t                      age;           /* of the cookie, if retried */

    unsigned                    leaving:1;     /* leave is set */
    unsigned                    fresh:1;       /* session was created */
    unsigned                    tagged:1;      /* tag is set */
    unsigned                    dtls:1;        /* the body is DTLS */
    unsigned                    garbage:1;     /* no records follow */
    unsigned                    last:1;        /* its client is not accepted
                                                  any more */
    unsigned                    waiting:1;     /* session is or was busy */
    unsigned                    printed:1;     /* print.first is set */
    unsigned                    retry:1;       /* may be a repetition */
    unsigned                    retried:1;     /* has the kept response */
    unsigned                    created:1;     /* which was the first one */
    unsigned                    apart:1;       /* session->pending is not a part
                                                  of it */
    unsigned                    waits:1;       /* for output, without the
                                                  session */
    unsigned                    waited:1;
    unsigned                    counted:1;     /* bytes of the body */
};


/* Adds bytes of the body to its fingerprint. */

void ngx_http_atls_stream_print(ngx_http_atls_post_t *post, u_char *data,
    size_t len);

/* Counts a record, and its plaintext; see ngx_http_atls_counters.h. */

void ngx_http_atls_stream_count(ngx_http_atls_post_t *post,
    ngx_uint_t direction, size_t len);

/*
 * Processes the result of opening a record of a message or of DTLS: NGX_OK, and
 * its plaintext is counted; NGX_AGAIN; NGX_DONE: no more data; otherwise a
 * status or a problem.  Returns it.
 */

ngx_int_t ngx_http_atls_stream_next(ngx_http_atls_post_t *post, ngx_int_t rc);

/*
 * Room for a record in the answer, which is sent if it is full.  NULL:
 * post->answer.error, or the inner connection will be notified.
 */

u_char *ngx_http_atls_stream_room(ngx_http_atls_post_t *post, size_t size);

/* Closes the session with this POST or, if half-open, after its handshake. */

void ngx_http_atls_stream_end_session(ngx_http_atls_post_t *post,
    ngx_http_atls_end_e end);

/* Called when the inner connection is closed. */

void ngx_http_atls_stream_inner_closed(ngx_http_atls_post_t *post,
    ngx_http_atls_end_e end);

/*
 * Called when the inner connection needs more data than the POST has: the POST
 * ends with the data sealed so far.
 */

void ngx_http_atls_stream_park(ngx_http_atls_post_t *post);

/*
 * Sends sealed data, after the header.  NGX_OK: all is sent; NGX_AGAIN;
 * NGX_ERROR.  The second function sends them at the end of this event loop
 * iteration.
 */

ngx_int_t ngx_http_atls_stream_flush(ngx_http_atls_post_t *post);
void ngx_http_atls_stream_send_later(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_STREAM_H_INCLUDED_ */
