
/*
 * Options of curl, see option_curl.h.  docs/clients.md says why they are not
 * here, which t/atls-curl-options.t compares.  --insecure is not among them,
 * since curl should not be used with it, either.
 */


#include <stdlib.h>
#include <string.h>

#include "../base/util.h"
#include "option_curl.h"


static const char  cmd_option_curl_letters[] = "aqPg0lMn:ZpQeJRYy23tz1B";

static const char  cmd_option_curl_names[] =
    " abstract-unix-socket alt-svc anyauth append aws-sigv4 basic"
    " ca-native cert-status cert-type compressed-ssh create-dirs"
    " create-file-mode crlf crlfile curves data-ascii delegation digest"
    " disable disable-eprt disable-epsv disallow-username-in-url"
    " dns-interface dns-ipv4-addr dns-ipv6-addr dns-servers"
    " doh-cert-status doh-insecure doh-url dump-ca-embed ech"
    " egd-file engine etag-compare etag-save expect100-timeout"
    " fail-early false-start follow form-escape ftp-account"
    " ftp-alternative-to-user ftp-create-dirs ftp-method ftp-pasv"
    " ftp-port ftp-pret ftp-skip-pasv-ip ftp-ssl-ccc ftp-ssl-ccc-mode"
    " ftp-ssl-control globoff happy-eyeballs-timeout-ms haproxy-clientip"
    " haproxy-protocol hostpubmd5 hostpubsha256 hsts http0.9 http1.0"
    " http1.1 http2 http2-prior-knowledge http3 http3-only httpsig-algo"
    " httpsig-headers httpsig-key httpsig-keyid ignore-content-length"
    " interface ip-tos ipfs-gateway keepalive-cnt keepalive-time key-type"
    " knownhosts krb libcurl list-only local-port location-trusted"
    " login-options mail-auth mail-from mail-rcpt mail-rcpt-allowfails"
    " manual max-filesize max-redirs metalink mptcp negotiate netrc"
    " netrc-file netrc-optional next no-alpn no-clobber no-keepalive"
    " no-npn no-sessionid ntlm ntlm-wb oauth2-bearer out-null output-dir"
    " parallel parallel-immediate parallel-max parallel-max-host"
    " path-as-is post301 post302 post303 preproxy proto proto-default"
    " proto-redir proxy-ca-native proxy-cacert proxy-capath proxy-cert"
    " proxy-cert-type proxy-ciphers proxy-crlfile proxy-http2"
    " proxy-http3 proxy-insecure proxy-key proxy-key-type proxy-pass"
    " proxy-pinnedpubkey proxy-service-name proxy-ssl-allow-beast"
    " proxy-ssl-auto-client-cert proxy-tls13-ciphers proxy-tlsauthtype"
    " proxy-tlspassword proxy-tlsuser proxy-tlsv1 proxy1.0 proxytunnel"
    " pubkey quote random-file rate raw referer remote-header-name"
    " remote-name-all remote-time remove-on-error request-target"
    " sasl-authzid sasl-ir service-name show-headers sigalgs"
    " skip-existing socks4 socks4a socks5 socks5-basic socks5-gssapi"
    " socks5-gssapi-nec socks5-gssapi-service socks5-hostname speed-limit"
    " speed-time ssl ssl-allow-beast ssl-auto-client-cert ssl-no-revoke"
    " ssl-reqd ssl-revoke-best-effort ssl-sessions sslv2 sslv3 stderr"
    " styled-output suppress-connect-headers tcp-fastopen tcp-nodelay"
    " telnet-option tftp-blksize tftp-no-options time-cond tls-earlydata"
    " tls13-ciphers tlsauthtype tlspassword tlsuser tlsv1 tlsv1.0"
    " tlsv1.1 tr-encoding trace trace-ascii trace-config trace-ids"
    " trace-time unix-socket upload-flags url-query use-ascii variable"
    " vlan-priority xattr ";


int
cmd_option_is_curl(const char *arg)
{
    int    found;
    char  *name;

    if (strncmp(arg, "--", 2) != 0) {
        return arg[0] == '-' && arg[1]
               && strchr(cmd_option_curl_letters, arg[1]) != NULL;
    }

    name = cmd_format(" %s ", arg + 2);
    found = strstr(cmd_option_curl_names, name) != NULL;
    free(name);

    return found;
}
