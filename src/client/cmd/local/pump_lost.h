
/*
 * POSTs of a pump that have failed: whether the connection of the program
 * continues.
 */


#ifndef ATLS_CMD_PUMP_LOST_H_INCLUDED
#define ATLS_CMD_PUMP_LOST_H_INCLUDED


#include "pump.h"


/*
 * Returns 1 if the POST is sent again, after a while, or not needed any more;
 * the failure is cleared.  Otherwise, returns 0 and stores the status.
 */

int cmd_pump_again(cmd_pump_post_t *post, atls_error_e error);


#endif /* ATLS_CMD_PUMP_LOST_H_INCLUDED */
