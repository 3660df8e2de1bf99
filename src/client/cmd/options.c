
/*
 * The command line, see options.h.  Options are defined in a table, which is
 * also used for --help.
 */


#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/http.h"
#include "exitcode.h"
#include "guard.h"
#include "options.h"
#include "util.h"
#include "values.h"


#define CMD_LONG        256             /* getopt values of options without a
                                           letter */

#define CMD_SERVERS     (CMD_FORWARD | CMD_TUNNEL)
#define CMD_CLIENTS     (CMD_FETCH | CMD_FORWARD)
#define CMD_ALL         (CMD_FETCH | CMD_FORWARD | CMD_TUNNEL)

#define CMD_SESSIONS    16
#define CMD_SESSIONS_LIMIT  1024
#define CMD_IDLE        60000           /* milliseconds, less than timeouts of
                                           servers */


typedef struct cmd_option_s  cmd_option_t;

struct cmd_option_s {
    unsigned         commands;
    int              ch;                /* 0: no letter */
    const char      *name;
    const char      *arg;               /* NULL: no argument */
    size_t           offset;
    int            (*set)(cmd_options_t *options, const cmd_option_t *option,
                          char *value);
    const char      *help;
};


static int cmd_options_read(cmd_options_t *options, int argc, char **argv);
static void cmd_options_getopt(const cmd_options_t *options, char *letters,
    struct option *names);
static const cmd_option_t *cmd_options_find(const cmd_options_t *options,
    int ch);
static int cmd_options_unknown(const cmd_options_t *options, int missing,
    const char *arg);
