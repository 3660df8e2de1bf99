
/*
 * The command line, see options.h.
 */


#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "../../lib/http.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "config.h"
#include "help.h"
#include "option_curl.h"
#include "option_set.h"
#include "option_table.h"
#include "options.h"
#include "via.h"


/* values of getopt */

#define CMD_ARGUMENT    1               /* no option */
#define CMD_LONG        256             /* options without a letter */

#define CMD_POST_SIZE_MIN   1024
#define CMD_POST_SIZE_MAX   (1024 * 1024 * 1024)

#define CMD_SESSIONS    16
#define CMD_MAX_CONFIGS 10
#define CMD_WAIT        10000           /* milliseconds */

/* of atls gateway */

#define CMD_FORMAT          65000       /* experimental: RFC 7252, 12.3 */
#define CMD_BLOCK_MIN       16
#define CMD_BLOCK_MAX       1024
#define CMD_MAX_SOURCES     10000
#define CMD_MAX_REQUESTS    1000
#define CMD_MAX_BODY        (256 * 1024)
#define CMD_BODY_LIMIT      (1024 * 1024 * 1024)
#define CMD_MAX_MEMORY      (64 * 1024 * 1024)

#define CMD_IDLE        60000           /* milliseconds, less than timeouts of
                                           servers */


/* of getopt */

typedef struct {
    cmd_options_t   *options;
    char            *letters;
    struct option   *names;
} cmd_getopt_t;


static int cmd_options_read(cmd_options_t *options, int argc, char **argv);
static int cmd_options_getopt(const cmd_getopt_t *getopt, int argc,
    char **argv);
static int cmd_options_config(const cmd_getopt_t *getopt);
static int cmd_options_config_line(void *data, char *name, char *value);
static void cmd_options_names(const cmd_options_t *options, char *letters,
    struct option *names);
static const cmd_option_t *cmd_options_find(const cmd_options_t *options,
    int ch);
static int cmd_options_unknown(const cmd_options_t *options, int missing,
    const char *arg);
static int cmd_options_elsewhere(const cmd_options_t *options,
    const char *arg);
static const char *cmd_options_check(const cmd_options_t *options);
static const char *cmd_options_check_coap(const cmd_options_t *options);
static const char *cmd_options_check_fetch(const cmd_options_t *options);
static const char *cmd_options_check_server(const cmd_options_t *options);
static const char *cmd_options_check_run(const cmd_options_t *options);
static const char *cmd_options_check_doctor(const cmd_options_t *options);
static const char *cmd_options_check_gateway(const cmd_options_t *options);
static const char *cmd_options_check_prepare(const cmd_options_t *options);
static int cmd_options_has_coaps(const cmd_options_t *options);


int
cmd_options_parse(cmd_options_t *options, cmd_command_e command, int argc,
    char **argv)
{
    int          code;
    const char  *wrong;

    memset(options, 0, sizeof(cmd_options_t));
    options->command = command;
    options->post_size = -1;
    options->connect_timeout = -1;
    options->retry = CMD_RETRY_UNSET;
    options->sessions = CMD_SESSIONS;
    options->idle = CMD_IDLE;
    options->wait = CMD_WAIT;
    options->coap.format = CMD_FORMAT;
    options->coap.block_size = CMD_BLOCK_MAX;
    options->max_sources = CMD_MAX_SOURCES;
    options->max_requests = CMD_MAX_REQUESTS;
    options->max_body = CMD_MAX_BODY;
    options->max_memory = CMD_MAX_MEMORY;

    code = cmd_options_read(options, argc, argv);

    if (code != CMD_OK) {
        return code;
    }

    if (options->help || options->version) {
        options->done = 1;
        return options->help ? cmd_help(command) : cmd_help_version();
    }

    options->program = &argv[optind];

    for ( /* void */ ; command != CMD_RUN && optind < argc; optind++) {
        cmd_list_add(&options->urls, argv[optind]);
        atls_hide_users(argv[optind]);
    }

    wrong = command & CMD_SERVICES ? cmd_options_check(options) : NULL;

    if (wrong == NULL) {
        wrong = cmd_options_check_coap(options);
    }

    if (wrong == NULL) {
        wrong = command == CMD_FETCH ? cmd_options_check_fetch(options)
                : command == CMD_RUN ? cmd_options_check_run(options)
                : command == CMD_DOCTOR ? cmd_options_check_doctor(options)
                : command == CMD_GATEWAY ? cmd_options_check_gateway(options)
                : command == CMD_PREPARE ? cmd_options_check_prepare(options)
                : cmd_options_check_server(options);
    }

    if (wrong) {
        code = cmd_fail(CMD_USAGE, "%s; see %s --help", wrong,
                        cmd_help_name(command));
    }

    cmd_fail_silently(options->silent && !options->show_error);

    return code;
}


