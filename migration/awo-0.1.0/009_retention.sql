-- Agent Work Orders, part 9: what clean-up asks of the state and leaves in it. Safe to run again. Knows no disk.
begin;

-- Duties that one server at a time sees to, by lease: {"janitor": {"worker_id": …, "expires_at": …}}.
alter table public.agent_work_order_change_head add column if not exists duties jsonb not null default '{}';

-- Whether the duty is this worker's for so long: it was free, its lease had run out, or it was this worker's already.
create or replace function public.awo_take_duty_v1(p_duty text, p_worker_id text, p_lease_seconds double precision)
returns boolean language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v_now timestamptz;
  v_held jsonb;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  select h.duties -> p_duty into v_held from public.agent_work_order_change_head h;
  if v_held ->> 'worker_id' <> p_worker_id and (v_held ->> 'expires_at')::timestamptz > v_now then
    return false;
  end if;
  update public.agent_work_order_change_head set duties = duties || jsonb_build_object(p_duty, jsonb_build_object(
    'worker_id', p_worker_id, 'expires_at', v_now + make_interval(secs => p_lease_seconds)));
  return true;
end $$;

-- An event of an order that has ended; false, and nothing is written, for any other. The same again is there once.
create or replace function public.awo_remark_v1(p_id text, p_kind text, p_payload text) returns boolean
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
begin
  perform public.awo_lock_v1();
  select * into v from public.agent_work_orders where agent_work_order_id = p_id for update;
  if not found or v.status not in ('completed', 'failed', 'cancelled') then
    return false;
  end if;
  if not exists (select from public.agent_work_order_events
                 where agent_work_order_id = p_id and kind = p_kind and payload = p_payload) then
    insert into public.agent_work_order_events (agent_work_order_id, seq, at, kind, attempt, payload)
      values (p_id, v.last_seq + 1, public.awo_now_v1(), p_kind, v.attempt, p_payload);
    update public.agent_work_orders set last_seq = last_seq + 1 where order_no = v.order_no;
  end if;
  return true;
end $$;

-- Those of these orders that exist.
create or replace function public.awo_find_v1(p_ids text[]) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select coalesce(json_agg(to_json(o)), '[]') from public.agent_work_orders o where o.agent_work_order_id = any (p_ids)
$$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '009_retention') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 9);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
