-- Agent Work Orders: takes part 5 of 6 back (reading). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in (
      'awo_get_v1', 'awo_steps_v1', 'awo_artifacts_v1', 'awo_matches_v1',
      'awo_list_v1', 'awo_counts_v1', 'awo_events_v1', 'awo_changes_v1',
      'awo_last_rev_v1', 'awo_look_v1', 'awo_check_v1'
    )
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  update public.agent_work_order_change_head set schema_version = 4;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '005_reading';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
