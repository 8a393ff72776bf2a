-- Agent Work Orders: takes part 10 back (import, archive). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in (
      'awo_archive_v1', 'awo_unarchive_v1', 'awo_stays_archived_v1', 'awo_list_v2', 'awo_tables_v1', 'awo_rows_v1',
      'awo_export_v1', 'awo_put_rows_v1', 'awo_raise_fence_v1', 'awo_import_part_v1', 'awo_import_v1',
      'awo_surroundings_v1', 'awo_import_surroundings_v1', 'awo_census_v1'
    )
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  drop table if exists public.agent_work_order_imports;
  alter table public.agent_work_orders drop column if exists archived_at cascade;
  revoke update on sequence public.agent_work_order_fence_seq from service_role;
  update public.agent_work_order_change_head set schema_version = 9;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '010_import';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
