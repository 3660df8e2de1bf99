
/* Lines of files with options: those of -K and --services. */


#ifndef ATLS_CMD_LINE_H_INCLUDED
#define ATLS_CMD_LINE_H_INCLUDED


#define CMD_LINE_BLANK      " \t\r"

#define CMD_LINE_UNQUOTED   "missing closing quotation mark"


/*
 * Returns the next line with an option, without blanks at its beginning, or
 * NULL at the end.  Empty lines and comments are skipped.  The text is changed;
 * number is that of the line, 0 at first.
 */

char *cmd_line_next(char **text, unsigned *number);

/*
 * Reads a string after its quotation mark, with escape sequences as in curl's
 * files: \\, \", \t, \n, \r and \v.  The result replaces the text.  Returns
 * what follows the second quotation mark, or NULL if there is none.
 */

char *cmd_line_string(char *text);


#endif /* ATLS_CMD_LINE_H_INCLUDED */
