
/*
 * The parts of the Test Anything Protocol that unit tests use.
 */


#ifndef _TAP_H_INCLUDED_
#define _TAP_H_INCLUDED_


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int  tap_tests;
static int  tap_failures;


#define ok(pass, ...)  tap_ok((pass) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)


static inline int
tap_ok(int pass, const char *file, int line, const char *name, ...)
{
    va_list  args;

    printf("%sok %d - ", pass ? "" : "not ", ++tap_tests);

    va_start(args, name);
    vprintf(name, args);
    va_end(args);

    printf("\n");

    if (!pass) {
        tap_failures++;
        printf("# failed at %s line %d\n", file, line);
    }

    fflush(stdout);

    return pass;
}


/* A condition without which the test cannot continue. */

#define must(pass)  tap_must((pass) ? 1 : 0, #pass, __FILE__, __LINE__)


static inline void
tap_must(int pass, const char *what, const char *file, int line)
{
    if (!pass) {
        printf("Bail out! %s at %s line %d\n", what, file, line);
        exit(255);
    }
}


static inline int
tap_done(void)
{
    printf("1..%d\n", tap_tests);

    return tap_failures ? 1 : 0;
}


#endif /* _TAP_H_INCLUDED_ */