static const char *cmd_options_check(const cmd_options_t *options);
static const char *cmd_options_check_fetch(const cmd_options_t *options);
static const char *cmd_options_check_server(const cmd_options_t *options);
static int cmd_set_flag(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_text(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_secret(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_time(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_sessions(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_host(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_data(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_data_binary(cmd_options_t *options,
    const cmd_option_t *option, char *value);
static int cmd_set_header(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_user(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_psk(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_ciphers(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_export(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_output(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_help(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_version(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static const char *cmd_name(cmd_command_e command);
static const char *cmd_about(cmd_command_e command);
static void cmd_hide(char *value);
static void cmd_list_add(cmd_list_t *list, const char *item);
static void cmd_list_free(cmd_list_t *list);


#define CMD_FIELD(name)  offsetof(cmd_options_t, name)

static const cmd_option_t  cmd_options[] = {

    { CMD_SERVERS, 'l', "listen", "[ADDRESS:]PORT", CMD_FIELD(listen),
      cmd_set_text, "address to listen on" },

    { CMD_FORWARD, 0, "sessions", "N", 0, cmd_set_sessions,
      "maximum number of sessions; default: 16" },

    { CMD_FORWARD, 0, "idle", "SECONDS", CMD_FIELD(idle), cmd_set_time,
      "idle timeout of sessions; default: 60" },

    { CMD_FORWARD, 0, "allow-host", "HOST[:PORT]", 0, cmd_set_host,
      "accept this Host and its web pages" },

    { CMD_FORWARD, 0, "any-host", NULL, CMD_FIELD(any_host), cmd_set_flag,
      "accept any Host and all web pages" },

    { CMD_FETCH, 'X', "request", "METHOD", CMD_FIELD(method), cmd_set_text,
      "request method; default: GET, see -d, -T, -I" },

    { CMD_FETCH, 'd', "data", "DATA", 0, cmd_set_data,
      "request body; @FILE: from a file, @-: stdin" },

    { CMD_FETCH, 0, "data-binary", "DATA", 0, cmd_set_data_binary,
      "as -d, but keep line ends of files" },

    { CMD_FETCH, 'T', "upload-file", "FILE", CMD_FIELD(upload), cmd_set_text,
      "upload a file with PUT; -: stdin" },

    { CMD_FETCH, 'H', "header", "LINE", 0, cmd_set_header,
      "\"Name: value\"; @FILE: from a file" },

    { CMD_FETCH, 'A', "user-agent", "NAME", CMD_FIELD(agent), cmd_set_text,
      "User-Agent of the inner request" },

    { CMD_FETCH, 'u', "user", "NAME:PASSWORD", 0, cmd_set_user,
      "Basic authorization of the inner request" },

    { CMD_FETCH, 'I', "head", NULL, CMD_FIELD(head), cmd_set_flag,
      "send HEAD and print the header" },

    { CMD_FETCH, 'o', "output", "FILE", 0, cmd_set_output,
      "output file; once for each URL" },

    { CMD_FETCH, 'O', "remote-name", NULL, 0, cmd_set_output,
      "name the output file after the URL's path" },

    { CMD_FETCH, 'i', "include", NULL, CMD_FIELD(include), cmd_set_flag,
      "print the response header" },

    { CMD_FETCH, 'f', "fail", NULL, CMD_FIELD(fail), cmd_set_flag,
      "no output and exit code 22 if status >= 400" },

    { CMD_FETCH, 'w', "write-out", "FORMAT", CMD_FIELD(write_out), cmd_set_text,
      "print FORMAT at the end, see the manual" },

    { CMD_FETCH, 's', "silent", NULL, CMD_FIELD(silent), cmd_set_flag,
      "no progress, no error messages" },

    { CMD_SERVERS, 's', "silent", NULL, CMD_FIELD(silent), cmd_set_flag,
      "no log, no error messages" },

    { CMD_ALL, 'S', "show-error", NULL, CMD_FIELD(show_error), cmd_set_flag,
      "print error messages despite -s" },

    { CMD_ALL, 'v', "verbose", NULL, CMD_FIELD(verbose), cmd_set_flag,
      "log both layers to stderr" },

    { CMD_FETCH, 'm', "max-time", "SECONDS", CMD_FIELD(max_time), cmd_set_time,
      "time limit for each URL" },

    { CMD_FORWARD, 'm', "max-time", "SECONDS", CMD_FIELD(max_time),
      cmd_set_time, "time limit for each request" },

    { CMD_ALL, 0, "connect-timeout", "SECONDS", CMD_FIELD(connect_timeout),
      cmd_set_time, "outer connect timeout; default: 30" },

    { CMD_ALL, 0, "via", "URL", CMD_FIELD(via), cmd_set_text,
      "endpoint; default: /.well-known/atls of HOST" },

    { CMD_ALL, 'x', "proxy", "URL", CMD_FIELD(proxy), cmd_set_secret,
      "outer proxy; default: from the environment" },

    { CMD_CLIENTS, 0, "cacert", "FILE", CMD_FIELD(ca_file), cmd_set_text,
      "trusted certificates; default: the system's" },

    { CMD_CLIENTS, 'E', "cert", "FILE", CMD_FIELD(cert_file), cmd_set_text,
      "client certificate and chain, PEM" },

    { CMD_CLIENTS, 0, "key", "FILE", CMD_FIELD(key_file), cmd_set_text,
      "private key; default: from the same file" },

    { CMD_CLIENTS, 0, "pass", "PHRASE", CMD_FIELD(passphrase), cmd_set_secret,
      "passphrase of the private key" },

    { CMD_CLIENTS, 0, "psk", "IDENTITY:KEY", 0, cmd_set_psk,
      "pre-shared key in hex; @FILE: from a file" },

    { CMD_CLIENTS, 0, "tls12", NULL, CMD_FIELD(tls12), cmd_set_flag,
      "use TLS 1.2 instead of 1.3" },

    { CMD_CLIENTS, 0, "ciphers", "LIST", 0, cmd_set_ciphers,
      "cipher suites, OpenSSL names" },

    { CMD_CLIENTS, 0, "session-file", "FILE", CMD_FIELD(session_file),
      cmd_set_text, "store sessions for resumption" },

    { CMD_CLIENTS, 0, "early-data", NULL, CMD_FIELD(early_data), cmd_set_flag,
      "send GET and HEAD as 0-RTT; can be replayed" },

    { CMD_FETCH, 0, "export", "LABEL:LENGTH", 0, cmd_set_export,
      "print keying material on stderr, in hex" },

    { CMD_FETCH, 0, "fallback", NULL, CMD_FIELD(fallback), cmd_set_flag,
      "use plain HTTPS if the certificate is valid" },

    { CMD_FETCH, 0, "report-middlebox", NULL, CMD_FIELD(report), cmd_set_flag,
      "report the outer certificate to the service" },

    { CMD_ALL, 'h', "help", NULL, 0, cmd_set_help, "print this help" },

    { CMD_ALL, 'V', "version", NULL, 0, cmd_set_version, "print the version" },
};

#define CMD_OPTIONS     (sizeof(cmd_options) / sizeof(cmd_options[0]))


static const char  cmd_insecure[] =
    "The service's certificate is always verified, inside ATLS, unless a\n"
    "pre-shared key is used; there is no -k.  The outer certificate is not\n"
    "trusted.\n";


int
cmd_options_parse(cmd_options_t *options, cmd_command_e command, int argc,
    char **argv)
{
    int          code;
    const char  *wrong;

    memset(options, 0, sizeof(cmd_options_t));
    options->command = command;
    options->connect_timeout = -1;
    options->sessions = CMD_SESSIONS;
    options->idle = CMD_IDLE;

    code = cmd_options_read(options, argc, argv);

    if (code != CMD_OK || options->done) {
        return code;
    }

    for ( /* void */ ; optind < argc; optind++) {
        cmd_list_add(&options->urls, argv[optind]);
    }

    wrong = cmd_options_check(options);

    if (wrong == NULL) {
        wrong = command == CMD_FETCH ? cmd_options_check_fetch(options)
                                     : cmd_options_check_server(options);
    }

    if (wrong) {
        code = cmd_fail(CMD_USAGE, "%s; see atls%s --help", wrong,
                        cmd_name(command));
    }

    cmd_fail_silently(options->silent && !options->show_error);

    return code;
}


static int
cmd_options_read(cmd_options_t *options, int argc, char **argv)
{
    int                  ch, code;
    char                 letters[2 * CMD_OPTIONS + 2];
    struct option        names[CMD_OPTIONS + 1];
    const cmd_option_t  *option;

    cmd_options_getopt(options, letters, names);

    opterr = 0;
    code = CMD_OK;

    while (code == CMD_OK && !options->done
           && (ch = getopt_long(argc, argv, letters, names, NULL)) != -1)
    {
        if (ch == '?' || ch == ':') {
            return cmd_options_unknown(options, ch == ':', argv[optind - 1]);
        }

        option = cmd_options_find(options, ch);
        code = option->set(options, option, optarg);
    }

    return code;
}


static void
cmd_options_getopt(const cmd_options_t *options, char *letters,
    struct option *names)
{
    size_t               i;
    const cmd_option_t  *option;

    *letters++ = ':';

    for (i = 0; i < CMD_OPTIONS; i++) {

        option = &cmd_options[i];

        if (!(option->commands & options->command)) {
            continue;
        }

        names->name = option->name;
        names->has_arg = option->arg ? required_argument : no_argument;
        names->flag = NULL;
        names->val = CMD_LONG + (int) i;
        names++;

        if (option->ch) {
            *letters++ = (char) option->ch;

            if (option->arg) {
                *letters++ = ':';
            }
        }
    }

    *letters = '\0';
    memset(names, 0, sizeof(struct option));
}


static const cmd_option_t *
cmd_options_find(const cmd_options_t *options, int ch)
{
    const cmd_option_t  *option;

    if (ch >= CMD_LONG) {
        return &cmd_options[ch - CMD_LONG];
    }

    for (option = cmd_options;
         option->ch != ch || !(option->commands & options->command);
         option++)
    {
        /* void */
    }

    return option;
}


/* An argument may have several letters; optopt is the invalid one. */

static int
cmd_options_unknown(const cmd_options_t *options, int missing,
    const char *arg)
{
    char  letter[] = "-?";

    if (options->command != CMD_TUNNEL
        && (optopt == 'k' || strcmp(arg, "--insecure") == 0))
    {
        fputs(cmd_insecure, stderr);
    }

    if (optopt > 0 && optopt < CMD_LONG) {
        letter[1] = (char) optopt;
        arg = letter;
    }

    return cmd_fail(CMD_USAGE, "%s %s; see atls%s --help",
                    missing ? "missing value for"
                            : "unknown option, or unexpected value:",
                    arg, cmd_name(options->command));
}


/* Checks combinations of options.  Returns an error message or NULL. */

static const char *
cmd_options_check(const cmd_options_t *options)
{
    return options->urls.n == 0
           ? "no URL specified"
           : options->key_file && options->cert_file == NULL
           ? "--key requires --cert"
           : NULL;
}


static const char *
cmd_options_check_fetch(const cmd_options_t *options)
{
    const char  *method;

    method = options->method ? options->method : "GET";

    return !atls_http_is_token(method, strlen(method))
           || strcmp(method, "CONNECT") == 0
           ? "invalid method in -X"
           : options->outputs.n > options->urls.n
           ? "more -o and -O than URLs"
           : (options->data != NULL) + (options->upload != NULL)
             + options->head > 1
           ? "-d, -T and -I are mutually exclusive"
           : options->upload && strcmp(options->upload, "-") == 0
             && options->urls.n > 1
           ? "-T - requires a single URL"
           : options->early_data && options->session_file == NULL
           ? "--early-data requires --session-file"
           : options->early_data && options->report
           ? "--report-middlebox and --early-data are mutually exclusive"
           : options->fallback
             && (options->psk_identity || options->export_label)
           ? "--psk and --export cannot be used with --fallback"
           : NULL;
}


static const char *
cmd_options_check_server(const cmd_options_t *options)
{
    return options->urls.n > 1
           ? "only one URL is allowed"
           : options->listen == NULL
           ? "--listen is required"
           : NULL;
}


void
cmd_options_free(cmd_options_t *options)
{
    size_t  i;

    for (i = 0; i < CMD_OPTIONS; i++) {
        if (cmd_options[i].set == cmd_set_text
            || cmd_options[i].set == cmd_set_secret)
        {
            free(*(char **) ((char *) options + cmd_options[i].offset));
        }
    }

    for (i = 0; i < options->nheaders; i++) {
        free((void *) options->headers[i].name);
        free((void *) options->headers[i].value);
    }

    cmd_list_free(&options->urls);
    cmd_list_free(&options->outputs);
    cmd_list_free(&options->hosts);
    free(options->headers);
    free(options->data);
    free(options->user);
    free(options->psk_identity);
    free(options->psk_key);
    free(options->ciphers);
    free(options->ciphersuites);
    free(options->export_label);
}


/* option handlers */

static int
cmd_set_flag(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) value;

    *(int *) ((char *) options + option->offset) = 1;

    return CMD_OK;
}


static int
cmd_set_text(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    char  **field;

    field = (char **) ((char *) options + option->offset);

    free(*field);
    *field = cmd_copy(value, strlen(value));

    return CMD_OK;
}


static int
cmd_set_secret(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    int  code;

    code = cmd_set_text(options, option, value);
    cmd_hide(value);

    return code;
}


static int
cmd_set_time(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    return cmd_value_time((int64_t *) ((char *) options + option->offset),
                          value);
}


static int
cmd_set_sessions(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    return cmd_value_count(&options->sessions, value, CMD_SESSIONS_LIMIT);
}


static int
cmd_set_host(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    if (!cmd_guard_is_host(value)) {
        return cmd_fail(CMD_USAGE, "invalid \"%s\", must be HOST or HOST:PORT",
                        value);
    }

    cmd_list_add(&options->hosts, value);

    return CMD_OK;
}


static int
cmd_set_data(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    return cmd_value_data(options, value, 0);
}


static int
cmd_set_data_binary(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    return cmd_value_data(options, value, 1);
}


static int
cmd_set_header(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    return cmd_value_header(options, value);
}


static int
cmd_set_user(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    int  code;

    (void) option;

    code = cmd_value_user(options, value);
    cmd_hide(value);

    return code;
}


static int
cmd_set_psk(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    int  code;

    (void) option;

    code = cmd_value_psk(options, value);
    cmd_hide(value);

    return code;
}


static int
cmd_set_ciphers(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    return cmd_value_ciphers(options, value);
}


static int
cmd_set_export(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    return cmd_value_export(options, value);
}


static int
cmd_set_output(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    cmd_list_add(&options->outputs, option->arg ? value : NULL);

    return CMD_OK;
}


static int
cmd_set_help(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    char    column[48];
    size_t  i;

    (void) value;

    fputs(cmd_about(options->command), stdout);

    for (i = 0; i < CMD_OPTIONS; i++) {
        option = &cmd_options[i];

        if (!(option->commands & options->command)) {
            continue;
        }

        snprintf(column, sizeof(column), "%c%c%s --%s %s",
                 option->ch ? '-' : ' ', option->ch ? option->ch : ' ',
                 option->ch ? "," : " ", option->name,
                 option->arg ? option->arg : "");

        printf("  %-30s %s\n", column, option->help);
    }

    if (options->command != CMD_TUNNEL) {
        printf("\n%s", cmd_insecure);
    }

    options->done = 1;

    return fflush(stdout) == 0 ? CMD_OK : CMD_WRITE;
}


static int
cmd_set_version(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;
    (void) value;

    printf("atls %s\n", atls_version());

    options->done = 1;

    return fflush(stdout) == 0 ? CMD_OK : CMD_WRITE;
}


/* The name of a command, with a space. */

static const char *
cmd_name(cmd_command_e command)
{
    return command == CMD_FORWARD ? " forward"
           : command == CMD_TUNNEL ? " tunnel"
           : "";
}


static const char *
cmd_about(cmd_command_e command)
{
    switch (command) {

    case CMD_FORWARD:
        return "Usage: atls forward --listen [ADDRESS:]PORT [option ...]"
               " https://HOST[:PORT]\n\n"
               "Runs a local HTTP server and forwards its requests to HOST"
               " over\nApplication-Layer TLS.\n\n";

    case CMD_TUNNEL:
        return "Usage: atls tunnel --listen [ADDRESS:]PORT [option ...]"
               " https://HOST[:PORT]\n\n"
               "Listens for local TLS clients and passes their bytes to HOST"
               " in POSTs,\nunchanged.  TLS and certificate verification are"
               " up to the client.\n\n";

    default:
        return "Usage: atls [option ...] https://HOST[:PORT][/PATH] ...\n"
               "       atls forward --help\n"
               "       atls tunnel --help\n\n"
               "Sends requests over Application-Layer TLS, with options as in"
               " curl:\n\n";
    }
}


/* Hides a secret from the process list. */

static void
cmd_hide(char *value)
{
    memset(value, '*', strlen(value));
}


static void
cmd_list_add(cmd_list_t *list, const char *item)
{
    list->items = cmd_realloc(list->items, (list->n + 1) * sizeof(char *));
    list->items[list->n++] = item ? cmd_copy(item, strlen(item)) : NULL;
}


static void
cmd_list_free(cmd_list_t *list)
{
    size_t  i;

    for (i = 0; i < list->n; i++) {
        free(list->items[i]);
    }

    free(list->items);
}
