-- Agent Work Orders: takes part 7 back (repositories). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in (
      'awo_configured_v1', 'awo_save_repository_v1', 'awo_forget_repository_v1', 'awo_note_verification_v1',
      'awo_repositories_v1', 'awo_repository_v1'
    )
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  drop index if exists public.agent_work_order_repositories_configured;
  alter table if exists public.agent_work_order_repositories
    drop column if exists configured_at, drop column if exists display_name, drop column if exists options,
    drop column if exists version, drop column if exists changed_by, drop column if exists verification,
    drop column if exists last_verified_at, drop column if exists asked_by, drop column if exists updated_at;
  update public.agent_work_order_change_head set schema_version = 6;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '007_repositories';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
