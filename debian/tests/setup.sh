# shellcheck shell=sh
#
# For the other tests: endpoints in one file of Debian's configuration of nginx,
# and their certificate in $dir.  The configuration is removed at the end.  Those
# for systemd have a $unit.

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
    listen                127.0.0.1:8480;
    server_name           localhost;

    atls_certificate      $dir/localhost.crt;
    atls_certificate_key  $dir/localhost.key;

    location = /.well-known/atls {
        atls    on;
        return  200 "\$atls_protocol \$request_uri\n";
    }

    location /.well-known/atls/ {
        atls                   on;
        atls_session_tracking  location;

        return                 200 "\$atls_protocol \$request_uri\n";
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


fail() {
    echo "$*" >&2
    systemctl status --no-pager $unit || :
    journalctl --no-pager -u $unit || :
    exit 1
}


failed() {
    [ "$(systemctl show -P ActiveState $unit)" = failed ]
}


check_unit() {
    systemd-analyze verify $unit 2>&1 | grep -v "'man .*' failed" || :
    systemd-analyze security --no-pager --threshold=20 $unit | tail -n 1
}


is_no_root() {
    [ "$(stat -c %u /proc/"$(systemctl show -P MainPID $unit)")" != 0 ]
}


# end_unit FILE LINE: stops the unit.  It cannot be started with this line in its
# file, which has an invalid option, or without the file.

end_unit() {
    echo "== stop"
    systemctl stop $unit
    [ "$(systemctl show -P Result $unit)" = success ] || fail "not stopped"

    echo "== an invalid option"
    echo "$2" >"$1"
    systemctl start $unit || :
    wait_for failed || fail "no failure"
    [ "$(systemctl show -P NRestarts $unit)" = 0 ] || fail "restarted"
    systemctl reset-failed $unit

    echo "== no file"
    rm "$1"
    ! systemctl start $unit || fail "started"
}
