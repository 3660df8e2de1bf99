
/*
 * The output of -w, see writeout.h.
 */


#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>

#include "../base/exitcode.h"
#include "../base/util.h"
#include "variables.h"
#include "writeout.h"


#define CMD_FIELD(name)     offsetof(cmd_variables_t, name)
#define CMD_HEADER          "%header{"


typedef enum {
    CMD_VARIABLE_TEXT,
    CMD_VARIABLE_NUMBER,
    CMD_VARIABLE_STATUS,                /* three digits */
    CMD_VARIABLE_TIME
} cmd_variable_e;

typedef struct {
    const char          *name;
    cmd_variable_e       type;
    size_t               offset;        /* in cmd_variables_t */
} cmd_variable_t;

typedef struct {
    const cmd_transfer_t  *transfer;
    cmd_variables_t        variables;
    FILE                  *file;
    int                    done;        /* print nothing more */
} cmd_writeout_t;


static const char *cmd_writeout_escape(cmd_writeout_t *writeout,
    const char *format);
static const char *cmd_writeout_percent(cmd_writeout_t *writeout,
    const char *format);
static void cmd_writeout_name(cmd_writeout_t *writeout, const char *name);
static int cmd_writeout_order(cmd_writeout_t *writeout, const char *name);
static char *cmd_writeout_value(const cmd_writeout_t *writeout,
    const cmd_variable_t *variable, int json);
static const char *cmd_writeout_text(const cmd_writeout_t *writeout,
    const cmd_variable_t *variable);
static void cmd_writeout_json(cmd_writeout_t *writeout);
static void cmd_writeout_headers(cmd_writeout_t *writeout);
static void cmd_writeout_header(cmd_writeout_t *writeout, size_t n);
static char *cmd_writeout_quote(const char *text);


/* In the order of their names: that of %{json}. */

static const cmd_variable_t  cmd_variables[] = {
    { "atls",               CMD_VARIABLE_TEXT,   CMD_FIELD(atls) },
    { "content_type",       CMD_VARIABLE_TEXT,   CMD_FIELD(content_type) },
    { "errormsg",           CMD_VARIABLE_TEXT,   CMD_FIELD(error) },
    { "exitcode",           CMD_VARIABLE_NUMBER, CMD_FIELD(code) },
    { "filename_effective", CMD_VARIABLE_TEXT,   CMD_FIELD(file) },
    { "ftp_entry_path",     CMD_VARIABLE_TEXT,   CMD_FIELD(none) },
    { "http_code",          CMD_VARIABLE_STATUS, CMD_FIELD(status) },
    { "http_connect",       CMD_VARIABLE_STATUS, CMD_FIELD(connect_status) },
    { "http_version",       CMD_VARIABLE_TEXT,   CMD_FIELD(http_version) },
    { "local_ip",           CMD_VARIABLE_TEXT,   CMD_FIELD(local_ip) },
    { "local_port",         CMD_VARIABLE_NUMBER, CMD_FIELD(local_port) },
    { "method",             CMD_VARIABLE_TEXT,   CMD_FIELD(method) },
    { "num_connects",       CMD_VARIABLE_NUMBER, CMD_FIELD(connects) },
    { "num_headers",        CMD_VARIABLE_NUMBER, CMD_FIELD(headers) },
    { "num_redirects",      CMD_VARIABLE_NUMBER, CMD_FIELD(redirects) },
    { "proxy_ssl_verify_result", CMD_VARIABLE_NUMBER,
                                              CMD_FIELD(proxy_verify_result) },
    { "redirect_url",       CMD_VARIABLE_TEXT,   CMD_FIELD(redirect_url) },
    { "referer",            CMD_VARIABLE_TEXT,   CMD_FIELD(none) },
    { "remote_ip",          CMD_VARIABLE_TEXT,   CMD_FIELD(remote_ip) },
    { "remote_port",        CMD_VARIABLE_NUMBER, CMD_FIELD(remote_port) },
    { "response_code",      CMD_VARIABLE_STATUS, CMD_FIELD(status) },
    { "scheme",             CMD_VARIABLE_TEXT,   CMD_FIELD(scheme) },
    { "size_download",      CMD_VARIABLE_NUMBER, CMD_FIELD(received) },
    { "size_header",        CMD_VARIABLE_NUMBER, CMD_FIELD(header_size) },
    { "size_request",       CMD_VARIABLE_NUMBER, CMD_FIELD(request_size) },
    { "size_upload",        CMD_VARIABLE_NUMBER, CMD_FIELD(sent) },
    { "speed_download",     CMD_VARIABLE_NUMBER, CMD_FIELD(receive_speed) },
    { "speed_upload",       CMD_VARIABLE_NUMBER, CMD_FIELD(send_speed) },
    { "ssl_verify_result",  CMD_VARIABLE_NUMBER, CMD_FIELD(verify_result) },
    { "time_appconnect",    CMD_VARIABLE_TIME,   CMD_FIELD(handshake) },
    { "time_connect",       CMD_VARIABLE_TIME,   CMD_FIELD(connect) },
    { "time_namelookup",    CMD_VARIABLE_TIME,   CMD_FIELD(name_lookup) },
    { "time_pretransfer",   CMD_VARIABLE_TIME,   CMD_FIELD(request) },
    { "time_redirect",      CMD_VARIABLE_TIME,   CMD_FIELD(redirect) },
    { "time_starttransfer", CMD_VARIABLE_TIME,   CMD_FIELD(response) },
    { "time_total",         CMD_VARIABLE_TIME,   CMD_FIELD(total) },
    { "url",                CMD_VARIABLE_TEXT,   CMD_FIELD(url) },
    { "url_effective",      CMD_VARIABLE_TEXT,   CMD_FIELD(url_effective) },
    { "urlnum",             CMD_VARIABLE_NUMBER, CMD_FIELD(number) },
};

