
/*
 * The progress bar of -#, see bar.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../lib/clock.h"
#include "bar.h"


#define CMD_BAR_INTERVAL    100         /* milliseconds */
#define CMD_BAR_WIDTH       79
#define CMD_BAR_MIN         20
#define CMD_BAR_MAX         256
#define CMD_BAR_PERCENT     7           /* columns of " 100.0%" */
#define CMD_BAR_SIGN        "-=O=-"


static int cmd_bar_width(void);
static void cmd_bar_move(cmd_bar_t *bar, int64_t bytes);
static void cmd_bar_show(const cmd_bar_t *bar, int64_t bytes, int64_t total);


void
cmd_bar_begin(cmd_bar_t *bar)
{
    memset(bar, 0, sizeof(cmd_bar_t));

    bar->width = cmd_bar_width();
    bar->step = 1;
}


static int
cmd_bar_width(void)
{
    long             width;
    char            *end;
    const char      *columns;
    struct winsize   size;

    columns = getenv("COLUMNS");
    width = columns ? strtol(columns, &end, 10) : 0;

    if (columns == NULL || end == columns || *end || width <= CMD_BAR_MIN) {
        width = ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    }

    return width <= CMD_BAR_MIN ? CMD_BAR_WIDTH
           : width > CMD_BAR_MAX ? CMD_BAR_MAX
           : (int) width;
}


void
cmd_bar_update(cmd_bar_t *bar, int64_t bytes, int64_t total)
{
    int      early;
    int64_t  now;

    now = atls_clock();
    early = now - bar->last < CMD_BAR_INTERVAL;

    if (bar->calls) {

        if (total ? bytes == bar->bytes || (early && bytes < total) : early) {
            return;
        }

        if (total == 0) {
            cmd_bar_move(bar, bytes);
        }
    }

    if (total && bytes != bar->bytes) {
        cmd_bar_show(bar, bytes, total);
    }

    bar->calls++;
    bar->bytes = bytes;
    bar->last = now;
}


/* Something moves as long as bytes are transferred. */

static void
cmd_bar_move(cmd_bar_t *bar, int64_t bytes)
{
    int  room;

    room = bar->width - (int) sizeof(CMD_BAR_SIGN);

    fprintf(stderr, "%*s%s%*s\r", bar->position, "", CMD_BAR_SIGN,
            room - bar->position, "");

    if (bytes != bar->bytes) {

        if (bar->position + bar->step < 0 || bar->position + bar->step > room) {
            bar->step = -bar->step;
        }

        bar->position += bar->step;
    }
}


static void
cmd_bar_show(const cmd_bar_t *bar, int64_t bytes, int64_t total)
{
    int     n, width;
    char    line[CMD_BAR_MAX];
    double  part;

    part = bytes < total ? (double) bytes / (double) total : 1;
    width = bar->width - CMD_BAR_PERCENT;
    n = (int) (width * part);

    memset(line, '#', sizeof(line));

    fprintf(stderr, "\r%.*s%*s %5.1f%%", n, line, width - n, "", part * 100);
}


void
cmd_bar_end(cmd_bar_t *bar)
{
    if (bar->calls) {
        fputc('\n', stderr);
    }
}
