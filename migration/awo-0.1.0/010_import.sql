-- Agent Work Orders, part 10: whole orders out of one store and into another, and orders that are put away.
-- Safe to run again. What is carried is found by name: every table with a column `agent_work_order_id` belongs to an
-- order; the other tables of ours are the surroundings.
begin;

-- An order that is put away is in no list; its files are in an archive. Nobody takes it up again before it is back.
alter table public.agent_work_orders add column if not exists archived_at timestamptz;
do $$ begin
  if not exists (select from pg_constraint where conname = 'put_away_only_at_the_end') then
    alter table public.agent_work_orders
      add constraint put_away_only_at_the_end check (archived_at is null or finished_at is not null);
  end if;
end $$;
create index if not exists agent_work_orders_archived
  on public.agent_work_orders (created_at, agent_work_order_id) where archived_at is not null;

-- Long journals come in parts, ahead of their order. They count for nothing until `awo_import_v1` takes them.
create table if not exists public.agent_work_order_imports (
  for_order text collate "C" not null,
  first_seq bigint not null,
  events json not null,
  created_at timestamptz not null,
  primary key (for_order, first_seq)
);

create or replace function public.awo_archive_v1(p_id text) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  v := public.awo_order_v1(p_id);
  if v.status not in ('completed', 'failed', 'cancelled') then
    perform public.awo_refuse_v1(v.status);
  end if;
  if v.archived_at is not null then
    return to_json(v);
  end if;
  update public.agent_work_orders set archived_at = v_now, updated_at = v_now, rev = public.awo_next_rev_v1()
    where order_no = v.order_no returning * into v;
  return to_json(v);
end $$;

create or replace function public.awo_unarchive_v1(p_id text) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
begin
  perform public.awo_lock_v1();
  v := public.awo_order_v1(p_id);
  if v.archived_at is null then
    return to_json(v);
  end if;
  update public.agent_work_orders
    set archived_at = null, updated_at = public.awo_now_v1(), rev = public.awo_next_rev_v1()
    where order_no = v.order_no returning * into v;
  return to_json(v);
end $$;

-- What would take an archived order up again is refused here, whichever function tries.
create or replace function public.awo_stays_archived_v1() returns trigger
language plpgsql set search_path = '' as $$
begin
  raise exception 'wrong_state' using errcode = 'PT409', detail = 'archived';
end $$;
create or replace trigger agent_work_orders_stay_archived before update of finished_at on public.agent_work_orders
  for each row when (new.archived_at is not null and new.finished_at is null)
  execute function public.awo_stays_archived_v1();

-- A page of orders, as awo_list_v1; only those that are put away, or only the others.
create or replace function public.awo_list_v2(
  p_statuses text[], p_repository_key text, p_text text, p_limit integer, p_before_at timestamptz, p_before_id text,
  p_archived boolean
) returns json language plpgsql stable set search_path = '' set timezone = 'UTC'
set plan_cache_mode = force_custom_plan set random_page_cost = 1 as $$
declare
  v_at timestamptz := coalesce(p_before_at, 'infinity');
  v_id text := coalesce(p_before_id, '');
  v_text text := nullif(p_text, '');
  v_found json;
begin
  if p_repository_key is not null then
    select json_agg(to_json(page)) into v_found from (
      select o.* from unnest(p_statuses) as wanted (status) cross join lateral (
        select * from public.agent_work_orders w
        where w.repository_key = p_repository_key and w.status = wanted.status
          and (w.archived_at is not null) = p_archived
          and (w.created_at, w.agent_work_order_id) < (v_at, v_id) and (v_text is null or public.awo_matches_v1(w, v_text))
        order by w.created_at desc, w.agent_work_order_id desc limit p_limit
      ) o order by o.created_at desc, o.agent_work_order_id desc limit p_limit
    ) page;
  elsif p_statuses is not null then
    select json_agg(to_json(page)) into v_found from (
      select o.* from unnest(p_statuses) as wanted (status) cross join lateral (
        select * from public.agent_work_orders w
        where w.status = wanted.status and (w.archived_at is not null) = p_archived
          and (w.created_at, w.agent_work_order_id) < (v_at, v_id) and (v_text is null or public.awo_matches_v1(w, v_text))
        order by w.created_at desc, w.agent_work_order_id desc limit p_limit
      ) o order by o.created_at desc, o.agent_work_order_id desc limit p_limit
    ) page;
  else
    select json_agg(to_json(page)) into v_found from (
      select * from public.agent_work_orders w
      where (w.archived_at is not null) = p_archived
        and (w.created_at, w.agent_work_order_id) < (v_at, v_id) and (v_text is null or public.awo_matches_v1(w, v_text))
      order by w.created_at desc, w.agent_work_order_id desc limit p_limit
    ) page;
  end if;
  return coalesce(v_found, '[]');
end $$;