#define CMD_VARIABLES   (sizeof(cmd_variables) / sizeof(cmd_variables[0]))


void
cmd_writeout(const cmd_transfer_t *transfer, int code)
{
    const char      *format;
    cmd_writeout_t   writeout;

    writeout.transfer = transfer;
    writeout.file = stdout;
    writeout.done = 0;

    cmd_variables_fill(&writeout.variables, transfer, code);

    format = transfer->options->write_out;

    while (*format && !writeout.done) {

        if (*format == '\\' && format[1]) {
            format = cmd_writeout_escape(&writeout, format);

        } else if (*format == '%' && format[1]) {
            format = cmd_writeout_percent(&writeout, format);

        } else {
            putc(*format++, writeout.file);
        }
    }

    fflush(stdout);
    fflush(stderr);

    cmd_variables_free(&writeout.variables);
}


/* Unknown escape sequences are printed unchanged. */

static const char *
cmd_writeout_escape(cmd_writeout_t *writeout, const char *format)
{
    const char  *known;

    static const char  escapes[] = "n\nr\rt\t";

    known = strchr(escapes, format[1]);

    if (known && format[1] > ' ') {
        putc(known[1], writeout->file);

    } else {
        putc(format[0], writeout->file);
        putc(format[1], writeout->file);
    }

    return format + 2;
}


/* Prints what the next characters stand for; returns what follows them. */

static const char *
cmd_writeout_percent(cmd_writeout_t *writeout, const char *format)
{
    int          header;
    char        *name;
    size_t       n;
    const char  *value;

    header = strncmp(format, CMD_HEADER, sizeof(CMD_HEADER) - 1) == 0;

    if (format[1] != '{' && !header) {
        if (format[1] != '%') {
            putc('%', writeout->file);
        }

        putc(format[1], writeout->file);

        return format + 2;
    }

    n = header ? sizeof(CMD_HEADER) - 1 : 2;

    if (strchr(format, '}') == NULL) {
        fprintf(writeout->file, "%.*s", (int) n, format);
        return format + n;
    }

    format += n;
    n = strcspn(format, "}");
    name = cmd_copy(format, n);

    if (header) {
        value = cmd_headers_get(&writeout->transfer->headers, name);
        fputs(value ? value : "", writeout->file);

    } else {
        cmd_writeout_name(writeout, name);
    }

    free(name);

    return format + n + 1;
}


static void
cmd_writeout_name(cmd_writeout_t *writeout, const char *name)
{
    char    *value;
    size_t   i;

    if (cmd_writeout_order(writeout, name)) {
        return;
    }

    for (i = 0; i < CMD_VARIABLES; i++) {

        if (strcasecmp(cmd_variables[i].name, name) == 0) {
            value = cmd_writeout_value(writeout, &cmd_variables[i], 0);
            fputs(value, writeout->file);
            free(value);

            return;
        }
    }

    fprintf(stderr, "atls: unknown --write-out variable: '%s'\n", name);
}


