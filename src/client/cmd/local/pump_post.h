
/*
 * POSTs of a pump: which ones are sent, and when.
 */


#ifndef ATLS_CMD_PUMP_POST_H_INCLUDED
#define ATLS_CMD_PUMP_POST_H_INCLUDED


#include "pump.h"


/*
 * Sends what there is to be sent now: a POST again, data, or a poll; or adds
 * data to the open POST, or ends it.
 */

atls_error_e cmd_pump_start(cmd_pump_t *pump);

/*
 * Times by atls_clock(), which may be in the past: of a POST that is sent
 * again, and of data.
 */

int64_t cmd_pump_again_at(const cmd_pump_post_t *post);
int64_t cmd_pump_data_at(const cmd_pump_t *pump);

/* Whether there are data for an open POST. */

int cmd_pump_can_add(const cmd_pump_t *pump);


#endif /* ATLS_CMD_PUMP_POST_H_INCLUDED */
