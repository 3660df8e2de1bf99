
/*
 * The output of -w.
 */


#ifndef ATLS_CMD_WRITEOUT_H_INCLUDED
#define ATLS_CMD_WRITEOUT_H_INCLUDED


#include "transfer.h"


/* Prints the format of -w on stdout. */

void cmd_writeout(const cmd_transfer_t *transfer);


#endif /* ATLS_CMD_WRITEOUT_H_INCLUDED */