/* Variables that are more than a value. */

static int
cmd_writeout_order(cmd_writeout_t *writeout, const char *name)
{
    if (strcasecmp(name, "stdout") == 0) {
        writeout->file = stdout;

    } else if (strcasecmp(name, "stderr") == 0) {
        writeout->file = stderr;

    } else if (strcasecmp(name, "onerror") == 0) {
        writeout->done = writeout->variables.code == CMD_OK;

    } else if (strcasecmp(name, "json") == 0) {
        cmd_writeout_json(writeout);

    } else if (strcasecmp(name, "header_json") == 0) {
        cmd_writeout_headers(writeout);

    } else {
        return 0;
    }

    return 1;
}


static char *
cmd_writeout_value(const cmd_writeout_t *writeout,
    const cmd_variable_t *variable, int json)
{
    long long    number;
    const char  *text;

    if (variable->type == CMD_VARIABLE_TEXT) {
        text = cmd_writeout_text(writeout, variable);

        return !json ? cmd_format("%s", text ? text : "")
               : text ? cmd_writeout_quote(text) : cmd_format("null");
    }

    number = *(const int64_t *) ((const char *) &writeout->variables
                                 + variable->offset);

    return variable->type == CMD_VARIABLE_TIME
           ? cmd_format("%lld.%06lld", number / 1000000, number % 1000000)
           : cmd_format("%0*lld",
                        variable->type == CMD_VARIABLE_STATUS && !json ? 3 : 1,
                        number);
}


static const char *
cmd_writeout_text(const cmd_writeout_t *writeout,
    const cmd_variable_t *variable)
{
    return *(const char *const *) ((const char *) &writeout->variables
                                   + variable->offset);
}


static void
cmd_writeout_json(cmd_writeout_t *writeout)
{
    char    *value;
    size_t   i;

    putc('{', writeout->file);

    for (i = 0; i < CMD_VARIABLES; i++) {
        value = cmd_writeout_value(writeout, &cmd_variables[i], 1);
        fprintf(writeout->file, "\"%s\":%s,", cmd_variables[i].name, value);
        free(value);
    }

    value = cmd_writeout_quote(curl_version());
    fprintf(writeout->file, "\"curl_version\":%s}", value);
    free(value);
}


static void
cmd_writeout_headers(cmd_writeout_t *writeout)
{
    size_t                i;
    const cmd_headers_t  *headers = &writeout->transfer->headers;

    putc('{', writeout->file);

    for (i = 0; i < headers->n; i++) {

        /* not a repeated one */

        if (cmd_headers_get(headers, headers->items[i].name)
            == headers->items[i].value)
        {
            fputs(i ? ",\n" : "", writeout->file);
            cmd_writeout_header(writeout, i);
        }
    }

    fputs("\n}", writeout->file);
}


/* Prints the name and all values of the n-th header. */

static void
cmd_writeout_header(cmd_writeout_t *writeout, size_t n)
{
    char                 *text, *p;
    size_t                i;
    const char           *name;
    const cmd_headers_t  *headers = &writeout->transfer->headers;

    name = headers->items[n].name;
    text = cmd_writeout_quote(name);

    for (p = text; *p; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char) (*p | 0x20);
        }
    }

    fprintf(writeout->file, "%s:[", text);
    free(text);

    for (i = n; i < headers->n; i++) {

        if (strcasecmp(headers->items[i].name, name) == 0) {
            text = cmd_writeout_quote(headers->items[i].value);
            fprintf(writeout->file, "%s%s", i == n ? "" : ",", text);
            free(text);
        }
    }

    putc(']', writeout->file);
}


/* As a JSON string. */

static char *
cmd_writeout_quote(const char *text)
{
    char   *quoted, *copy;
    cJSON  *string;

    string = cJSON_CreateString(text);
    quoted = string ? cJSON_PrintUnformatted(string) : NULL;

    if (quoted == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    copy = cmd_copy(quoted, strlen(quoted));

    cJSON_free(quoted);
    cJSON_Delete(string);

    return copy;
}
