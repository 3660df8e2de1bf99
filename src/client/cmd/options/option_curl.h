
/* Options of curl that the command does not have. */


#ifndef ATLS_CMD_OPTION_CURL_H_INCLUDED
#define ATLS_CMD_OPTION_CURL_H_INCLUDED


/* Whether an argument is one of them. */

int cmd_option_is_curl(const char *arg);


#endif /* ATLS_CMD_OPTION_CURL_H_INCLUDED */