static int
cmd_options_read(cmd_options_t *options, int argc, char **argv)
{
    int           code;
    cmd_getopt_t  getopt;

    getopt.options = options;
    getopt.letters = cmd_alloc(2 * cmd_options_n + 3);
    getopt.names = cmd_alloc((cmd_options_n + 1) * sizeof(struct option));

    cmd_options_names(options, getopt.letters, getopt.names);

    code = cmd_options_getopt(&getopt, argc, argv);

    free(getopt.letters);
    free(getopt.names);

    return code;
}


static int
cmd_options_getopt(const cmd_getopt_t *getopt, int argc, char **argv)
{
    int                  ch, code;
    cmd_options_t       *options = getopt->options;
    const cmd_option_t  *option;

    optind = 0;                         /* lines of a file are parsed, too */
    opterr = 0;
    code = CMD_OK;

    while (code == CMD_OK && !options->help && !options->version
           && (ch = getopt_long(argc, argv, getopt->letters, getopt->names,
                                NULL))
              != -1)
    {
        if (ch == CMD_ARGUMENT) {
            cmd_list_add(&options->urls, optarg);
            atls_hide_users(optarg);
            continue;
        }

        if (ch == '?' || ch == ':') {
            return cmd_options_unknown(options, ch == ':', argv[optind - 1]);
        }

        option = cmd_options_find(options, ch);
        code = option->set(options, option, optarg);

        if (code == CMD_OK && options->config) {
            code = cmd_options_config(getopt);
        }
    }

    return code;
}


/* Reads the file of -K, and continues with the options after it. */

static int
cmd_options_config(const cmd_getopt_t *getopt)
{
    int             code, index;
    char           *file, order;
    cmd_options_t  *options = getopt->options;

    file = options->config;
    options->config = NULL;

    if (options->configs == CMD_MAX_CONFIGS) {
        free(file);
        return cmd_fail(CMD_USAGE, "more than %d files of -K in each other",
                        CMD_MAX_CONFIGS);
    }

    /* an argument ends the options of a line */

    order = getopt->letters[0];
    getopt->letters[0] = '+';
    index = optind;
    options->configs++;

    code = cmd_config_read(file, cmd_options_config_line, (void *) getopt);

    options->configs--;
    optind = index;
    getopt->letters[0] = order;

    free(file);

    return code;
}


static int
cmd_options_config_line(void *data, char *name, char *value)
{
    cmd_getopt_t  *getopt = data;

    int    code, argc;
    char  *argv[] = { "", NULL, value, NULL };

    argv[1] = cmd_format("%s%s", *name == '-' ? "" : "--", name);
    argc = value ? 3 : 2;

    code = cmd_options_getopt(getopt, argc, argv);

    if (code == CMD_OK && optind < argc && *argv[optind]) {
        code = cmd_fail(CMD_USAGE, "unexpected value: %s", argv[1]);
    }

    free(argv[1]);

    return code;
}


static void
cmd_options_names(const cmd_options_t *options, char *letters,
    struct option *names)
{
    size_t               i;
    const cmd_option_t  *option;

    /*
     * Options after the program are options of the program.  Otherwise, URLs
     * and options may have any order, which is kept.
     */

    *letters++ = options->command == CMD_RUN ? '+' : '-';

    /* a missing value is ':' */

    *letters++ = ':';

    for (i = 0; i < cmd_options_n; i++) {

        option = &cmd_options_table[i];

        if (!(option->commands & options->command)) {
            continue;
        }

        names->name = option->name;
        names->has_arg = option->arg ? required_argument : no_argument;
        names->val = CMD_LONG + (int) i;
        names++;

        if (option->ch) {
            *letters++ = (char) option->ch;

            if (option->arg) {
                *letters++ = ':';
            }
        }
    }
}