-- Tables of ours by what they hold: true for those whose rows name an order, false for those that stand alone.
create or replace function public.awo_tables_v1(p_of_orders boolean) returns setof text
language sql stable set search_path = '' as $$
  select c.relname::text from pg_catalog.pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname like 'agent\_work\_order%'
    and c.relname not in ('agent_work_orders', 'agent_work_order_events', 'agent_work_order_change_head',
                          'agent_work_order_imports')
    and p_of_orders = exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid
                              and a.attname = 'agent_work_order_id' and not a.attisdropped)
  order by 1
$$;

-- Rows of a table, in the order of their writing as far as it is known, without what only this database gives.
create or replace function public.awo_rows_v1(p_table text, p_id text) returns json
language plpgsql stable set search_path = '' set timezone = 'UTC' as $$
declare
  v_key text := (select a.attname from pg_catalog.pg_attribute a
    where a.attrelid = format('public.%I', p_table)::regclass and a.attidentity <> '' and not a.attisdropped);
  v_found json;
begin
  execute format('select json_agg(%s order by %s) from public.%I t where %s',
    case when v_key is null then 'to_jsonb(t)' else format('to_jsonb(t) - %L', v_key) end,
    coalesce('t.' || quote_ident(v_key), 'to_jsonb(t)::text'), p_table,
    case when p_id is null then 'true' else format('t.agent_work_order_id = %L', p_id) end) into v_found;
  return coalesce(v_found, '[]');
end $$;

-- One order with all that names it, from one snapshot; its journal up to `last_seq` is read by awo_events_v1.
create or replace function public.awo_export_v1(p_id text) returns json
language plpgsql stable set search_path = '' set timezone = 'UTC' as $$
declare
  v public.agent_work_orders;
begin
  select * into v from public.agent_work_orders where agent_work_order_id = p_id;
  if not found then
    raise exception 'not_found' using errcode = 'PT404';
  end if;
  return json_build_object('order', to_json(v), 'tables', (
    select coalesce(json_object_agg(t.name, t.rows), '{}') from (
      select name, public.awo_rows_v1(name, p_id) as rows from public.awo_tables_v1(true) as name) t
    where t.rows::text <> '[]'));
end $$;

-- Rows into a table: the columns that they name. One that this database does not know is refused, unless it is null.
create or replace function public.awo_put_rows_v1(p_table text, p_rows jsonb, p_clash text) returns void
language plpgsql set search_path = '' as $$
declare
  v_row jsonb;
  v_names text;
  v_unknown text;
begin
  for v_row in select jsonb_strip_nulls(e) from jsonb_array_elements(p_rows) e loop
    select string_agg(quote_ident(k), ', ') filter (where a.attname is not null),
           min(k) filter (where a.attname is null)
      into v_names, v_unknown
      from jsonb_object_keys(v_row) k left join pg_catalog.pg_attribute a
        on a.attrelid = to_regclass(format('public.%I', p_table)) and a.attname = k and a.attnum > 0
        and not a.attisdropped;
    if v_unknown is not null then
      raise exception 'unknown_column' using errcode = 'PT422', detail = p_table || '.' || v_unknown;
    end if;
    execute format('insert into public.%I (%s) select %s from jsonb_populate_record(null::public.%I, $1) %s',
      p_table, v_names, v_names, p_table, p_clash) using v_row;
  end loop;
end $$;

-- No token is ever given twice, also not one that another store gave. The caller holds the head.
create or replace function public.awo_raise_fence_v1(p_token bigint) returns void
language sql volatile set search_path = '' as $$
  select setval('public.agent_work_order_fence_seq', p_token) from public.agent_work_order_fence_seq
  where p_token > last_value
$$;

create or replace function public.awo_import_part_v1(p_id text, p_first_seq bigint, p_events json) returns void
language sql volatile set search_path = '' set lock_timeout = '3s' as $$
  -- What an import that was cut off had sent may be of another state of the order.
  delete from public.agent_work_order_imports where for_order = p_id and p_first_seq = 1;
  insert into public.agent_work_order_imports (for_order, first_seq, events, created_at)
    values (p_id, p_first_seq, p_events, public.awo_now_v1())
    on conflict (for_order, first_seq) do update set events = excluded.events, created_at = excluded.created_at
$$;

-- p_order: `order`, `tables` and the journal's last `events`. All of it is there afterwards, or nothing; false if there
-- is an order of that id already.
create or replace function public.awo_import_v1(p_order jsonb) returns boolean
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v_id text := p_order #>> '{order,agent_work_order_id}';
  v_table text;
  v_last bigint;
