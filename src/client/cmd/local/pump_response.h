
/*
 * Responses to the POSTs of a pump: their bytes, their order, and their end, or
 * that there is none.
 */


#ifndef ATLS_CMD_PUMP_RESPONSE_H_INCLUDED
#define ATLS_CMD_PUMP_RESPONSE_H_INCLUDED


#include "pump.h"


/*
 * Takes the result of the POST, if it has ended.  Returns ATLS_OK, or an error
 * after which the connection of the program cannot continue; so do the others.
 */

atls_error_e cmd_pump_ended(cmd_pump_post_t *post);

/* The same if the connection of an open POST was closed; whether it was. */

int cmd_pump_is_cut(const cmd_pump_t *pump);
atls_error_e cmd_pump_cut(cmd_pump_t *pump);

/* The same if there was no response to the POST in time. */

atls_error_e cmd_pump_overdue(cmd_pump_post_t *post);

/* Receives data; whether the POST has ended.  cmd_pump_ended() tells how. */

int cmd_pump_has_ended(cmd_pump_post_t *post);

/* Continues with responses that do not have to wait any more. */

void cmd_pump_resume(cmd_pump_t *pump);

/* Callbacks of the connection, with a cmd_pump_post_t. */

int cmd_pump_full(void *data);
atls_error_e cmd_pump_sink(void *data, const unsigned char *bytes, size_t n);


#endif /* ATLS_CMD_PUMP_RESPONSE_H_INCLUDED */
