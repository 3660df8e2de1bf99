
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_problem.h"


typedef struct {
    ngx_uint_t   problem;
    ngx_str_t    name;
    ngx_uint_t   status;
    const char  *body;
} ngx_http_atls_problem_t;


/* clients compare the types, so they must not be changed */

#define ngx_http_atls_problem_type(name)  "tag:atls,2026:" name

#define ngx_http_atls_problem_known(name, title, status, detail)              \
    ngx_http_atls_problem_body(name, ngx_http_atls_problem_type(name), title, \
                               status, detail)

#define ngx_http_atls_problem_body(name, type, title, status, detail)         \
    ngx_string(name), status,                                                 \
    "{\"type\":\"" type "\",\"title\":\"" title "\",\"status\":"              \
    #status ",\"detail\":\"" detail "\"}" CRLF


static ngx_http_atls_problem_t *ngx_http_atls_problem_get(ngx_uint_t problem);


static ngx_http_atls_problem_t  ngx_http_atls_problems[] = {

    { NGX_HTTP_ATLS_EMPTY_BODY,
      ngx_http_atls_problem_known("empty-body", "Empty Body", 400,
          "The body is empty and there is no session.") },

    { NGX_HTTP_ATLS_NOT_TLS,
      ngx_http_atls_problem_known("not-tls", "Not TLS", 400,
          "The body does not start with a ClientHello.") },

    { NGX_HTTP_ATLS_UNREADABLE_BODY,
      ngx_http_atls_problem_known("unreadable-body", "Unreadable Body", 400,
          "The request body could not be read.") },

    { NGX_HTTP_ATLS_MESSAGE_REFUSED,
      ngx_http_atls_problem_known("message-refused", "Message Refused", 400,
          "The message is invalid, not authentic, or not complete.") },

    { NGX_HTTP_ATLS_KEYS_REFUSED,
      ngx_http_atls_problem_known("keys-refused", "Exported Keys Refused", 403,
          "The session does not allow requests with exported keys; send TLS "
          "records.") },

    { NGX_HTTP_ATLS_METHOD,
      ngx_http_atls_problem_known("method", "Method Not Allowed", 405,
          "TLS records must be sent with POST.") },

    { NGX_HTTP_ATLS_SESSION_BUSY,
      ngx_http_atls_problem_known("session-busy", "Session Busy", 409,
          "Another POST for this session is in progress.") },

    { NGX_HTTP_ATLS_NOT_NEXT,
      ngx_http_atls_problem_known("not-next", "Not the Next Record", 409,
          "The POST does not begin with the next record of the session, which "
          "is unchanged.") },

    { NGX_HTTP_ATLS_MESSAGE_REPEATED,
      ngx_http_atls_problem_known("message-repeated", "Message Repeated", 409,
          "The number of the message was used before, or is too old.") },

    { NGX_HTTP_ATLS_HALF_OPEN,
      ngx_http_atls_problem_known("half-open", "Handshake Not Finished", 409,
          "The handshake of the session is not finished.") },

    { NGX_HTTP_ATLS_SESSION_UNKNOWN,
      ngx_http_atls_problem_known("session-unknown", "Session Unknown", 410,
          "Unknown or expired session; start a new one.") },

    { NGX_HTTP_ATLS_SESSION_FOREIGN,
      ngx_http_atls_problem_known("session-foreign",
          "Session of Another Server", 410,
          "Session of another machine, or from before a restart; start a new "
          "one.") },

    { NGX_HTTP_ATLS_SESSION_ELSEWHERE,
      ngx_http_atls_problem_known("session-elsewhere",
          "Session of Another Endpoint", 410,
          "The session belongs to another endpoint; start a new one.") },

    { NGX_HTTP_ATLS_SESSION_REFUSED,
      ngx_http_atls_problem_known("session-refused", "Session Refused", 410,
          "The client must be verified again; start a new session.") },

    { NGX_HTTP_ATLS_HANDSHAKE_TIMEOUT,
      ngx_http_atls_problem_known("handshake-timeout", "Handshake Timeout", 410,
          "The handshake timed out; start a new one.") },

    { NGX_HTTP_ATLS_SESSION_LOST,
      ngx_http_atls_problem_known("session-lost", "Session Lost", 410,
          "The session was lost with its worker process; start a new one.") },

    { NGX_HTTP_ATLS_ANSWER_LOST,
      ngx_http_atls_problem_known("answer-lost", "Answer Lost", 410,
          "The POST was processed before, but its answer was not kept; start "
          "a new session.") },

    { NGX_HTTP_ATLS_NO_COOKIE,
      ngx_http_atls_problem_known("no-cookie", "No Cookie", 410,
          "The POST has records of a session, but not its cookie.") },

    { NGX_HTTP_ATLS_NO_LOCATION,
      ngx_http_atls_problem_known("no-location", "No Location", 410,
          "The POST has records of a session, but not its URI.") },

    { NGX_HTTP_ATLS_TOO_LARGE,
      ngx_http_atls_problem_known("too-large", "Body Too Large", 413,
          "The body is too large; a session of its records is closed.") },

    { NGX_HTTP_ATLS_MEDIA_TYPE,
      ngx_http_atls_problem_known("media-type", "Unsupported Media Type", 415,
          "The media type must be application/atls+octet-stream.") },

    { NGX_HTTP_ATLS_CONTENT_CODING,
      ngx_http_atls_problem_known("content-coding",
          "Unsupported Content Coding", 415,
          "The content coding of message/http must be aes128gcm.") },

    /* RFC 9457, section 4.2.1: "about:blank" means no more than the status */

    { NGX_HTTP_ATLS_INTERNAL_ERROR,
      ngx_http_atls_problem_body("internal-error", "about:blank",
          "Internal Server Error", 500,
          "The server could not process the session.") },

    { NGX_HTTP_ATLS_PAYLOAD_REFUSED,
      ngx_http_atls_problem_known("payload-refused", "Payload Refused", 502,
          "The service rejected the payload.") },

    { NGX_HTTP_ATLS_ZONE_FULL,
      ngx_http_atls_problem_known("zone-full", "Zone Full", 503,
          "No room for a new session; try again later.") },

    { NGX_HTTP_ATLS_TOO_MANY_HANDSHAKES,
      ngx_http_atls_problem_known("too-many-handshakes",
          "Too Many Handshakes", 503,
          "Too many handshakes in progress; try again later.") },

    { NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS,
      ngx_http_atls_problem_known("too-few-connections",
          "Too Few Connections", 503,
          "No free connections; try again later.") },

    { NGX_HTTP_ATLS_STORE_UNREACHABLE,
      ngx_http_atls_problem_known("store-unreachable",
          "Store Unreachable", 503,
          "The session may be at another machine, which cannot be reached; try "
          "again later.") },

    { 0, ngx_null_string, 0, NULL }
};


