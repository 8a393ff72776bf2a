-- Agent Work Orders: takes part 12 back (remarks). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in ('awo_remark_v2')
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  update public.agent_work_order_change_head set schema_version = 11;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '012_remarks';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
