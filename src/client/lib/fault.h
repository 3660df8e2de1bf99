
/* Faults on the path: their descriptions. */


#ifndef ATLS_CLIENT_FAULT_H_INCLUDED
#define ATLS_CLIENT_FAULT_H_INCLUDED


#include "atls.h"


/* What happened, as a part of an error text; "" if nothing is to be added. */

const char *atls_fault_text(atls_fault_e fault);

/* A name for programs, such as "no-cookie"; "" without a fault. */

const char *atls_fault_name(atls_fault_e fault);

/* The fault of a status without a problem document of ATLS. */

atls_fault_e atls_fault_by_status(int status);

/* The fault of a problem document of ATLS, by the name in its type. */

atls_fault_e atls_fault_by_problem(const char *name);


#endif /* ATLS_CLIENT_FAULT_H_INCLUDED */
