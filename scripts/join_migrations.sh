#!/bin/sh
# Writes migration/awo_setup.sql, the whole schema for the SQL editor, from the parts in migration/awo-*/.
set -eu
cd "$(dirname "$0")/../migration"
{
    echo "-- Agent Work Orders, the whole schema: paste it into Supabase's SQL editor and run it. Safe to run again."
    echo "-- Made by scripts/join_migrations.sh from the parts in awo-*/; change those."
    for part in awo-*/[0-9]*.sql; do
        printf '\n'
        cat "$part"
    done
} >awo_setup.sql
