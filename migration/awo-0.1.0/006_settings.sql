-- Agent Work Orders, part 6 of 6: who changed which setting. Safe to run again. Knows no setting.
begin;

-- The same request again changes nothing.
create or replace function public.awo_audit_append_v1(
  p_request_id text, p_by text, p_setting text, p_action text, p_old text, p_new text
) returns void language sql volatile set search_path = '' set lock_timeout = '3s' as $$
  insert into public.agent_work_order_settings_audit
      (request_id, at, changed_by, setting, action, old_value, new_value)
    values (p_request_id, public.awo_now_v1(), p_by, p_setting, p_action, p_old, p_new)
    on conflict (request_id) do nothing
$$;

-- Newest first; only entries below `p_before`, only of one setting.
create or replace function public.awo_audit_page_v1(p_limit integer, p_before bigint, p_setting text) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select coalesce(json_agg(to_json(page) order by page.entry_id desc), '[]') from (
    select entry_id, at, changed_by as by, setting, action, old_value as old, new_value as new
    from public.agent_work_order_settings_audit
    where (p_before is null or entry_id < p_before) and (p_setting is null or setting = p_setting)
    order by entry_id desc limit p_limit
  ) page
$$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '006_settings') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 6);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