begin
  perform public.awo_lock_v1();
  if exists (select from public.agent_work_orders where agent_work_order_id = v_id) then
    delete from public.agent_work_order_imports where for_order = v_id;
    return false;
  end if;
  if exists (select from public.agent_work_orders where idempotency_key = p_order #>> '{order,idempotency_key}') then
    raise exception 'import_conflict' using errcode = 'PT409';
  end if;
  insert into public.agent_work_order_repositories (repository_key, repository_url, created_at)
    values (p_order #>> '{order,repository_key}', p_order #>> '{order,repository_url}', public.awo_now_v1())
    on conflict (repository_key) do nothing;
  perform public.awo_put_rows_v1('agent_work_orders',
    jsonb_build_array((p_order -> 'order') || jsonb_build_object('rev', public.awo_next_rev_v1())), '');
  for v_table in select jsonb_object_keys(p_order -> 'tables') loop
    if v_table not in (select * from public.awo_tables_v1(true)) then
      raise exception 'unknown_column' using errcode = 'PT422', detail = v_table;
    end if;
    perform public.awo_put_rows_v1(v_table, p_order -> 'tables' -> v_table, '');
  end loop;
  v_last := coalesce((p_order #>> '{events,0,0}')::bigint, 9223372036854775807);
  insert into public.agent_work_order_events (agent_work_order_id, seq, at, kind, step_order, attempt, payload)
    select v_id, (e ->> 0)::bigint, (e ->> 1)::timestamptz, e ->> 2, (e ->> 3)::integer, (e ->> 4)::integer, e ->> 5
    from public.agent_work_order_imports p, json_array_elements(p.events) e
    where p.for_order = v_id and p.first_seq < v_last
    union all
    select v_id, (e ->> 0)::bigint, (e ->> 1)::timestamptz, e ->> 2, (e ->> 3)::integer, (e ->> 4)::integer, e ->> 5
    from jsonb_array_elements(p_order -> 'events') e;
  delete from public.agent_work_order_imports where for_order = v_id;
  if (p_order #>> '{order,last_seq}')::bigint is distinct from (
    select count(*) from public.agent_work_order_events where agent_work_order_id = v_id
  ) then
    raise exception 'incomplete_import' using errcode = 'PT422';
  end if;
  perform public.awo_raise_fence_v1(greatest((p_order #>> '{order,settled_token}')::bigint,
                                             (p_order #>> '{order,lease_token}')::bigint));
  return true;
end $$;

create or replace function public.awo_surroundings_v1() returns json
language sql stable set search_path = '' as $$
  select json_build_object(
    'tables', (select coalesce(json_object_agg(name, public.awo_rows_v1(name, null)), '{}')
               from public.awo_tables_v1(false) as name),
    'fence', (select case when is_called then last_value else 0 end from public.agent_work_order_fence_seq))
$$;

-- Adds what is not there; of a repository that is there only its place in the line moves on.
create or replace function public.awo_import_surroundings_v1(p_given jsonb) returns void
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v_table text;
  v_row jsonb;
begin
  perform public.awo_lock_v1();
  for v_table, v_row in
    select t.key, e from jsonb_each(p_given -> 'tables') t, jsonb_array_elements(t.value) with ordinality r (e, n)
    order by t.key, n
  loop
    if v_table not in (select * from public.awo_tables_v1(false)) then
      raise exception 'unknown_column' using errcode = 'PT422', detail = v_table;
    end if;
    if v_table = 'agent_work_order_repositories' then
      update public.agent_work_order_repositories r
        set last_claim_token = greatest(r.last_claim_token, (v_row ->> 'last_claim_token')::bigint)
        where r.repository_key = v_row ->> 'repository_key';
      continue when found;
    elsif v_table = 'agent_work_order_settings_audit' then
      continue when exists (select from public.agent_work_order_settings_audit a
        where a.at = (v_row ->> 'at')::timestamptz and a.setting = v_row ->> 'setting'
          and a.action = v_row ->> 'action' and a.changed_by = v_row ->> 'changed_by'
          and a.old_value is not distinct from v_row ->> 'old_value'
          and a.new_value is not distinct from v_row ->> 'new_value');
      v_row := v_row || jsonb_build_object('request_id', 'import-' || gen_random_uuid());
    end if;
    perform public.awo_put_rows_v1(v_table, jsonb_build_array(v_row), 'on conflict do nothing');
  end loop;
  perform public.awo_raise_fence_v1((p_given ->> 'fence')::bigint);
end $$;

create or replace function public.awo_census_v1() returns json
language sql stable set search_path = '' as $$
  select json_build_object(
    'orders', (select coalesce(json_object_agg(g.status, g.orders), '{}') from (
      select status, count(*) as orders from public.agent_work_orders group by status) g),
    'steps', (select count(*) from public.agent_work_order_steps),
    'events', (select count(*) from public.agent_work_order_events),
    'artifacts', (select count(*) from public.agent_work_order_artifacts),
    'repositories', (select count(*) from public.agent_work_order_repositories),
    'audit', (select count(*) from public.agent_work_order_settings_audit))
$$;

-- Tokens of another store are passed over by setting the sequence.
grant update on sequence public.agent_work_order_fence_seq to service_role;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '010_import') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 10);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
