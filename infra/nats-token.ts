/**
 * How managed NATS servers get their token, and a changed one. A server reads variables once and its configuration again at
 * SIGHUP, so a script adds the token to the configuration, starts the server, and watches the mounted secret.
 */

/**
 * Seconds from seeing a changed token to using it. A server that uses a new token disconnects everybody and admits only those
 * who know it. A kubelet brings a changed secret into the pods of its node within 90 seconds (its `syncFrequency` of one
 * minute, and half of that as jitter), so by then every pod has it.
 */
const tokenDelaySeconds = 90;

/**
 * The script. Arguments: the file with the token, the configuration, the file for the configuration with the token, and the
 * command of the server. The server takes the place of the script, so that signals and exit codes are its own; the watcher
 * lives in the background, and ends with the server.
 */
export function tokenScript(): string {
  return `# Starts a NATS server with the token of a mounted secret, and has it take over a changed one.
delay=${tokenDelaySeconds}
poll=5
token=$1 config=$2 target=$3
shift 3
umask 077

write() {
  { cat "$config" && printf "authorization { token: '%s' }\\n" "$1"; } >"$target.new" && mv "$target.new" "$target"
}

active=$(cat "$token") && write "$active" || exit 1
(
  age=0
  while sleep "$poll" && kill -0 $$; do
    now=$(cat "$token") || continue
    [ "$now" = "$seen" ] || age=0
    seen=$now
    age=$((age + poll))
    if [ "$now" != "$active" ] && [ "$age" -gt "$delay" ]; then
      write "$now" && kill -HUP $$ && active=$now && echo "the token has changed"
    fi
  done
) 2>/dev/null &
exec "$@" --config "$target"
`;
}
