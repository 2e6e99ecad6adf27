#!/bin/bash
# Runs the Vendure shop of `cargo xtask bench peer` until standard input closes, which also happens when xtask is
# killed. Then ends both processes and drops database and login. Starts in its own session, so that Ctrl-C in the
# terminal does not end it before it has cleaned up.
# SPDX-License-Identifier: Apache-2.0
set -u
log="$PEER_FOLDER/vendure.log"
: >"$log"
pids=()

sql() {
    PGPASSWORD="$PEER_SUPERUSER_PASSWORD" psql -h 127.0.0.1 -p "$PEER_DATABASE_PORT" -U postgres -d postgres \
        -q -v ON_ERROR_STOP=1 "$@" >>"$log" 2>&1
}

drop() {
    sql -c "drop database if exists $PEER_DATABASE with (force)" && sql -c "drop role if exists $PEER_DATABASE"
}

finish() {
    trap '' TERM INT HUP
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for _ in $(seq 50); do
        kill -0 "${pids[@]}" 2>/dev/null || break
        sleep 0.1
    done
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    drop || cat "$log" >&2
    rm -rf "$PEER_FOLDER/assets" "$PEER_FOLDER/products.csv"
}
trap finish EXIT
trap 'exit 1' TERM INT HUP

shop=(env -u PEER_SUPERUSER_PASSWORD NODE_ENV=production VENDURE_DISABLE_TELEMETRY=true node shop.js)

cd "$PEER_FOLDER" || exit 1
drop || exit 1
# The password reaches psql on standard input, so that it is in no command line.
sql <<<"create role $PEER_DATABASE login password '$PEER_PASSWORD';" || exit 1
sql -c "create database $PEER_DATABASE owner $PEER_DATABASE" || exit 1
"${shop[@]}" seed products.json </dev/null >>"$log" 2>&1 || exit 1
for task in server worker; do
    "${shop[@]}" "$task" </dev/null >>"$log" 2>&1 &
    pids+=($!)
    echo "$task $!"
done
cat >/dev/null
