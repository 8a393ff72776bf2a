-- Agent Work Orders: takes part 11 back (economy). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in ('awo_write_v1')
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  update public.agent_work_order_change_head set schema_version = 10;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '011_economy';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
