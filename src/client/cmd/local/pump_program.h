
/*
 * The local program of a pump: data that it has sent, and those that it has not
 * read yet.  cmd_pump_receive() is in pump.h.
 */


#ifndef ATLS_CMD_PUMP_PROGRAM_H_INCLUDED
#define ATLS_CMD_PUMP_PROGRAM_H_INCLUDED


#include "pump.h"


/*
 * Read and write what is possible without waiting.  At the end of the data of
 * the program, or on error, pump->ended or pump->gone is set.
 */

void cmd_pump_read(cmd_pump_t *pump);
void cmd_pump_write(cmd_pump_t *pump);

/* Sets pump->gone if the program has not read for too long. */

void cmd_pump_stall(cmd_pump_t *pump);


#endif /* ATLS_CMD_PUMP_PROGRAM_H_INCLUDED */
