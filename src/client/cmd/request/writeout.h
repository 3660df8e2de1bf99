
/* The output of -w. */


#ifndef ATLS_CMD_WRITEOUT_H_INCLUDED
#define ATLS_CMD_WRITEOUT_H_INCLUDED


#include "transfer.h"


/* Prints the values; the code is the exit code of the transfer. */

void cmd_writeout(const cmd_transfer_t *transfer, int code);


#endif /* ATLS_CMD_WRITEOUT_H_INCLUDED */
