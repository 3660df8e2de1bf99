
/*
 * The configuration of an outer connection: it is checked, and those options of
 * libcurl are set that all POSTs have in common.
 */


#ifndef ATLS_CLIENT_OUTER_SETUP_H_INCLUDED
#define ATLS_CLIENT_OUTER_SETUP_H_INCLUDED


#include "outer.h"


/*
 * Called in this order, with a new handle.  They return 0, or -1 with an error
 * in outer->failure, or without one if there is no memory.
 */

int atls_outer_check(atls_outer_t *outer, const atls_outer_conf_t *conf);
int atls_outer_setup(atls_outer_t *outer, const atls_outer_conf_t *conf);


#endif /* ATLS_CLIENT_OUTER_SETUP_H_INCLUDED */
