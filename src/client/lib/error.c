
/*
 * Error codes and texts, see error.h.
 */


#include <stdarg.h>
#include <string.h>

#include <openssl/err.h>

#include "error.h"


static void atls_fail_format(atls_failure_t *failure, atls_error_e error,
    const char *format, va_list args) __attribute__((format(printf, 3, 0)));
static size_t atls_utf8(const unsigned char *p, uint32_t *code);


static const struct {
    atls_error_e     error;
    const char      *text;
} atls_errors[] = {
    { ATLS_OK,                   "success" },
    { ATLS_ERROR_USAGE,          "invalid usage" },
    { ATLS_ERROR_MEMORY,         "out of memory" },
    { ATLS_ERROR_ABORTED,        "aborted by a callback" },
    { ATLS_ERROR_READ,           "cannot read the request's body" },
    { ATLS_ERROR_TRUST,          "cannot load the trusted certificates" },
    { ATLS_ERROR_IDENTITY,       "cannot load the client certificate or key" },
    { ATLS_ERROR_CIPHERS,        "invalid list of ciphers or groups" },
    { ATLS_ERROR_RESOLVE,        "cannot resolve the endpoint's name" },
    { ATLS_ERROR_CONNECT,        "cannot connect to the endpoint" },
    { ATLS_ERROR_PROXY,          "proxy failure" },
    { ATLS_ERROR_OUTER_TLS,      "outer TLS failure" },
    { ATLS_ERROR_TIMEOUT,        "timed out" },
    { ATLS_ERROR_NETWORK,        "outer connection failed" },
    { ATLS_ERROR_OUTER_STATUS,   "rejected by the endpoint" },
    { ATLS_ERROR_REDIRECT,       "redirected by the endpoint" },
    { ATLS_ERROR_MEDIA_TYPE,     "not an ATLS response" },
    { ATLS_ERROR_TLS,            "inner TLS failure" },
    { ATLS_ERROR_CERTIFICATE,    "inner certificate verification failed" },
    { ATLS_ERROR_HTTP,           "invalid HTTP response" },
    { ATLS_ERROR_TRUNCATED,      "response truncated" },
    { ATLS_ERROR_SESSION_LOST,   "session lost, the request may or may not"
                                 " have been processed" },
    { ATLS_ERROR_PIN,            "pinned key verification failed" },
};


const char *
atls_strerror(atls_error_e error)
{
    size_t  i;

    for (i = 0; i < sizeof(atls_errors) / sizeof(atls_errors[0]); i++) {
        if (atls_errors[i].error == error) {
            return atls_errors[i].text;
        }
    }

    return "unknown error";
}


atls_error_e
atls_fail(atls_failure_t *failure, atls_error_e error, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    atls_fail_format(failure, error, format, args);
    va_end(args);

    return error;
}


atls_error_e
atls_fail_memory(atls_failure_t *failure)
{
    ERR_clear_error();

    return atls_fail(failure, ATLS_ERROR_MEMORY, "out of memory");
}


atls_error_e
atls_fail_openssl(atls_failure_t *failure, atls_error_e error,
    const char *format, ...)
{
    size_t          used;
    va_list         args;
    const char     *reason;
    unsigned long   code;

    code = ERR_peek_error();
    reason = code == 0 ? NULL
             : ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
             : ERR_reason_error_string(code);
    ERR_clear_error();

    va_start(args, format);
    atls_fail_format(failure, error, format, args);
    va_end(args);

    if (reason) {
        used = strlen(failure->text);
        snprintf(failure->text + used, sizeof(failure->text) - used, ": %s",
                 reason);
    }

    return error;
}


static void
atls_fail_format(atls_failure_t *failure, atls_error_e error,
    const char *format, va_list args)
{
    char  text[ATLS_FAILURE_TEXT];

    vsnprintf(text, sizeof(text), format, args);
    atls_printable(text);
    atls_hide_users(text);

    memcpy(failure->text, text, sizeof(text));
    failure->error = error;
}


void
atls_failure_clear(atls_failure_t *failure)
{
    failure->error = ATLS_OK;
    failure->fault = ATLS_FAULT_NONE;
    failure->text[0] = '\0';
}


void
atls_printable(char *text)
{
    size_t          n;
    uint32_t        code;
    unsigned char  *p;

    for (p = (unsigned char *) text; *p; p += n) {

        n = atls_utf8(p, &code);

        if (n == 0) {
            *p = '?';
            n = 1;

        } else if (code < ' ' || (code >= 0x7f && code < 0xa0)
                   || (code >= 0x2028 && code <= 0x202e)
                   || (code >= 0x2066 && code <= 0x2069))
        {
            memset(p, '?', n);
        }
    }
}


/* Returns the length of a UTF-8 character (RFC 3629), or 0 if it is invalid. */

static size_t
atls_utf8(const unsigned char *p, uint32_t *code)
{
    size_t                 i, n;
    static const uint32_t  least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    n = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3
        : *p < 0xf8 ? 4 : 0;

    *code = n > 1 ? *p & (0x7fU >> n) : *p;

    for (i = 1; i < n; i++) {

        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        *code = *code << 6 | (p[i] & 0x3f);
    }

    return n && (*code < least[n] || *code > 0x10ffff
                 || (*code >= 0xd800 && *code < 0xe000)) ? 0 : n;
}


void
atls_hide_users(char *text)
{
    char  *p, *at;

    for (p = strstr(text, "://"); p; p = strstr(p, "://")) {

        p += sizeof("://") - 1;
        at = memrchr(p, '@', strcspn(p, "/?#'\" "));

        if (at) {
            memset(p, '*', (size_t) (at - p));
        }
    }
}
