
/*
 * Faults on the path, see fault.h and atls.h.
 */


#include <stddef.h>
#include <string.h>

#include "fault.h"


typedef struct {
    atls_fault_e     fault;
    const char      *name;
    const char      *text;
    const char      *advice;
} atls_fault_row_t;


static const atls_fault_row_t *atls_fault_row(atls_fault_e fault);


static const atls_fault_row_t  atls_faults[] = {

    { ATLS_FAULT_PAGE, "page",
      "a web page, of a captive portal or a filter",
      "The network may require a login, or a filter may block the URL: open a "
      "web page with a browser." },

    { ATLS_FAULT_REDIRECT, "redirect", "",
      "If it is a login page, log in with a browser.  If the endpoint has "
      "moved, specify its URL with --via." },

    { ATLS_FAULT_REFUSED, "refused",
      "refused by the server or by a filter",
      "Allow POSTs to this URL at the server and at filters on the path." },

    { ATLS_FAULT_NO_ENDPOINT, "no-endpoint", "",
      "There is no ATLS endpoint at this URL: check it, or specify another one "
      "with --via." },

    { ATLS_FAULT_GATEWAY, "gateway",
      "a proxy cannot reach the endpoint",
      "Check whether the server is running and can be reached by the proxy." },

    { ATLS_FAULT_GATEWAY_TIMEOUT, "gateway-timeout",
      "a proxy did not wait for the response",
      "Increase the timeout of the proxy, or let the service respond sooner." },

    { ATLS_FAULT_TOO_LARGE, "too-large", "",
      "Increase the limit for request bodies, or send smaller POSTs with "
      "--post-size." },

    { ATLS_FAULT_NO_KEYS, "no-keys",
      "no requests with exported keys are allowed",
      "Use TLS records, without --exported-keys; or set atls_exported_keys at "
      "the endpoint." },

    { ATLS_FAULT_METHOD, "method",
      "the method was changed on the path",
      "POSTs must not be redirected: specify the final URL with --via." },

    { ATLS_FAULT_MEDIA_TYPE, "media-type",
      "the media type was changed on the path",
      "Middleboxes must not change the media type "
      "application/atls+octet-stream." },

    { ATLS_FAULT_COMPRESSED, "compressed",
      "the response was compressed on the path",
      "Disable compression of application/atls+octet-stream in middleboxes." },

    { ATLS_FAULT_NO_BODY, "no-body",
      "the body, or a part of it, was removed on the path",
      "Exempt the endpoint from filters that remove bodies." },

    { ATLS_FAULT_CHANGED, "changed",
      "the body was changed on the path",
      "Exempt the endpoint from filters that change or compress bodies." },

    { ATLS_FAULT_CACHED, "cached",
      "the response is to another POST, as of a cache",
      "Caches must not store responses to POSTs, nor those with "
      "\"Cache-Control: no-store\"." },

    { ATLS_FAULT_REPEATED, "repeated",
      "the POST was sent twice, or data were changed on the path",
      "Proxies must not repeat POSTs.  Exempt the endpoint from filters that "
      "change bodies." },

    { ATLS_FAULT_NO_SET_COOKIE, "no-set-cookie",
      "the first response had no Set-Cookie",
      "Middleboxes must not remove Set-Cookie from responses of the "
      "endpoint." },

    { ATLS_FAULT_COOKIE_SCOPE, "cookie-scope",
      "the cookie is for another path or domain, or for TLS only",
      "The attributes of the cookie must match the URL: see atls_cookie of the "
      "server, and proxy_cookie_path and the like of proxies." },

    { ATLS_FAULT_NO_COOKIE, "no-cookie",
      "the cookie was removed from the POST",
      "Middleboxes must not remove cookies from POSTs to the endpoint." },

    { ATLS_FAULT_LOST, "lost",
      "the session was just started, perhaps on another machine, or the POST "
      "was sent twice",
      "A load balancer must send all POSTs with a cookie, or to a path of a "
      "session, to one machine.  Proxies must not repeat POSTs." },

    { ATLS_FAULT_LOCATION, "location",
      "the path of the session, in Location of the first response, was removed "
      "or changed, or does not reach the endpoint",
      "Proxies must not remove Location from responses of the endpoint, and if "
      "they change paths, must change it in Location, too: see proxy_redirect "
      "of nginx." },

    { ATLS_FAULT_UNTRUSTED, "untrusted", "",
      "If the CA of the service is private, specify it with --cacert.  If the "
      "name is another one, the endpoint belongs to another service." },

    { ATLS_FAULT_NONE, "", "", "" }
};


