#!/bin/sh
# The last part of `make clean`: offers to delete the containers' volumes too. They hold repositories, evidence and, in
# embedded mode, every work order, so nothing happens without a person's yes. $1: the compose command.
set -eu
compose=$1
command -v "${compose%% *}" >/dev/null 2>&1 || exit 0
volumes=$($compose --profile ui config --volumes 2>/dev/null) || exit 0
[ -n "$volumes" ] || exit 0
if [ ! -t 0 ]; then
    echo "clean: the volumes ($(echo $volumes)) are kept; run it in a terminal to be asked." >&2
    exit 0
fi
printf 'Also stop the containers and delete their volumes (%s)? All work orders in them are lost. [y/N] ' "$(echo $volumes)"
read -r answer
case $answer in
    y | Y | yes) $compose --profile ui down --volumes --remove-orphans ;;
    *) echo "The volumes are kept." ;;
esac
