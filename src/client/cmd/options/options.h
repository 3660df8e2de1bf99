
/* Command line options. */


#ifndef ATLS_CMD_OPTIONS_H_INCLUDED
#define ATLS_CMD_OPTIONS_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

#include "../../lib/atls.h"
#include "../base/list.h"
#include "../coap/coap.h"
#include "form.h"


/* Commands, as bits: an option may be valid for several of them. */

typedef enum {
    CMD_FETCH = 1,
    CMD_FORWARD = 2,
    CMD_TUNNEL = 4,
    CMD_LOCAL_PROXY = 8,
    CMD_RUN = 16,
    CMD_DOCTOR = 32,
    CMD_GATEWAY = 64,
    CMD_PREPARE = 128
} cmd_command_e;


#define CMD_RETRY_UNSET     ((unsigned) -1)


typedef struct {
    cmd_command_e    command;

    cmd_list_t       urls;
    cmd_list_t       outputs;           /* NULL: -O */

    /* the request */

    char            *method;
    char            *data;              /* NULL, or followed by a null */
    size_t           data_size;
    int              get;               /* data are in the URL */
    int              data_json;         /* data are JSON */
    cmd_form_t      *form;              /* NULL: none */
    cmd_list_t       uploads;           /* files; "": none */
    atls_header_t   *headers;           /* NULL value: do not send */
    size_t           nheaders;
    char            *agent;
    char            *user;
    int              head;
    char            *cookie;            /* the string of -b */
    cmd_list_t       cookie_files;
    char            *cookie_jar;
    int              junk_cookies;      /* session cookies of the files */
    int              compressed;
    char            *range;
    int64_t          resume;            /* offset of -C */
    int              resume_auto;       /* -C - */

    /* the response */

    int              include;
    int              fail;
    int              fail_with_body;
    int              location;
    char            *dump;              /* file for headers */
    char            *write_out;

    unsigned         retry;             /* CMD_RETRY_UNSET: not specified */
    int64_t          retry_delay;       /* milliseconds; 0: default */
    int64_t          retry_max_time;    /* milliseconds; 0: none */
    int              retry_connrefused;
    int              retry_all_errors;

    /* messages */

    int              progress_bar;
    int              no_meter;
    int              no_buffer;         /* output is never buffered */
    int              silent;
    int              show_error;
    int              verbose;

    /* the outer connection */

    char            *via;
    char            *via_user;
    cmd_list_t       via_headers;
    cmd_coap_conf_t  coap;
    int              poll;
    char            *proxy;
    char            *proxy_user;
    const char      *proxy_auth;        /* as ATLS_PROXY_AUTH; NULL: default */
    cmd_list_t       proxy_headers;
    char            *no_proxy;
    cmd_list_t       resolve;
    cmd_list_t       connect_to;
    int              ip_version;        /* 4 or 6; 0: both */
    int64_t          rate;              /* bytes per second; 0: unlimited */
    int64_t          post_size;         /* bytes; -1: default */
    int64_t          connect_timeout;   /* milliseconds; -1: default */
    int64_t          max_time;          /* milliseconds; 0: none */

    /* inner TLS */

    char            *ca_file;
    char            *ca_dir;
    char            *pinned_key;
    char            *cert_file;
    char            *key_file;
    char            *passphrase;
    char            *psk_identity;
    char            *psk_key;
    const char      *min_protocol;      /* as ATLS_MIN_PROTOCOL; NULL: */
    const char      *max_protocol;      /* default */
    char            *ciphers;
    char            *ciphersuites;
    char            *session_file;
    int              early_data;
    int              exported_keys;
    int              dtls;
    char            *export_label;
    size_t           export_size;

    char            *association;       /* file */

    int              fallback;
    int              report;

    /* the servers */

    char            *listen;
    int              udp;
    char            *services;          /* file, see services.h */
    int              no_check;
    unsigned         sessions;          /* maximum number */
    int64_t          idle;              /* milliseconds */
    cmd_list_t       hosts;             /* --allow-host */
    int              any_host;

    /* atls proxy and atls run */

    cmd_list_t       maps;
    int              direct;
    char           **program;           /* with its arguments, terminated by
                                           NULL; not allocated */

    /* atls doctor */

    int              json;
    int64_t          wait;              /* milliseconds */

    /* atls gateway */

    cmd_list_t       listens;
    cmd_list_t       to;
    char            *psk_file;
    int64_t          source_rate;       /* bytes per second; 0: Echo */
    unsigned         max_sources;
    unsigned         max_requests;
    int64_t          max_body;
    int64_t          max_memory;
    char            *metrics;

    char            *config;            /* file to be read */
    unsigned         configs;           /* files that are being read */
    int              help;
    int              version;
    int              done;              /* exit: one of these was printed */
} cmd_options_t;


/* Returns an exit code; the options must be freed in any case. */

int cmd_options_parse(cmd_options_t *options, cmd_command_e command, int argc,
    char **argv);

void cmd_options_free(cmd_options_t *options);


#endif /* ATLS_CMD_OPTIONS_H_INCLUDED */
