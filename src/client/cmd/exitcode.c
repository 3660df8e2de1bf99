
/*
 * Exit codes, see exitcode.h.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "../lib/error.h"
#include "exitcode.h"


static int cmd_code_outer(atls_client_t *client, atls_error_e error);


static int  cmd_silent;


int
cmd_fail(int code, const char *format, ...)
{
    char     text[2048];
    va_list  args;

    if (cmd_silent) {
        return code;
    }

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    atls_printable(text);
    fprintf(stderr, "atls: (%d) %s\n", code, text);

    return code;
}


void
cmd_fail_silently(int silent)
{
    cmd_silent = silent;
}


int
cmd_code(atls_client_t *client, atls_error_e error, int answered)
{
    switch (error) {

    case ATLS_OK:
        return CMD_OK;

    case ATLS_ERROR_USAGE:
        return CMD_USAGE;

    case ATLS_ERROR_MEMORY:
        return CMD_MEMORY;

    case ATLS_ERROR_READ:
        return CMD_READ;

    case ATLS_ERROR_RESOLVE:
        return CMD_RESOLVE;

    case ATLS_ERROR_CONNECT:
        return CMD_CONNECT;

    case ATLS_ERROR_TIMEOUT:
        return CMD_TIMEOUT;

    case ATLS_ERROR_OUTER_STATUS:
    case ATLS_ERROR_REDIRECT:
    case ATLS_ERROR_MEDIA_TYPE:
    case ATLS_ERROR_HTTP:
        return CMD_REPLY;

    case ATLS_ERROR_OUTER_TLS:
    case ATLS_ERROR_TLS:
        return CMD_TLS;

    case ATLS_ERROR_CERTIFICATE:
        return CMD_CERTIFICATE;

    case ATLS_ERROR_TRUNCATED:
        return answered ? CMD_PARTIAL : CMD_EMPTY;

    case ATLS_ERROR_PROXY:
    case ATLS_ERROR_NETWORK:
        return cmd_code_outer(client, error);

    default:
        return CMD_RECEIVE;
    }
}


/* libcurl knows more about it. */

static int
cmd_code_outer(atls_client_t *client, atls_error_e error)
{
    atls_outer_info_t  info;

    if (atls_get_outer(client, &info) != ATLS_OK) {
        return CMD_MEMORY;
    }

    if (error == ATLS_ERROR_NETWORK) {
        return info.curl_error ? info.curl_error : CMD_RECEIVE;
    }

    switch (info.curl_error) {

    case CURLE_COULDNT_RESOLVE_PROXY:
        return CMD_RESOLVE_PROXY;

    case CURLE_COULDNT_CONNECT:
        return CMD_CONNECT;

    default:
        return CMD_PROXY;
    }
}
