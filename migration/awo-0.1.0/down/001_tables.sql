-- Agent Work Orders: takes part 1 of 6 back (the tables, with every work order in them). Run the parts' scripts from the last to the first.
begin;

drop table if exists public.agent_work_order_settings_audit, public.agent_work_order_artifacts,
  public.agent_work_order_events, public.agent_work_order_steps, public.agent_work_orders,
  public.agent_work_order_repositories, public.agent_work_order_change_head cascade;
drop sequence if exists public.agent_work_order_fence_seq;
do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in (
      'awo_close_v1', 'awo_schema_version_v1'
    )
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '001_tables';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
