# Sourced by the scripts beside it: one nginx worker on loopback that answers every request with a constant, and the
# files that clients need to ask it. Wants PORT and STATUS; sets dir, url, request. Ends with the script that sources it.
PATH="$PATH:/usr/sbin"
dir=$(mktemp -d)
nginx_pid=
trap '[ -z "$nginx_pid" ] || kill "$nginx_pid"; wait; rm -rf "$dir"' EXIT

answer='{"tracking_code":"1234567890123456","status":"covered","message":"covered","notices":[],"id_kind":"national","care":"outpatient","service_date":"2026-11-22","service_date_jalali":"1405/09/01","answered_at":"2026-11-22T08:00:00.000+03:30","as_of":"2026-11-22","snapshot":"2026-11-22-3fa9c1d2e4b5"}'
request='{"person_id":"0000000000","id_kind":"national","care":"outpatient"}'

cat > "$dir/nginx.conf" <<CONF
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log $dir/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $dir; proxy_temp_path $dir; fastcgi_temp_path $dir; uwsgi_temp_path $dir; scgi_temp_path $dir;
  server {
    listen 127.0.0.1:$PORT;
    default_type application/json;
    location / { return $STATUS '$answer'; }
  }
}
CONF
printf '{"request":%s}\n' "$request" > "$dir/targets.ndjson"
echo "peer.none" > "$dir/key"

nginx -e "$dir/error.log" -c "$dir/nginx.conf" &
nginx_pid=$!
url="http://127.0.0.1:$PORT"
tries=0
until curl -s -o /dev/null "$url/"; do
  tries=$((tries + 1))
  [ $tries -lt 50 ] || { echo "nginx does not answer; see its error log:" >&2; cat "$dir/error.log" >&2; exit 1; }
  sleep 0.1
done

# Builds tokio_client beside this, and says where it is.
build_tokio_client() {
  cargo build --release --quiet --manifest-path "$(dirname "$0")/tokio_client/Cargo.toml" --target-dir target/peers
  tokio_client=target/peers/release/tokio_client
}
