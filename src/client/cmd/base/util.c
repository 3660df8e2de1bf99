
/*
 * Common functions of the command, see util.h.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "exitcode.h"
#include "util.h"


void *
cmd_alloc(size_t size)
{
    void  *p;

    p = cmd_realloc(NULL, size);
    memset(p, 0, size);

    return p;
}


void *
cmd_realloc(void *p, size_t size)
{
    p = realloc(p, size);

    if (p == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    return p;
}


char *
cmd_copy(const char *text, size_t n)
{
    char  *copy;

    copy = cmd_realloc(NULL, n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';

    return copy;
}


char *
cmd_format(const char *format, ...)
{
    int       n;
    char     *text;
    va_list   args;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);

    if (n == -1) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    return text;
}


char *
cmd_base64(const void *bytes, size_t n)
{
    char  *text;

    text = cmd_realloc(NULL, (n + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *) text, bytes, (int) n);

    return text;
}


void
cmd_wipe(char *text)
{
    if (text) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}
