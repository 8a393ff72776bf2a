-- Agent Work Orders: takes part 9 back (retention). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in (
      'awo_take_duty_v1', 'awo_remark_v1', 'awo_find_v1'
    )
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  alter table public.agent_work_order_change_head drop column if exists duties;
  update public.agent_work_order_change_head set schema_version = 8;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '009_retention';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