/* each problem has a counter */

typedef char  ngx_http_atls_problem_check[
    sizeof(ngx_http_atls_problems) / sizeof(ngx_http_atls_problem_t) - 1
    == NGX_HTTP_ATLS_PROBLEMS ? 1 : -1];


ngx_uint_t
ngx_http_atls_problem_status(ngx_uint_t problem)
{
    return ngx_http_atls_problem_get(problem)->status;
}


ngx_str_t
ngx_http_atls_problem_name(ngx_uint_t problem)
{
    return ngx_http_atls_problem_get(problem)->name;
}


/* Returns the last entry, with status 0, for other codes. */

static ngx_http_atls_problem_t *
ngx_http_atls_problem_get(ngx_uint_t problem)
{
    ngx_http_atls_problem_t  *p;

    for (p = ngx_http_atls_problems; p->status; p++) {
        if (p->problem == problem) {
            break;
        }
    }

    return p;
}


u_char *
ngx_http_atls_problem_write(ngx_uint_t problem, ngx_str_t *cookie, u_char *buf,
    size_t size)
{
    u_char                   *p, *last;
    ngx_http_atls_problem_t  *known;

    last = buf + size;
    known = ngx_http_atls_problem_get(problem);

    p = ngx_slprintf(buf, last, "HTTP/1.1 %ui Problem" CRLF
                     "Content-Type: application/problem+json" CRLF
                     "Content-Length: %uz" CRLF
                     NGX_HTTP_ATLS_OUTCOME_HEADER ": %d" CRLF,
                     known->status, ngx_strlen(known->body),
                     ngx_http_atls_problem_outcome(problem));

    if (cookie) {
        p = ngx_slprintf(p, last, "Set-Cookie: %V" CRLF, cookie);
    }

    if (known->status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        p = ngx_slprintf(p, last, "Retry-After: 1" CRLF);
    }

    return ngx_slprintf(p, last, CRLF "%s", known->body);
}


ngx_int_t
ngx_http_atls_problem(ngx_http_request_t *r, ngx_uint_t problem)
{
    ngx_int_t                 rc;
    ngx_buf_t                *b;
    ngx_str_t                 value;
    ngx_chain_t               out;
    ngx_http_atls_problem_t  *known;

    known = ngx_http_atls_problem_get(problem);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls problem: %*s", ngx_strlen(known->body) - 2,
                   known->body);

    if (known->status == NGX_HTTP_NOT_ALLOWED) {
        ngx_str_set(&value, "POST");
        rc = ngx_http_atls_add_header(r, "Allow", &value);

    } else if (known->status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        ngx_str_set(&value, "1");
        rc = ngx_http_atls_add_header(r, "Retry-After", &value);

    } else if (problem == NGX_HTTP_ATLS_CONTENT_CODING) {

        /* RFC 9110, section 15.5.16 */

        ngx_str_set(&value, "aes128gcm");
        rc = ngx_http_atls_add_header(r, "Accept-Encoding", &value);

    } else {
        rc = NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = (u_char *) known->body;
    b->last = b->pos + ngx_strlen(known->body);
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    r->headers_out.status = known->status;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/problem+json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


void
ngx_http_atls_remove_headers(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    len = ngx_strlen(name);

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if ((header[i].key.len == len
                 || (header[i].key.len > len && name[len - 1] == '-'))
                && ngx_strncasecmp(header[i].key.data, (u_char *) name, len)
                   == 0)
            {
                header[i].hash = 0;
            }
        }
    }
}


ngx_int_t
ngx_http_atls_add_header(ngx_http_request_t *r, const char *key,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) key;
    h->key.len = ngx_strlen(key);
    h->value = *value;
    ngx_http_atls_link_header(h);

    return NGX_OK;
}