static const cmd_option_t *
cmd_options_find(const cmd_options_t *options, int ch)
{
    const cmd_option_t  *option;

    if (ch >= CMD_LONG) {
        return &cmd_options_table[ch - CMD_LONG];
    }

    for (option = cmd_options_table;
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

    if ((options->command & CMD_CLIENTS)
        && (optopt == 'k' || strcmp(arg, "--insecure") == 0))
    {
        cmd_help_insecure(stderr);
    }

    if (optopt > 0 && optopt < CMD_LONG) {
        letter[1] = (char) optopt;
        arg = letter;
    }

    if (!missing && cmd_options_elsewhere(options, arg)) {
        return cmd_fail(CMD_USAGE, "%s is not an option of %s; see %s --help",
                        arg, cmd_help_name(options->command),
                        cmd_help_name(options->command));
    }

    if (!missing && options->command == CMD_FETCH && cmd_option_is_curl(arg)) {
        return cmd_fail(CMD_USAGE, "unknown option: %s; try atls run -- curl "
                                   "%s ...", arg, arg);
    }

    return cmd_fail(CMD_USAGE, "%s %s; see %s --help",
                    missing ? "missing value for"
                            : "unknown option, or unexpected value:",
                    arg, cmd_help_name(options->command));
}


/* Whether only other commands have the option, -X or --NAME[=VALUE]. */

static int
cmd_options_elsewhere(const cmd_options_t *options, const char *arg)
{
    int                  found;
    size_t               i, n;
    const cmd_option_t  *option;

    found = 0;
    n = arg[1] == '-' ? strcspn(arg + 2, "=") : 0;

    for (i = 0; i < cmd_options_n; i++) {
        option = &cmd_options_table[i];

        if (n ? strlen(option->name) != n
                || strncmp(option->name, arg + 2, n) != 0
              : option->ch == 0 || option->ch != arg[1])
        {
            continue;
        }

        if (option->commands & options->command) {
            return 0;
        }

        found = 1;
    }

    return found;
}


/* Checks combinations of options.  Returns an error message or NULL. */

static const char *
cmd_options_check(const cmd_options_t *options)
{
    return options->urls.n == 0 && options->services == NULL
           ? "no URL specified"
           : options->key_file && options->cert_file == NULL
           ? "--key requires --cert"
           : options->min_protocol && options->max_protocol
             && strcmp(options->min_protocol, options->max_protocol) > 0
           ? "--tlsv1.3 and --tls-max 1.2 are mutually exclusive"
           : options->pinned_key && options->psk_identity
           ? "--pinnedpubkey and --psk are mutually exclusive"
           : options->post_size != -1
             && (options->post_size < CMD_POST_SIZE_MIN
                 || options->post_size > CMD_POST_SIZE_MAX)
           ? "--post-size must be from 1k to 1G"
           : options->early_data && options->exported_keys
           ? "--early-data and --exported-keys are mutually exclusive"
           : options->dtls && options->exported_keys
           ? "--dtls and --exported-keys are mutually exclusive"
           : options->dtls && options->early_data
           ? "--dtls and --early-data are mutually exclusive"
           : options->dtls && options->min_protocol
             && strcmp(options->min_protocol, "TLSv1.3") == 0
           ? "--dtls and --tlsv1.3 are mutually exclusive"
           : NULL;
}


static const char *
cmd_options_check_coap(const cmd_options_t *options)
{
    const cmd_coap_conf_t  *coap = &options->coap;

    return coap->block_size < CMD_BLOCK_MIN || coap->block_size > CMD_BLOCK_MAX
           ? "--block-size must be from 16 to 1024"
           : coap->key_file && coap->cert_file == NULL
           ? "--via-key requires --via-cert"
           : coap->identity && coap->cert_file
           ? "--via-psk and --via-cert are mutually exclusive"
           : (coap->identity || coap->cert_file)
             && (options->via == NULL
                 || strncasecmp(options->via, "coaps://", 8) != 0)
           ? "--via-psk and --via-cert require a coaps:// endpoint"
           : options->poll && options->via && cmd_via_is_coap(options->via)
           ? "--poll cannot be used with CoAP"
           : options->exported_keys && options->via
             && cmd_via_is_coap(options->via)
           ? "--exported-keys cannot be used with CoAP"
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
           : options->uploads.n > options->urls.n
           ? "more -T than URLs"
           : (options->data && !options->get) + (options->form != NULL)
             + (options->uploads.n != 0) + options->head > 1
           ? "-d, -F, -T and -I are mutually exclusive"
           : options->range && (options->resume || options->resume_auto)
           ? "-r and -C are mutually exclusive"
           : ((options->data && !options->get) || options->form)
             && (options->resume || options->resume_auto)
           ? "-C cannot be used with -d and -F"
           : options->fail && options->fail_with_body
           ? "-f and --fail-with-body are mutually exclusive"
           : options->early_data && options->session_file == NULL
           ? "--early-data requires --session-file"
           : options->early_data && options->report
           ? "--report-middlebox and --early-data are mutually exclusive"
           : options->fallback
             && (options->psk_identity || options->export_label)
           ? "--psk and --export cannot be used with --fallback"
           : options->direct != (options->association != NULL)
           ? "--direct and --association require each other"
           : options->direct && strcmp(options->association, "-") == 0
           ? "--direct requires a file, not -"
           : options->direct && (options->fallback || options->export_label)
           ? "--fallback and --export cannot be used with --direct"
           : NULL;
}


static const char *
cmd_options_check_server(const cmd_options_t *options)
{
    return options->urls.n > 1
           ? "only one URL is allowed"
           : options->urls.n && options->command == CMD_LOCAL_PROXY
           ? "unexpected argument"
           : options->listen == NULL && options->services == NULL
           ? "--listen is required"
           : NULL;
}


static const char *
cmd_options_check_run(const cmd_options_t *options)
{
    return options->program[0] == NULL ? "no program specified" : NULL;
}


static const char *
cmd_options_check_doctor(const cmd_options_t *options)
{
    return options->urls.n > 1
           ? "only one URL is allowed"
           : options->via && cmd_via_is_coap(options->via)
           ? "paths can be tested with HTTP, not with CoAP"
           : NULL;
}


static const char *
cmd_options_check_gateway(const cmd_options_t *options)
{
    return options->urls.n
           ? "unexpected argument"
           : options->listens.n == 0
           ? "--listen is required"
           : options->to.n == 0
           ? "--to is required"
           : options->key_file && options->cert_file == NULL
           ? "--key requires --cert"
           : options->ca_file && options->cert_file == NULL
           ? "--cacert requires --cert"
           : cmd_options_has_coaps(options)
             && options->psk_file == NULL && options->cert_file == NULL
           ? "coaps requires --psk-file or --cert"
           : options->max_sources == 0 || options->max_requests == 0
             || options->max_body == 0 || options->max_memory == 0
           ? "limits must not be 0"
           : options->max_body > CMD_BODY_LIMIT
             || options->source_rate > CMD_BODY_LIMIT
           ? "--max-body and --source-rate must not be larger than 1G"
           : NULL;
}


static const char *
cmd_options_check_prepare(const cmd_options_t *options)
{
    return options->urls.n > 1
           ? "only one URL is allowed"
           : options->association == NULL
           ? "--association is required"
           : NULL;
}


static int
cmd_options_has_coaps(const cmd_options_t *options)
{
    size_t  i;

    for (i = 0; i < options->listens.n; i++) {
        if (strncmp(options->listens.items[i], "coaps:", 6) == 0) {
            return 1;
        }
    }

    return 0;
}


void
cmd_options_free(cmd_options_t *options)
{
    size_t  i;

    for (i = 0; i < cmd_options_n; i++) {
        cmd_set_free(options, &cmd_options_table[i]);
    }

    for (i = 0; i < options->nheaders; i++) {
        free((void *) options->headers[i].name);
        free((void *) options->headers[i].value);
    }

    cmd_list_free(&options->via_headers);
    cmd_wipe(options->coap.identity);
    cmd_wipe(options->coap.key);
    free(options->coap.cert_file);
    free(options->coap.key_file);
    cmd_list_free(&options->cookie_files);
    cmd_wipe(options->cookie);
    cmd_list_free(&options->proxy_headers);
    free(options->headers);
    free(options->data);
    cmd_form_free(options->form);
    free(options->write_out);
    cmd_wipe(options->psk_identity);
    cmd_wipe(options->psk_key);
    free(options->cert_file);
    free(options->ciphers);
    free(options->ciphersuites);
    free(options->export_label);
}
