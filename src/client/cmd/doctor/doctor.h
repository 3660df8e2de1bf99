
/* atls doctor: what the path does to ATLS. */


#ifndef ATLS_CMD_DOCTOR_H_INCLUDED
#define ATLS_CMD_DOCTOR_H_INCLUDED


/* Returns an exit code. */

int cmd_doctor(int argc, char **argv);


#endif /* ATLS_CMD_DOCTOR_H_INCLUDED */
