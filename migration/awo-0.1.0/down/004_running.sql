-- Agent Work Orders: takes part 4 of 6 back (running). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in (
      'awo_renew_v1', 'awo_append_v1', 'awo_record_v1', 'awo_start_step_v1',
      'awo_finish_step_v1', 'awo_put_artifact_v1', 'awo_finish_v1', 'awo_give_up_v1',
      'awo_wait_v1', 'awo_release_v1'
    )
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  update public.agent_work_order_change_head set schema_version = 3;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '004_running';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
