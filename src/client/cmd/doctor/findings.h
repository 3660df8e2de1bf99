
/*
 * What atls doctor has found: a line for each check as it is made, or a JSON
 * document at the end.
 */


#ifndef ATLS_CMD_FINDINGS_H_INCLUDED
#define ATLS_CMD_FINDINGS_H_INCLUDED


#include <cjson/cJSON.h>

#include "../../lib/atls.h"


/* In the order of severity; the worst one determines the verdict. */

typedef enum {
    CMD_FINDING_OK,
    CMD_FINDING_SKIPPED,                /* the check was not made */
    CMD_FINDING_NOTE,                   /* ATLS is not affected */
    CMD_FINDING_LIMIT,                  /* ATLS works, but not for everything */
    CMD_FINDING_FAULT                   /* ATLS does not work */
} cmd_finding_e;


typedef struct {
    cJSON           *checks;            /* NULL: lines are printed */
    cmd_finding_e    worst;
} cmd_findings_t;


/* The structure must be freed in any case. */

void cmd_findings_init(cmd_findings_t *findings, int json);
void cmd_findings_free(cmd_findings_t *findings);

/* The advice is a sentence, or "". */

void cmd_findings_add(cmd_findings_t *findings, const char *check,
    cmd_finding_e result, const char *advice, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The same for a fault recognized by the library. */

void cmd_findings_fault(cmd_findings_t *findings, const char *check,
    atls_fault_e fault, const char *text);

/*
 * Prints the verdict.  The code is that of the fault, if there is one.  Returns
 * the exit code.
 */

int cmd_findings_end(cmd_findings_t *findings, const char *endpoint, int code);


#endif /* ATLS_CMD_FINDINGS_H_INCLUDED */
