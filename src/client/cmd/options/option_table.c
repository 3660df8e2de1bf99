
/*
 * The table of options, see option_table.h.
 */


#include "option_data.h"
#include "option_form.h"
#include "option_header.h"
#include "option_set.h"
#include "option_table.h"
#include "option_tls.h"


#define CMD_FIELD(name)  offsetof(cmd_options_t, name)


const char *const  cmd_sections[CMD_SECTIONS] = {
    "The local server", "The request", "The response", "The connection",
    "The session", "Other options"
};


const cmd_option_t  cmd_options_table[] = {

    { CMD_SECTION_SERVER, CMD_SERVERS, 'l', "listen", "[ADDRESS:]PORT",
      CMD_FIELD(listen), cmd_set_text, "address to listen on, or unix:PATH" },

    { CMD_SECTION_SERVER, CMD_TUNNEL, 0, "udp", NULL,
      CMD_FIELD(udp), cmd_set_flag, "datagrams of DTLS clients" },

    { CMD_SECTION_SERVER, CMD_FORWARD, 0, "services", "FILE",
      CMD_FIELD(services), cmd_set_text,
      "several services: options and a URL a line" },

    { CMD_SECTION_SERVER, CMD_FORWARD, 0, "no-check", NULL,
      CMD_FIELD(no_check), cmd_set_flag,
      "start even if the service cannot be reached" },

    { CMD_SECTION_SERVER, CMD_FORWARD, 0, "sessions", "N",
      0, cmd_set_sessions, "maximum number of sessions; default: 16" },

    { CMD_SECTION_SERVER, CMD_FORWARD, 0, "idle", "SECONDS",
      CMD_FIELD(idle), cmd_set_time, "idle timeout of sessions; default: 60" },

    { CMD_SECTION_SERVER, CMD_FORWARD, 0, "allow-host", "HOST[:PORT]",
      CMD_FIELD(hosts), cmd_set_host, "accept this Host and its web pages" },

    { CMD_SECTION_SERVER, CMD_FORWARD, 0, "any-host", NULL,
      CMD_FIELD(any_host), cmd_set_flag, "accept any Host and all web pages" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 'l', "listen", "URL",
      CMD_FIELD(listens), cmd_set_item,
      "coap:// or coaps:// address to listen on" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "to", "[NAME=]URL",
      CMD_FIELD(to), cmd_set_item, "endpoint of a service" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "psk-file", "FILE",
      CMD_FIELD(psk_file), cmd_set_text,
      "keys of devices for coaps: IDENTITY:KEY a line" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 'E', "cert", "FILE",
      CMD_FIELD(cert_file), cmd_set_text, "certificate for coaps, PEM" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "key", "FILE",
      CMD_FIELD(key_file), cmd_set_text,
      "private key; default: from the same file" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "cacert", "FILE",
      CMD_FIELD(ca_file), cmd_set_text,
      "require certificates of devices, of these CAs" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "source-rate", "BYTES",
      CMD_FIELD(source_rate), cmd_set_size,
      "a second for each address, instead of Echo" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "max-sources", "N",
      CMD_FIELD(max_sources), cmd_set_count,
      "maximum number of devices; default: 10000" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "max-requests", "N",
      CMD_FIELD(max_requests), cmd_set_count,
      "maximum number in progress; default: 1000" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "max-body", "BYTES",
      CMD_FIELD(max_body), cmd_set_size,
      "largest request or response; default: 256k" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "max-memory", "BYTES",
      CMD_FIELD(max_memory), cmd_set_size,
      "memory for all of them; default: 64M" },

    { CMD_SECTION_SERVER, CMD_GATEWAY, 0, "metrics", "[ADDRESS:]PORT",
      CMD_FIELD(metrics), cmd_set_text, "serve metrics, for Prometheus" },

    { CMD_SECTION_CONNECTION, CMD_PROXIES, 0, "map", "HOST[:PORT]=URL",
      CMD_FIELD(maps), cmd_set_url_item, "endpoint of a service" },

    { CMD_SECTION_CONNECTION, CMD_PROXIES, 0, "direct", NULL,
      CMD_FIELD(direct), cmd_set_flag,
      "connect to hosts without ATLS directly" },

    { CMD_SECTION_CONNECTION, CMD_TUNNEL | CMD_PROXIES, 0, "poll", NULL,
      CMD_FIELD(poll), cmd_set_flag,
      "poll for data that the server sends first" },

    { CMD_SECTION_REQUEST, CMD_SERVICES, 0, "url", "URL",
      CMD_FIELD(urls), cmd_set_url_item, "the URL, as an option" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'X', "request", "METHOD",
      CMD_FIELD(method), cmd_set_text,
      "request method; default: GET, see -d, -T, -I" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'd', "data", "DATA",
      0, cmd_set_data, "request body; @FILE: from a file, @-: stdin" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "data-binary", "DATA",
      0, cmd_set_data_binary, "as -d, but keep line ends of @FILE" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "data-raw", "DATA",
      0, cmd_set_data_raw, "as -d, but @ has no special meaning" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "data-urlencode", "DATA",
      0, cmd_set_data_urlencode, "encode DATA: [NAME=]TEXT or [NAME]@FILE" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "json", "DATA",
      0, cmd_set_json, "JSON to send with POST; @FILE: from a file" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'G', "get", NULL,
      CMD_FIELD(get), cmd_set_flag, "append the data to the URL; use GET" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'F', "form", "NAME=VALUE",
      0, cmd_set_form, "a field of a form; @FILE: from a file" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "form-string", "NAME=TEXT",
      0, cmd_set_form_string, "as -F, but @, < and ; have no special meaning" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'T', "upload-file", "FILE",
      CMD_FIELD(uploads), cmd_set_item,
      "upload a file with PUT; once for each URL" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'H', "header", "LINE",
      0, cmd_set_header, "\"Name: value\"; @FILE: from a file" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'A', "user-agent", "NAME",
      CMD_FIELD(agent), cmd_set_text, "User-Agent of the inner request" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'u', "user", "NAME:PASSWORD",
      CMD_FIELD(user), cmd_set_user,
      "Basic authorization of the inner request" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'b', "cookie", "DATA",
      0, cmd_set_cookie, "\"NAME=VALUE; ...\", or a file of cookies" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'c', "cookie-jar", "FILE",
      CMD_FIELD(cookie_jar), cmd_set_text, "write the cookies to a file" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'j', "junk-session-cookies", NULL,
      CMD_FIELD(junk_cookies), cmd_set_flag,
      "ignore session cookies of files" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "compressed", NULL,
      CMD_FIELD(compressed), cmd_set_flag,
      "request a compressed response; decode it" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'r', "range", "RANGE",
      CMD_FIELD(range), cmd_set_range,
      "bytes of the response, as 0-99, 100- or -100" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'C', "continue-at", "OFFSET",
      0, cmd_set_resume, "resume a transfer; -: after the output file" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'L', "location", NULL,
      CMD_FIELD(location), cmd_set_flag, "follow redirects to the same host" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "retry", "N",
      CMD_FIELD(retry), cmd_set_count,
      "after transient errors, repeat N times" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "retry-delay", "SECONDS",
      CMD_FIELD(retry_delay), cmd_set_time, "delay; default: 1, 2, 4, ..." },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "retry-max-time", "SECONDS",
      CMD_FIELD(retry_max_time), cmd_set_time, "time limit for repetitions" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "retry-connrefused", NULL,
      CMD_FIELD(retry_connrefused), cmd_set_flag,
      "repeat if the connection is refused" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 0, "retry-all-errors", NULL,
      CMD_FIELD(retry_all_errors), cmd_set_flag, "repeat after any error" },

    { CMD_SECTION_REQUEST, CMD_FETCH, 'I', "head", NULL,
      CMD_FIELD(head), cmd_set_flag, "send HEAD and print the header" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 'o', "output", "FILE",
      CMD_FIELD(outputs), cmd_set_item, "output file; once for each URL" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 'O', "remote-name", NULL,
      CMD_FIELD(outputs), cmd_set_item,
      "name the output file after the URL's path" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 'i', "include", NULL,
      CMD_FIELD(include), cmd_set_flag, "print the response header" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 'f', "fail", NULL,
      CMD_FIELD(fail), cmd_set_flag,
      "no output and exit code 22 if status >= 400" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 0, "fail-with-body", NULL,
      CMD_FIELD(fail_with_body), cmd_set_flag, "as -f, but with output" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 'D', "dump-header", "FILE",
      CMD_FIELD(dump), cmd_set_text, "write headers to a file; -: stdout" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 'N', "no-buffer", NULL,
      CMD_FIELD(no_buffer), cmd_set_flag, "no effect: output is not buffered" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 'w', "write-out", "FORMAT",
      0, cmd_set_write_out,
      "print FORMAT at the end, see the manual; @FILE" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, '#', "progress-bar", NULL,
      CMD_FIELD(progress_bar), cmd_set_flag, "show a simple progress bar" },

    { CMD_SECTION_RESPONSE, CMD_FETCH, 0, "no-progress-meter", NULL,
      CMD_FIELD(no_meter), cmd_set_flag, "show no progress" },

    { CMD_SECTION_RESPONSE, CMD_DOCTOR, 0, "json", NULL,
      CMD_FIELD(json), cmd_set_flag, "print the findings as JSON" },

    { CMD_SECTION_RESPONSE, CMD_ALL, 's', "silent", NULL,
      CMD_FIELD(silent), cmd_set_flag,
      "no progress, no log, no error messages" },

    { CMD_SECTION_RESPONSE, CMD_ALL, 'S', "show-error", NULL,
      CMD_FIELD(show_error), cmd_set_flag, "print error messages despite -s" },

    { CMD_SECTION_RESPONSE, CMD_ALL, 'v', "verbose", NULL,
      CMD_FIELD(verbose), cmd_set_flag, "log both layers to stderr" },

    { CMD_SECTION_CONNECTION, CMD_TIMED, 'm', "max-time", "SECONDS",
      CMD_FIELD(max_time), cmd_set_time, "time limit for each request" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "connect-timeout", "SECONDS",
      CMD_FIELD(connect_timeout), cmd_set_time,
      "outer connect timeout; default: 30" },

    { CMD_SECTION_CONNECTION, CMD_SERVICES, 0, "via", "URL",
      CMD_FIELD(via), cmd_set_url,
      "endpoint; default: /.well-known/atls of HOST" },

    { CMD_SECTION_CONNECTION, CMD_POSTERS, 0, "via-header", "LINE",
      CMD_FIELD(via_headers), cmd_set_header_line,
      "\"Name: value\" of the outer requests; @FILE" },

    { CMD_SECTION_CONNECTION, CMD_SERVICES, 0, "via-user", "NAME:PASSWORD",
      CMD_FIELD(via_user), cmd_set_user,
      "Basic authorization of the outer requests" },

    { CMD_SECTION_CONNECTION, CMD_DEVICES, 0, "via-psk", "IDENTITY:KEY",
      0, cmd_set_via_psk,
      "key in hex for a coaps:// endpoint; @FILE" },

    { CMD_SECTION_CONNECTION, CMD_DEVICES, 0, "via-cert", "FILE",
      CMD_FIELD(coap.cert_file), cmd_set_text,
      "certificate for a coaps:// endpoint, PEM" },

    { CMD_SECTION_CONNECTION, CMD_DEVICES, 0, "via-key", "FILE",
      CMD_FIELD(coap.key_file), cmd_set_text,
      "private key; default: from the same file" },

    { CMD_SECTION_CONNECTION, CMD_COAP, 0, "content-format", "N",
      CMD_FIELD(coap.format), cmd_set_format,
      "CoAP's format of TLS records; default: 65000" },

    { CMD_SECTION_CONNECTION, CMD_COAP, 0, "block-size", "BYTES",
      CMD_FIELD(coap.block_size), cmd_set_size,
      "largest block of CoAP; default: 1024" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "resolve", "HOST:PORT:ADDRESS",
      CMD_FIELD(resolve), cmd_set_item, "address of an outer host" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "connect-to",
      "HOST1:PORT1:HOST2:PORT2", CMD_FIELD(connect_to), cmd_set_item,
      "connect to HOST2 instead of HOST1" },

    { CMD_SECTION_CONNECTION, CMD_ALL, '4', "ipv4", NULL,
      0, cmd_set_ip_version, "use IPv4 only, for the outer connection" },

    { CMD_SECTION_CONNECTION, CMD_ALL, '6', "ipv6", NULL,
      0, cmd_set_ip_version, "use IPv6 only" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "limit-rate", "BYTES",
      CMD_FIELD(rate), cmd_set_size,
      "maximum bytes per second, as 500, 20k or 3M" },

    { CMD_SECTION_CONNECTION, CMD_SERVERS | CMD_RUN, 0, "retry", "N",
      CMD_FIELD(retry), cmd_set_count,
      "send a POST N times again; default: 5" },

    { CMD_SECTION_CONNECTION, CMD_INSIDE, 0, "post-size", "BYTES",
      CMD_FIELD(post_size), cmd_set_size,
      "maximum size of a POST; default: 1M" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 'x', "proxy", "URL",
      CMD_FIELD(proxy), cmd_set_secret,
      "outer proxy; default: from the environment" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 'U', "proxy-user", "NAME:PASSWORD",
      CMD_FIELD(proxy_user), cmd_set_user, "credentials for the proxy" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "proxy-basic", NULL,
      0, cmd_set_proxy_auth, "send them at once, as Basic: the default" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "proxy-digest", NULL,
      0, cmd_set_proxy_auth, "use Digest authentication" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "proxy-negotiate", NULL,
      0, cmd_set_proxy_auth, "use Negotiate (Kerberos) authentication" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "proxy-ntlm", NULL,
      0, cmd_set_proxy_auth, "use NTLM authentication" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "proxy-anyauth", NULL,
      0, cmd_set_proxy_auth, "use what the proxy supports" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "proxy-header", "LINE",
      CMD_FIELD(proxy_headers), cmd_set_header_line,
      "\"Name: value\" for the proxy; @FILE: from a file" },

    { CMD_SECTION_CONNECTION, CMD_ALL, 0, "noproxy", "HOSTS",
      CMD_FIELD(no_proxy), cmd_set_text,
      "hosts without a proxy, comma-separated; *: all" },

    { CMD_SECTION_CONNECTION, CMD_FETCH, 0, "fallback", NULL,
      CMD_FIELD(fallback), cmd_set_flag,
      "use plain HTTPS if the certificate is valid" },

    { CMD_SECTION_CONNECTION, CMD_FETCH, 0, "direct", NULL,
      CMD_FIELD(direct), cmd_set_flag,
      "use HTTPS with --association, if possible" },

    { CMD_SECTION_CONNECTION, CMD_FETCH, 0, "report-middlebox", NULL,
      CMD_FIELD(report), cmd_set_flag,
      "report the outer certificate to the service" },

    { CMD_SECTION_CONNECTION, CMD_DOCTOR, 0, "wait", "SECONDS",
      CMD_FIELD(wait), cmd_set_time, "time to test timeouts; default: 10" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "cacert", "FILE",
      CMD_FIELD(ca_file), cmd_set_text,
      "trusted certificates; default: the system's" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "capath", "DIR",
      CMD_FIELD(ca_dir), cmd_set_text, "directory of these, hashed" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "pinnedpubkey", "KEY",
      CMD_FIELD(pinned_key), cmd_set_text,
      "key file of the service, or sha256//..." },

    { CMD_SECTION_SESSION, CMD_INSIDE, 'E', "cert", "FILE[:PHRASE]",
      0, cmd_set_cert, "client certificate and chain, PEM" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "key", "FILE",
      CMD_FIELD(key_file), cmd_set_text,
      "private key; default: from the same file" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "pass", "PHRASE",
      CMD_FIELD(passphrase), cmd_set_secret, "passphrase of the private key" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "psk", "IDENTITY:KEY",
      0, cmd_set_psk, "pre-shared key in hex; @FILE: from a file" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "tlsv1.2", NULL,
      0, cmd_set_min_protocol, "use TLS 1.2 or later: the default" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "tlsv1.3", NULL,
      0, cmd_set_min_protocol, "use TLS 1.3" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "tls-max", "VERSION",
      0, cmd_set_max_protocol, "highest TLS version: 1.2 or 1.3" },

    { CMD_SECTION_SESSION, CMD_INSIDE, 0, "ciphers", "LIST",
      0, cmd_set_ciphers, "cipher suites, OpenSSL names" },

    { CMD_SECTION_SESSION, CMD_CLIENTS, 0, "session-file", "FILE",
      CMD_FIELD(session_file), cmd_set_text, "store sessions for resumption" },

    { CMD_SECTION_SESSION, CMD_PREPARE, 0, "association", "FILE",
      CMD_FIELD(association), cmd_set_text,
      "where to store the association; -: stdout" },

    { CMD_SECTION_SESSION, CMD_FETCH, 0, "association", "FILE",
      CMD_FIELD(association), cmd_set_text,
      "associations of atls prepare, for --direct" },

    { CMD_SECTION_SESSION, CMD_CLIENTS, 0, "early-data", NULL,
      CMD_FIELD(early_data), cmd_set_flag,
      "send GET and HEAD as 0-RTT; can be replayed" },

    { CMD_SECTION_SESSION, CMD_CLIENTS, 0, "exported-keys", NULL,
      CMD_FIELD(exported_keys), cmd_set_flag,
      "encrypt each request with a key of its own" },

    { CMD_SECTION_SESSION, CMD_CLIENTS, 0, "dtls", NULL,
      CMD_FIELD(dtls), cmd_set_flag, "use DTLS 1.2, with a request a POST" },

    { CMD_SECTION_SESSION, CMD_FETCH, 0, "export", "LABEL:LENGTH",
      0, cmd_set_export, "print keying material on stderr, in hex" },

    { CMD_SECTION_OTHER, CMD_CONFIGURED, 'K', "config", "FILE",
      CMD_FIELD(config), cmd_set_text, "read options from a file; -: stdin" },

    { CMD_SECTION_OTHER, CMD_ALL, 'h', "help", NULL,
      CMD_FIELD(help), cmd_set_flag, "print this help" },

    { CMD_SECTION_OTHER, CMD_ALL, 'V', "version", NULL,
      CMD_FIELD(version), cmd_set_flag, "print the version" },
};

const size_t  cmd_options_n = sizeof(cmd_options_table)
                              / sizeof(cmd_options_table[0]);
