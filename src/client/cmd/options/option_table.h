
/*
 * The table of options: a row for each option.
 */


#ifndef ATLS_CMD_OPTION_TABLE_H_INCLUDED
#define ATLS_CMD_OPTION_TABLE_H_INCLUDED


#include "options.h"


/* Commands that have an option in common. */

#define CMD_ALL         (CMD_SERVICES | CMD_PROXIES | CMD_GATEWAY)
#define CMD_SERVICES    (CMD_INSIDE | CMD_TUNNEL)   /* have a URL */
#define CMD_INSIDE      (CMD_CLIENTS | CMD_DOCTOR | CMD_PREPARE)
                                                    /* have an inner TLS */
#define CMD_CLIENTS     (CMD_FETCH | CMD_FORWARD)   /* send requests */
#define CMD_SERVERS     (CMD_FORWARD | CMD_TUNNEL | CMD_LOCAL_PROXY)
#define CMD_PROXIES     (CMD_LOCAL_PROXY | CMD_RUN)
#define CMD_POSTERS     (CMD_SERVICES | CMD_GATEWAY)    /* have an endpoint */
#define CMD_DEVICES     (CMD_CLIENTS | CMD_TUNNEL)  /* can use a gateway */
#define CMD_COAP        (CMD_DEVICES | CMD_GATEWAY)
#define CMD_TIMED       (CMD_CLIENTS | CMD_GATEWAY | CMD_PREPARE)
#define CMD_CONFIGURED  (CMD_FETCH | CMD_GATEWAY)


/* Sections of --help, in their order. */

typedef enum {
    CMD_SECTION_SERVER,
    CMD_SECTION_REQUEST,
    CMD_SECTION_RESPONSE,
    CMD_SECTION_CONNECTION,
    CMD_SECTION_SESSION,
    CMD_SECTION_OTHER,
    CMD_SECTIONS
} cmd_section_e;


typedef struct cmd_option_s  cmd_option_t;

/*
 * A handler: stores the value of an option, which is NULL if it has none.  The
 * value may be changed.  Returns an exit code.
 */

typedef int (*cmd_set_pt)(cmd_options_t *options, const cmd_option_t *option,
    char *value);

struct cmd_option_s {
    cmd_section_e    section;
    unsigned         commands;          /* bits of cmd_command_e */
    int              ch;                /* 0: no letter */
    const char      *name;
    const char      *arg;               /* NULL: no value */
    size_t           offset;            /* of the field in cmd_options_t */
    cmd_set_pt       set;
    const char      *help;
};


extern const cmd_option_t  cmd_options_table[];
extern const size_t        cmd_options_n;

extern const char *const   cmd_sections[CMD_SECTIONS];      /* titles */


#endif /* ATLS_CMD_OPTION_TABLE_H_INCLUDED */
