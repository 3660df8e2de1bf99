
/*
 * A window of numbers that were used, to detect repetitions: RFC 6347, section
 * 4.1.2.6.
 *
 * Plain C, no nginx types.
 */


#ifndef _TRL_WINDOW_H_INCLUDED_
#define _TRL_WINDOW_H_INCLUDED_


#include <stdint.h>


#define TRL_WINDOW_SIZE             64


/*
 * In shared memory.  Numbers below the window count as used.  The words are
 * written in a certain order: a process may die in between.
 */

typedef struct {
    volatile uint64_t   top;                   /* the largest number used */
    volatile uint64_t   used;                  /* bit n % 64: of the number n
                                                  in the window up to top */
} trl_window_t;


/*
 * Marks a number as used; a zeroed window contains all numbers.  Returns 0, or
 * -1: it was used before, or is below the window.  The caller holds the lock.
 */

int trl_window_mark(trl_window_t *window, uint64_t number);


#endif /* _TRL_WINDOW_H_INCLUDED_ */
