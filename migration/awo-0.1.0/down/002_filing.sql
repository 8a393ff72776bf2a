-- Agent Work Orders: takes part 2 of 6 back (filing). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in (
      'awo_now_v1', 'awo_lock_v1', 'awo_next_rev_v1', 'awo_order_v1',
      'awo_held_v1', 'awo_refuse_v1', 'awo_tell_v1', 'awo_save_v1',
      'awo_unheld_v1', 'awo_untroubled_v1', 'awo_end_steps_v1', 'awo_ended_v1',
      'awo_enqueue_v1', 'awo_resume_v1', 'awo_retry_v1', 'awo_cancel_v1',
      'awo_delete_v1'
    )
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  update public.agent_work_order_change_head set schema_version = 1;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '002_filing';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
