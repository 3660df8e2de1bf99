
/*
 * Limits of a pump, for use within pump.c and pump_*.c.
 */


#ifndef ATLS_CMD_PUMP_LIMITS_H_INCLUDED
#define ATLS_CMD_PUMP_LIMITS_H_INCLUDED


#define CMD_PUMP_SIZE       (256 * 1024)    /* maximum size of buffered data */
#define CMD_PUMP_DELAY      20              /* milliseconds between polls that
                                               have not waited: minimum */
#define CMD_PUMP_MAX_DELAY  1000            /* and maximum; also for POSTs that
                                               have overtaken another one */


#endif /* ATLS_CMD_PUMP_LIMITS_H_INCLUDED */