static const struct {
    int              status;
    atls_fault_e     fault;
} atls_fault_statuses[] = {
    { 403, ATLS_FAULT_REFUSED },
    { 404, ATLS_FAULT_NO_ENDPOINT },
    { 405, ATLS_FAULT_REFUSED },
    { 413, ATLS_FAULT_TOO_LARGE },
    { 451, ATLS_FAULT_REFUSED },
    { 501, ATLS_FAULT_REFUSED },
    { 502, ATLS_FAULT_GATEWAY },
    { 504, ATLS_FAULT_GATEWAY_TIMEOUT },
    { 511, ATLS_FAULT_PAGE },
};


static const struct {
    const char      *name;
    atls_fault_e     fault;
} atls_fault_problems[] = {
    { "content-coding",   ATLS_FAULT_CHANGED },
    { "empty-body",       ATLS_FAULT_NO_BODY },
    { "keys-refused",     ATLS_FAULT_NO_KEYS },
    { "media-type",       ATLS_FAULT_MEDIA_TYPE },
    { "message-refused",  ATLS_FAULT_CHANGED },
    { "message-repeated", ATLS_FAULT_REPEATED },
    { "method",           ATLS_FAULT_METHOD },
    { "no-cookie",        ATLS_FAULT_NO_COOKIE },
    { "no-location",      ATLS_FAULT_LOCATION },
    { "not-tls",          ATLS_FAULT_CHANGED },
    { "not-next",         ATLS_FAULT_REPEATED },
    { "session-busy",     ATLS_FAULT_REPEATED },
    { "too-large",        ATLS_FAULT_TOO_LARGE },
    { "unreadable-body",  ATLS_FAULT_CHANGED },
};


/* Returns the last row for unknown faults. */

static const atls_fault_row_t *
atls_fault_row(atls_fault_e fault)
{
    const atls_fault_row_t  *row;

    for (row = atls_faults; row->fault != ATLS_FAULT_NONE; row++) {
        if (row->fault == fault) {
            break;
        }
    }

    return row;
}


const char *
atls_fault_text(atls_fault_e fault)
{
    return atls_fault_row(fault)->text;
}


const char *
atls_fault_name(atls_fault_e fault)
{
    return atls_fault_row(fault)->name;
}


const char *
atls_fault_advice(atls_fault_e fault)
{
    return atls_fault_row(fault)->advice;
}


atls_fault_e
atls_fault_by_status(int status)
{
    size_t  i, n;

    n = sizeof(atls_fault_statuses) / sizeof(atls_fault_statuses[0]);

    for (i = 0; i < n; i++) {
        if (atls_fault_statuses[i].status == status) {
            return atls_fault_statuses[i].fault;
        }
    }

    return ATLS_FAULT_NONE;
}


atls_fault_e
atls_fault_by_problem(const char *name)
{
    size_t  i, n;

    n = sizeof(atls_fault_problems) / sizeof(atls_fault_problems[0]);

    for (i = 0; i < n; i++) {
        if (strcmp(atls_fault_problems[i].name, name) == 0) {
            return atls_fault_problems[i].fault;
        }
    }

    return ATLS_FAULT_NONE;
}
