
/* --report-middlebox: the outer certificate in an inner header. */


#ifndef ATLS_CMD_REPORT_H_INCLUDED
#define ATLS_CMD_REPORT_H_INCLUDED


#include "../../lib/atls.h"


#define CMD_REPORT_HEADER   "ATLS-Outer-Certificate"


/*
 * Returns the value of the header, a dictionary of structured fields (RFC
 * 9651), which must be freed:
 *
 *     sha-256=:...:, subject="CN=...", issuer="CN=...", verified=?0
 */

char *cmd_report(const atls_outer_info_t *info);


#endif /* ATLS_CMD_REPORT_H_INCLUDED */
