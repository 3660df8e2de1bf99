
/*
 * What went wrong, in words, see error.h.
 */


#include <stdarg.h>
#include <string.h>

#include <openssl/err.h>

#include "error.h"


static void atls_fail_format(atls_failure_t *failure, atls_error_e error,
    const char *format, va_list args) __attribute__((format(printf, 3, 0)));


static const struct {
    atls_error_e     error;
    const char      *text;
} atls_errors[] = {
    { ATLS_OK,                   "success" },
    { ATLS_ERROR_USAGE,          "wrong usage" },
    { ATLS_ERROR_MEMORY,         "out of memory" },
    { ATLS_ERROR_ABORTED,        "aborted by a callback" },
    { ATLS_ERROR_READ,           "cannot read the request's body" },
    { ATLS_ERROR_RESOLVE,        "cannot resolve the endpoint's name" },
    { ATLS_ERROR_CONNECT,        "cannot connect to the endpoint" },
    { ATLS_ERROR_PROXY,          "proxy failure" },
    { ATLS_ERROR_OUTER_TLS,      "outer TLS failure" },
    { ATLS_ERROR_TIMEOUT,        "timed out" },
    { ATLS_ERROR_NETWORK,        "outer connection failed" },
    { ATLS_ERROR_OUTER_STATUS,   "the endpoint refuses" },
    { ATLS_ERROR_REDIRECT,       "the endpoint redirects" },
    { ATLS_ERROR_MEDIA_TYPE,     "the endpoint does not speak ATLS" },
    { ATLS_ERROR_TLS,            "inner TLS failure" },
    { ATLS_ERROR_CERTIFICATE,    "inner certificate not accepted" },
    { ATLS_ERROR_HTTP,           "invalid HTTP answer" },
    { ATLS_ERROR_TRUNCATED,      "answer truncated" },
    { ATLS_ERROR_SESSION_LOST,   "session lost, the request may or may not"
                                 " have been processed" },
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
    reason = code ? ERR_reason_error_string(code) : NULL;
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

    memcpy(failure->text, text, sizeof(text));
    failure->error = error;
}


void
atls_failure_clear(atls_failure_t *failure)
{
    failure->error = ATLS_OK;
    failure->text[0] = '\0';
}


void
atls_printable(char *text)
{
    unsigned char  *p;

    for (p = (unsigned char *) text; *p; p++) {

        if (*p < ' ' || *p == 0x7f) {
            *p = '?';

        } else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
            p[0] = '?';
            p[1] = '?';
        }
    }
}
