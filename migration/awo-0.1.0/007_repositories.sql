-- Agent Work Orders, part 7: what operators say of repositories, and how their last verification went.
-- Safe to run again. Rows that orders made by naming a repository stay as they are: not configured.
begin;

-- `version` grows with every saving and never goes back, also not when a repository is forgotten: what somebody read
-- is known by it. The limit is not among the options: the queue reads it from its own column.
alter table public.agent_work_order_repositories
  add column if not exists configured_at timestamptz,
  add column if not exists display_name text,
  add column if not exists options jsonb not null default '{}',
  add column if not exists version bigint not null default 0,
  add column if not exists changed_by text,
  add column if not exists verification jsonb,
  add column if not exists last_verified_at timestamptz,
  add column if not exists asked_by text,
  add column if not exists updated_at timestamptz;
create index if not exists agent_work_order_repositories_configured
  on public.agent_work_order_repositories (repository_key) where configured_at is not null;

-- The row, locked, if it is configured as whoever asks believes: `p_version` is what was read, 0 for "not configured",
-- null for whatever is there. Else `not_configured`, or `version_conflict` with the version that it has.
create or replace function public.awo_configured_v1(p_key text, p_version bigint)
returns public.agent_work_order_repositories language plpgsql set search_path = '' as $$
declare
  v public.agent_work_order_repositories;
begin
  select * into v from public.agent_work_order_repositories where repository_key = p_key for no key update;
  if p_version = 0 then
    if v.configured_at is not null then
      raise exception 'version_conflict' using errcode = 'PT409', detail = v.version::text;
    end if;
  elsif v.configured_at is null then
    raise exception 'not_configured' using errcode = 'PT404';
  elsif p_version <> v.version then
    raise exception 'version_conflict' using errcode = 'PT409', detail = v.version::text;
  end if;
  return v;
end $$;

-- p_wanted: repository_key, repository_url, display_name, options, max_concurrent. The same request again changes
-- nothing more. A new limit wakes nobody: workers ask for work every second as it is.
create or replace function public.awo_save_repository_v1(
  p_wanted jsonb, p_version bigint, p_by text, p_request_id text
) returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  w public.agent_work_order_repositories;
  v public.agent_work_order_repositories;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  w := jsonb_populate_record(null::public.agent_work_order_repositories, p_wanted);
  insert into public.agent_work_order_repositories (repository_key, repository_url, created_at)
    values (w.repository_key, w.repository_url, v_now) on conflict (repository_key) do nothing;
  select * into v from public.agent_work_order_repositories where repository_key = w.repository_key;
  if v.asked_by is distinct from p_request_id then
    if p_version is not null then
      perform public.awo_configured_v1(w.repository_key, p_version);
    end if;
    update public.agent_work_order_repositories r set
      repository_url = w.repository_url, display_name = w.display_name, options = w.options,
      max_concurrent = w.max_concurrent, configured_at = coalesce(r.configured_at, v_now), version = r.version + 1,
      changed_by = p_by, asked_by = p_request_id, updated_at = v_now
    where r.repository_key = w.repository_key
    returning * into v;
  end if;
  return to_json(v);
end $$;

-- Nothing of what was configured stays; orders, their limits' default and their turn in the queue do.
create or replace function public.awo_forget_repository_v1(p_key text, p_version bigint, p_request_id text)
returns void language plpgsql set search_path = '' set lock_timeout = '3s' as $$
begin
  perform public.awo_lock_v1();
  if exists (
    select from public.agent_work_order_repositories where repository_key = p_key and asked_by = p_request_id
  ) then
    return;
  end if;
  perform public.awo_configured_v1(p_key, p_version);
  update public.agent_work_order_repositories r set
    display_name = null, options = '{}', max_concurrent = null, configured_at = null, version = r.version + 1,
    changed_by = null, verification = null, last_verified_at = null, asked_by = p_request_id,
    updated_at = public.awo_now_v1()
  where r.repository_key = p_key;
end $$;

-- How a verification went; it is no change of what was configured.
create or replace function public.awo_note_verification_v1(p_key text, p_verification jsonb) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_order_repositories;
begin
  perform public.awo_lock_v1();
  perform public.awo_configured_v1(p_key, null);
  update public.agent_work_order_repositories
    set verification = p_verification, last_verified_at = public.awo_now_v1()
    where repository_key = p_key returning * into v;
  return to_json(v);
end $$;

-- By key, only those after `p_after`; with `p_all`, also those that orders merely named.
create or replace function public.awo_repositories_v1(p_limit integer, p_after text, p_all boolean) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select coalesce(json_agg(to_json(page) order by page.repository_key collate "C"), '[]') from (
    select * from public.agent_work_order_repositories
    where repository_key > coalesce(p_after, '') and (p_all or configured_at is not null)
    order by repository_key limit p_limit
  ) page
$$;

-- Null where nobody ever named it.
create or replace function public.awo_repository_v1(p_key text) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select to_json(r) from public.agent_work_order_repositories r where r.repository_key = p_key
$$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '007_repositories') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 7);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
