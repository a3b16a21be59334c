# Sourced by script/test --postgres: a private PostgreSQL and a private Redis from Debian's packages, in a temporary
# folder and on loopback, that end with the shell that sourced this.
# shellcheck shell=bash

SERVERS="$(mktemp -d "${TMPDIR:-/tmp}/second-look-servers.XXXXXX")"
SERVER_PIDS=()
trap stop_servers EXIT
trap 'exit 130' INT TERM HUP

stop_servers() {
  local pid
  # PostgreSQL ends at SIGINT without waiting for its clients; Redis, started in the background, hears only SIGTERM.
  for pid in "${SERVER_PIDS[@]}"; do kill -INT "$pid" 2>/dev/null && kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${SERVER_PIDS[@]}"; do end_of "$pid"; done
  rm -rf "$SERVERS"
}

# end_of PID: wait for it, at most 10 s, then kill it.
end_of() {
  (exec >/dev/null 2>&1; sleep 10 && kill -KILL "$1") &
  local patience=$!
  wait "$1" 2>/dev/null || true
  kill "$patience" 2>/dev/null || true
}

postgres_folder() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }
free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
password() { "$PYTHON" -c 'import secrets; print(secrets.token_hex(16))'; }

# needs WHAT PACKAGE: install Debian's package, or say that it is missing.
needs() {
  can_install_packages || stop "script/test --postgres needs $1 (Debian: apt-get install $2), or its address in the environment."
  install_packages "$2"
}

# Before every command here: it ends with this shell even after kill -9 of it, and PostgreSQL refuses to run as root.
GUARDED=(setpriv --pdeathsig=KILL)
AS_SERVER=("${GUARDED[@]}")

choose_server_user() {
  if [ "$(id -u)" != 0 ]; then return; fi
  local user=nobody
  if id postgres >/dev/null 2>&1; then user=postgres; fi
  AS_SERVER=(setpriv "--reuid=$user" "--regid=$(id -gn "$user")" --clear-groups --pdeathsig=KILL)
}

start_postgres() {
  [ -n "$(postgres_folder)" ] || needs PostgreSQL postgresql
  choose_server_user
  local bin port data="$SERVERS/postgres"
  bin="$(postgres_folder)"
  port="$(free_port)"
  password >"$SERVERS/postgres.password"
  mkdir "$data"
  chmod 711 "$SERVERS"
  if [ "$(id -u)" = 0 ]; then chown "$("${AS_SERVER[@]}" id -u)" "$data" "$SERVERS/postgres.password"; fi
  "${AS_SERVER[@]}" "$bin/initdb" -D "$data" -U secondlook -A scram-sha-256 --pwfile="$SERVERS/postgres.password" \
    -E UTF8 --locale=C.UTF-8 >"$SERVERS/initdb.log" || { cat "$SERVERS/initdb.log"; stop "PostgreSQL's initdb failed."; }
  "${AS_SERVER[@]}" "$bin/postgres" -D "$data" -h 127.0.0.1 -p "$port" -k "$data" -c max_connections=200 \
    >"$SERVERS/postgres.log" 2>&1 &
  SERVER_PIDS+=("$!")
  export PGPASSWORD
  PGPASSWORD="$(cat "$SERVERS/postgres.password")"
  wait_until "PostgreSQL" "$SERVERS/postgres.log" "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"
  "$bin/createdb" -h 127.0.0.1 -p "$port" -U secondlook secondlook
  POSTGRES_URL="postgresql://secondlook:$PGPASSWORD@127.0.0.1:$port/secondlook"
  say "PostgreSQL $("$bin/postgres" --version | awk '{print $3}') on 127.0.0.1:$port."
}

start_redis() {
  command -v redis-server >/dev/null 2>&1 || needs Redis redis-server
  local port secret
  port="$(free_port)"
  secret="$(password)"
  mkdir "$SERVERS/redis"
  printf 'requirepass %s\n' "$secret" >"$SERVERS/redis.conf"
  chmod 600 "$SERVERS/redis.conf"
  "${GUARDED[@]}" redis-server "$SERVERS/redis.conf" --bind 127.0.0.1 --port "$port" --dir "$SERVERS/redis" \
    --appendonly yes --appendfsync everysec --save '' >"$SERVERS/redis.log" 2>&1 &
  SERVER_PIDS+=("$!")
  REDISCLI_AUTH="$secret" wait_until "Redis" "$SERVERS/redis.log" redis-cli -p "$port" ping
  PRIVATE_REDIS_URL="redis://:$secret@127.0.0.1:$port/0"
  say "Redis $(redis-server --version | sed 's/.* v=\([^ ]*\).*/\1/') on 127.0.0.1:$port."
}

# wait_until NAME LOG COMMAND…: until the command succeeds, at most 30 s.
wait_until() {
  local name=$1 log=$2 attempt
  shift 2
  for attempt in $(seq 150); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  cat "$log"
  stop "$name did not answer within 30 s."
}
