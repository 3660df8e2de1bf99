
/*
 * A window of numbers, see trl_window.h.
 */


#include "trl_window.h"


/*
 * A bit belongs to the same number as long as this number is in the window.
 * When the window moves, bits of numbers that leave it belong to new ones.
 * Until they are cleared, these count as used, if the process dies.
 */

int
trl_window_mark(trl_window_t *window, uint64_t number)
{
    uint64_t  bit, n, moved;

    bit = (uint64_t) 1 << number % TRL_WINDOW_SIZE;

    if (number > window->top) {
        moved = 0;

        if (number - window->top < TRL_WINDOW_SIZE) {
            for (n = window->top + 1; n < number; n++) {
                moved |= (uint64_t) 1 << n % TRL_WINDOW_SIZE;
            }

        } else {
            moved = UINT64_MAX;
        }

        window->top = number;
        window->used = (window->used & ~moved) | bit;

        return 0;
    }

    if (window->top - number >= TRL_WINDOW_SIZE || (window->used & bit)) {
        return -1;
    }

    window->used |= bit;

    return 0;
}
