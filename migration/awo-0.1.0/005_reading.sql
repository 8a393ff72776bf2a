-- Agent Work Orders, part 5 of 6: what can be read. Safe to run again. Changes nothing.
-- Reading is done by functions too: a filter in an address would end up in somebody's log.
begin;

create or replace function public.awo_get_v1(p_id text) returns json
language plpgsql stable set search_path = '' set timezone = 'UTC' as $$
declare
  v public.agent_work_orders;
begin
  select * into v from public.agent_work_orders where agent_work_order_id = p_id;
  if not found then
    raise exception 'not_found' using errcode = 'PT404';
  end if;
  return to_json(v);
end $$;

create or replace function public.awo_steps_v1(p_id text) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select coalesce(json_agg(to_json(s) order by s.attempt, s.step_order), '[]')
  from public.agent_work_order_steps s where s.agent_work_order_id = p_id
$$;

create or replace function public.awo_artifacts_v1(p_id text) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select coalesce(json_agg(to_json(a) order by a.id), '[]')
  from public.agent_work_order_artifacts a where a.agent_work_order_id = p_id
$$;

-- Whether the text stands in what people search; upper and lower case count the same from A to Z.
create or replace function public.awo_matches_v1(p public.agent_work_orders, p_text text) returns boolean
language sql immutable set search_path = '' as $$
  select p_text is null
    or strpos(lower(p.user_request collate "C"), lower(p_text collate "C")) > 0
    or strpos(lower(p.agent_work_order_id collate "C"), lower(p_text collate "C")) > 0
    or strpos(lower(p.repository_url collate "C"), lower(p_text collate "C")) > 0
    or strpos(lower(p.git_branch_name collate "C"), lower(p_text collate "C")) > 0
$$;

-- A page of orders, newest first: one short walk down an index for each status asked for, never a sort of everything.
-- Planned anew each time: with a limit that it does not know, the planner would rather sort. And as if the disk did not
-- care where it is read: else it walks all orders for the few of a rare status, in the hope of a better place.
create or replace function public.awo_list_v1(
  p_statuses text[], p_repository_key text, p_text text, p_limit integer, p_before_at timestamptz, p_before_id text
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
          and (w.created_at, w.agent_work_order_id) < (v_at, v_id) and (v_text is null or public.awo_matches_v1(w, v_text))
        order by w.created_at desc, w.agent_work_order_id desc limit p_limit
      ) o order by o.created_at desc, o.agent_work_order_id desc limit p_limit
    ) page;
  elsif p_statuses is not null then
    select json_agg(to_json(page)) into v_found from (
      select o.* from unnest(p_statuses) as wanted (status) cross join lateral (
        select * from public.agent_work_orders w
        where w.status = wanted.status
          and (w.created_at, w.agent_work_order_id) < (v_at, v_id) and (v_text is null or public.awo_matches_v1(w, v_text))
        order by w.created_at desc, w.agent_work_order_id desc limit p_limit
      ) o order by o.created_at desc, o.agent_work_order_id desc limit p_limit
    ) page;
  else
    select json_agg(to_json(page)) into v_found from (
      select * from public.agent_work_orders w
      where (w.created_at, w.agent_work_order_id) < (v_at, v_id) and (v_text is null or public.awo_matches_v1(w, v_text))
      order by w.created_at desc, w.agent_work_order_id desc limit p_limit
    ) page;
  end if;
  return coalesce(v_found, '[]');
end $$;

create or replace function public.awo_counts_v1() returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select json_build_object(
    'by_status', (select coalesce(json_object_agg(g.status, g.orders), '{}') from (
      select status, count(*) as orders from public.agent_work_orders group by status) g),
    'oldest_pending_at', (select min(created_at) from public.agent_work_orders where status = 'pending'),
    'leases', (select coalesce(json_agg(json_build_array(agent_work_order_id, worker_id, lease_expires_at)), '[]')
               from public.agent_work_orders where status = 'running'))
$$;

-- Ascending by seq; with `p_before_seq` the last `p_limit` before it.
create or replace function public.awo_events_v1(
  p_id text, p_after_seq bigint, p_before_seq bigint, p_kinds text[], p_limit integer
) returns json language plpgsql stable set search_path = '' set timezone = 'UTC' as $$
declare
  v_found json;
begin
  if p_before_seq is null then
    select json_agg(json_build_array(page.seq, page.at, page.kind, page.step_order, page.attempt, page.payload)
                    order by page.seq) into v_found
    from (select * from public.agent_work_order_events e
          where e.agent_work_order_id = p_id and e.seq > p_after_seq and (p_kinds is null or e.kind = any (p_kinds))
          order by e.seq limit p_limit) page;
  else
    select json_agg(json_build_array(page.seq, page.at, page.kind, page.step_order, page.attempt, page.payload)
                    order by page.seq) into v_found
    from (select * from public.agent_work_order_events e
          where e.agent_work_order_id = p_id and e.seq > p_after_seq and e.seq < p_before_seq
            and (p_kinds is null or e.kind = any (p_kinds))
          order by e.seq desc limit p_limit) page;
  end if;
  return coalesce(v_found, '[]');
end $$;

-- Orders whose state changed after a `rev`, each once with its newest state. `rev` has the order of the commits: who
-- follows it misses none.
create or replace function public.awo_changes_v1(p_after_rev bigint, p_limit integer) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select coalesce(json_agg(to_json(page) order by page.rev), '[]') from (
    select * from public.agent_work_orders o where o.rev > p_after_rev order by o.rev limit p_limit
  ) page
$$;

create or replace function public.awo_last_rev_v1() returns bigint
language sql stable set search_path = '' as $$ select rev from public.agent_work_order_change_head $$;

-- One look for all that a server waits for: the newest rev, and the journal's end and cancellation of these orders.
create or replace function public.awo_look_v1(p_ids text[]) returns json
language sql stable set search_path = '' as $$
  select json_build_object(
    'rev', (select rev from public.agent_work_order_change_head),
    'orders', (select coalesce(json_agg(json_build_array(
                 agent_work_order_id, last_seq, cancel_requested_at is not null)), '[]')
               from public.agent_work_orders where agent_work_order_id = any (p_ids)))
$$;

-- Whether the state could be written now; gives the schema's version.
create or replace function public.awo_check_v1() returns integer
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
begin
  perform public.awo_lock_v1();
  return public.awo_schema_version_v1();
end $$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '005_reading') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 5);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
