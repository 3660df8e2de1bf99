
/*
 * The command line, see options.h.  Each option has a line in one table, of
 * which --help is made, too.
 */


#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exitcode.h"
#include "options.h"
#include "util.h"
#include "values.h"


#define CMD_LONG        256             /* of getopt: no character */


typedef struct cmd_option_s  cmd_option_t;

struct cmd_option_s {
    int              ch;                /* 0: none */
    const char      *name;
    const char      *arg;               /* NULL: none */
    size_t           offset;
    int            (*set)(cmd_options_t *options, const cmd_option_t *option,
                          char *value);
    const char      *help;
};


static int cmd_options_read(cmd_options_t *options, int argc, char **argv);
static void cmd_options_getopt(char *letters, struct option *names);
static int cmd_options_unknown(int missing, const char *arg);
static int cmd_options_check(const cmd_options_t *options);
static int cmd_set_flag(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_text(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_secret(cmd_options_t *options, const cmd_option_t *option,
    char *value);
static int cmd_set_time(cmd_options_t *options, const cmd_option_t *option,
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
static void cmd_hide(char *value);
static void cmd_list_add(cmd_list_t *list, const char *item);
static void cmd_list_free(cmd_list_t *list);


#define CMD_FIELD(name)  offsetof(cmd_options_t, name)

static const cmd_option_t  cmd_options[] = {

    { 'X', "request", "METHOD", CMD_FIELD(method), cmd_set_text,
      "GET, or what -d, -T and -I make it" },

    { 'd', "data", "DATA", 0, cmd_set_data,
      "send it; @FILE: a file's content, @-: stdin" },

    { 0, "data-binary", "DATA", 0, cmd_set_data_binary,
      "the same, but files keep their line ends" },

    { 'T', "upload-file", "FILE", CMD_FIELD(upload), cmd_set_text,
      "send a file of any size, by PUT; -: stdin" },

    { 'H', "header", "LINE", 0, cmd_set_header,
      "\"Name: value\"; @FILE: several of a file" },

    { 'A', "user-agent", "NAME", CMD_FIELD(agent), cmd_set_text,
      "User-Agent of the inner request" },

    { 'u', "user", "NAME:PASSWORD", 0, cmd_set_user,
      "Basic authorization of the inner request" },

    { 'I', "head", NULL, CMD_FIELD(head), cmd_set_flag,
      "HEAD, and show the header" },

    { 'o', "output", "FILE", 0, cmd_set_output,
      "where the answer goes; once for each URL" },

    { 'O', "remote-name", NULL, 0, cmd_set_output,
      "to a file named as the end of the URL's path" },

    { 'i', "include", NULL, CMD_FIELD(include), cmd_set_flag,
      "the answer's header, too" },

    { 'f', "fail", NULL, CMD_FIELD(fail), cmd_set_flag,
      "no output and exit code 22 if status >= 400" },

    { 'w', "write-out", "FORMAT", CMD_FIELD(write_out), cmd_set_text,
      "print something at the end, see the manual" },

    { 's', "silent", NULL, CMD_FIELD(silent), cmd_set_flag,
      "no progress, no error messages" },

    { 'S', "show-error", NULL, CMD_FIELD(show_error), cmd_set_flag,
      "with -s: error messages" },

    { 'v', "verbose", NULL, CMD_FIELD(verbose), cmd_set_flag,
      "what goes on, on both layers" },

    { 'm', "max-time", "SECONDS", CMD_FIELD(max_time), cmd_set_time,
      "for each URL" },

    { 0, "connect-timeout", "SECONDS", CMD_FIELD(connect_timeout),
      cmd_set_time, "for each outer connection; default: 30" },

    { 0, "via", "URL", CMD_FIELD(via), cmd_set_text,
      "endpoint; default: /.well-known/atls of HOST" },

    { 'x', "proxy", "URL", CMD_FIELD(proxy), cmd_set_secret,
      "of the outer connection; default: environment" },

    { 0, "cacert", "FILE", CMD_FIELD(ca_file), cmd_set_text,
      "trusted certificates; default: the system's" },

    { 'E', "cert", "FILE", CMD_FIELD(cert_file), cmd_set_text,
      "client certificate and chain, PEM" },

    { 0, "key", "FILE", CMD_FIELD(key_file), cmd_set_text,
      "its key; default: in the same file" },

    { 0, "pass", "PHRASE", CMD_FIELD(passphrase), cmd_set_secret,
      "of the key" },

    { 0, "psk", "IDENTITY:KEY", 0, cmd_set_psk,
      "pre-shared key in hex; @FILE: of a file" },

    { 0, "tls12", NULL, CMD_FIELD(tls12), cmd_set_flag,
      "TLS 1.2, not 1.3" },

    { 0, "ciphers", "LIST", 0, cmd_set_ciphers,
      "cipher suites, names of OpenSSL" },

    { 0, "session-file", "FILE", CMD_FIELD(session_file), cmd_set_text,
      "keep sessions to resume them next time" },

    { 0, "early-data", NULL, CMD_FIELD(early_data), cmd_set_flag,
      "0-RTT for GET and HEAD, which can be replayed" },

    { 0, "export", "LABEL:LENGTH", 0, cmd_set_export,
      "print keying material on stderr, in hex" },

    { 0, "fallback", NULL, CMD_FIELD(fallback), cmd_set_flag,
      "plain HTTPS if the certificate verifies" },

    { 0, "report-middlebox", NULL, CMD_FIELD(report), cmd_set_flag,
      "tell the service of the outer certificate" },

    { 'h', "help", NULL, 0, cmd_set_help, "this" },

    { 'V', "version", NULL, 0, cmd_set_version, "of the program" },
};

#define CMD_OPTIONS     (sizeof(cmd_options) / sizeof(cmd_options[0]))


static const char  cmd_insecure[] =
    "The service's certificate is always verified, inside of ATLS, unless\n"
    "a pre-shared key takes its place: there is no -k.  The outer certificate\n"
    "is not relied upon.\n";


int
cmd_options_parse(cmd_options_t *options, int argc, char **argv)
{
    int  code;

    memset(options, 0, sizeof(cmd_options_t));
    options->connect_timeout = -1;

    code = cmd_options_read(options, argc, argv);

    if (code != CMD_OK || options->done) {
        return code;
    }

    for ( /* void */ ; optind < argc; optind++) {
        cmd_list_add(&options->urls, argv[optind]);
    }

    code = cmd_options_check(options);

    cmd_fail_silently(options->silent && !options->show_error);

    return code;
}


static int
cmd_options_read(cmd_options_t *options, int argc, char **argv)
{
    int                  ch, code;
    char                 letters[2 * CMD_OPTIONS + 2];
    size_t               i;
    struct option        names[CMD_OPTIONS + 1];
    const cmd_option_t  *option;

    cmd_options_getopt(letters, names);

    opterr = 0;
    code = CMD_OK;

    while (code == CMD_OK && !options->done
           && (ch = getopt_long(argc, argv, letters, names, NULL)) != -1)
    {
        if (ch == '?' || ch == ':') {
            return cmd_options_unknown(ch == ':', argv[optind - 1]);
        }

        for (i = 0; ch < CMD_LONG && cmd_options[i].ch != ch; i++) {
            /* void */
        }

        option = &cmd_options[ch < CMD_LONG ? i : (size_t) ch - CMD_LONG];
        code = option->set(options, option, optarg);
    }

    return code;
}


static void
cmd_options_getopt(char *letters, struct option *names)
{
    size_t  i;

    *letters++ = ':';

    for (i = 0; i < CMD_OPTIONS; i++) {

        names[i].name = cmd_options[i].name;
        names[i].has_arg = cmd_options[i].arg ? required_argument
                                              : no_argument;
        names[i].flag = NULL;
        names[i].val = CMD_LONG + (int) i;

        if (cmd_options[i].ch) {
            *letters++ = (char) cmd_options[i].ch;

            if (cmd_options[i].arg) {
                *letters++ = ':';
            }
        }
    }

    *letters = '\0';
    memset(&names[i], 0, sizeof(struct option));
}


/* Letters may be several in one argument; optopt is the one. */

static int
cmd_options_unknown(int missing, const char *arg)
{
    char  letter[] = "-?";

    if (optopt == 'k' || strcmp(arg, "--insecure") == 0) {
        fputs(cmd_insecure, stderr);
    }

    if (optopt > 0 && optopt < CMD_LONG) {
        letter[1] = (char) optopt;
        arg = letter;
    }

    return cmd_fail(CMD_USAGE, "%s %s; see atls --help",
                    missing ? "there is a value missing for"
                            : "there is no such option, or not with a value:",
                    arg);
}


/* What can't be together. */

static int
cmd_options_check(const cmd_options_t *options)
{
    const char  *method, *wrong;

    method = options->method ? options->method : "GET";

    wrong = options->urls.n == 0
            ? "there is no URL"
            : !cmd_is_token(method, strlen(method))
              || strcmp(method, "CONNECT") == 0
            ? "-X has no method of HTTP for a resource"
            : options->outputs.n > options->urls.n
            ? "there are more -o and -O than URLs"
            : (options->data != NULL) + (options->upload != NULL)
              + options->head > 1
            ? "-d, -T and -I are one at a time"
            : options->upload && strcmp(options->upload, "-") == 0
              && options->urls.n > 1
            ? "-T - is for one URL"
            : options->key_file && options->cert_file == NULL
            ? "--key is nothing without --cert"
            : options->early_data && options->session_file == NULL
            ? "--early-data is nothing without --session-file"
            : options->early_data && options->report
            ? "--report-middlebox looks before it sends, --early-data does not"
            : options->fallback
              && (options->psk_identity || options->export_label)
            ? "--psk and --export need ATLS, --fallback may not use it"
            : NULL;

    return wrong ? cmd_fail(CMD_USAGE, "%s; see atls --help", wrong) : CMD_OK;
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
    free(options->headers);
    free(options->data);
    free(options->user);
    free(options->psk_identity);
    free(options->psk_key);
    free(options->ciphers);
    free(options->ciphersuites);
    free(options->export_label);
}


/* what options do */

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

    printf("Usage: atls [option ...] https://HOST[:PORT][/PATH] ...\n\n"
           "Requests inside of Application-Layer TLS, with options as those"
           " of curl:\n\n");

    for (i = 0; i < CMD_OPTIONS; i++) {
        option = &cmd_options[i];

        snprintf(column, sizeof(column), "%c%c%s --%s %s",
                 option->ch ? '-' : ' ', option->ch ? option->ch : ' ',
                 option->ch ? "," : " ", option->name,
                 option->arg ? option->arg : "");

        printf("  %-30s %s\n", column, option->help);
    }

    printf("\n%s", cmd_insecure);

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


/* From whoever lists processes. */

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
