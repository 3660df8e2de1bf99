# shellcheck shell=sh
#
# For the other tests: an endpoint in one file of Debian's configuration of
# nginx, and its certificate in $dir.  The configuration is removed at the end.

endpoint=http://localhost:8480/.well-known/atls
conf=/etc/nginx/conf.d/atls-test.conf
dir=$(mktemp -d)


# Fails after about a minute.

wait_for() {
    n=0

    until "$@"; do
        n=$((n + 1))
        [ $n -lt 600 ] || return 1
        sleep 0.1
    done
}


make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout "$dir/localhost.key" -out "$dir/localhost.crt" \
        2>"$dir/err" || { cat "$dir/err"; exit 1; }
}


configure_nginx() {
    cat >$conf <<END
server {
    listen       127.0.0.1:8480;
    server_name  localhost;

    location = /.well-known/atls {
        atls                  on;
        atls_certificate      $dir/localhost.crt;
        atls_certificate_key  $dir/localhost.key;

        return                200 "\$atls_protocol \$request_uri\n";
    }
}
END

    nginx -t
}


request() {
    atls --cacert "$dir/localhost.crt" --via $endpoint \
        https://localhost/test >"$dir/out" 2>"$dir/err"
}


wait_for_nginx() {
    wait_for request || { cat "$dir/err"; exit 1; }
    [ "$(cat "$dir/out")" = "TLSv1.3 /test" ] || { cat "$dir/out"; exit 1; }
}
