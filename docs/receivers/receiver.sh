#!/bin/sh
# usage: TOKEN=secret receiver.sh SCRIPT [ADDRESS:PORT]      runs SCRIPT RESOURCE DIGEST for each push, once
# `harbinger listen` speaks HTTP, checks the token, and answers 200 when this script exits with 0, else 500.
set -eu
if [ "${1:-}" != --deliver ]; then
    RECEIVER_SCRIPT=$1 RECEIVER_SELF=$0 SEEN=${SEEN:-./seen}
    export RECEIVER_SCRIPT RECEIVER_SELF SEEN
    mkdir -p "$SEEN"
    exec "${HARBINGER:-harbinger}" listen --listen "${2:-127.0.0.1:9090}" --auth-header "Bearer $TOKEN" \
        --exec 'exec sh "$RECEIVER_SELF" --deliver'
fi
cat >"$SEEN/body.$$" # the whole event, for scripts that want more of it
trap 'rm -f "$SEEN/body.$$"' EXIT
[ "$HARBINGER_EVENT_TYPE" = PUSH_ARTIFACT ] || exit 0
[ ! -e "$SEEN/$HARBINGER_EVENT_ID" ] || exit 0 # sent again: it was done before
"$RECEIVER_SCRIPT" "$HARBINGER_EVENT_RESOURCE" "$HARBINGER_EVENT_DIGEST" <"$SEEN/body.$$"
: >"$SEEN/$HARBINGER_EVENT_ID"
