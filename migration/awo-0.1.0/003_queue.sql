-- Agent Work Orders, part 3 of 6: the queue. Claims go out in its order, and come back from workers that went silent.
-- Safe to run again. The head's lock makes one claim and one reap at a time, on all servers.
begin;

-- The next order for a worker, or null. The same worker with the same request gets the very claim it holds.
create or replace function public.awo_claim_v1(
  p_worker_id text, p_request_id text, p_lease_seconds double precision, p_limit_per_repository integer
) returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
  v_priority integer := -1;
  v_key text;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1(); -- a variable: a volatile call cannot be an index condition
  select * into v from public.agent_work_orders
    where status = 'running' and worker_id = p_worker_id and claim_request_id = p_request_id;
  if not found then
    -- A bounded number at once: a claim stays short whatever has piled up.
    for v in select * from public.agent_work_orders
      where status = 'scheduled' and run_after <= v_now order by run_after limit 100 loop
      v.status := 'pending';
      perform public.awo_save_v1(v, v_now);
    end loop;
    for v in select * from public.agent_work_orders
      where status = 'waiting' and waiting_until <= v_now order by waiting_until limit 100 loop
      v.last_seq := public.awo_tell_v1(v, v_now, 'order_resumed', json_build_object('reason', 'due'));
      v := public.awo_untroubled_v1(v);
      v.status := 'pending';
      perform public.awo_save_v1(v, v_now);
    end loop;
    -- Best priority, then the repository served least recently, then the oldest; full repositories are passed over.
    -- It jumps from repository to repository through the index, so that it costs repositories and not orders.
    loop
      select min(o.priority) into v_priority from public.agent_work_orders o
        where o.status = 'pending' and o.priority > v_priority;
      if v_priority is null then
        return null;
      end if;
      with recursive lane (repository_key) as (
        (select o.repository_key from public.agent_work_orders o
          where o.status = 'pending' and o.priority = v_priority order by o.repository_key limit 1)
        union all
        select (select o.repository_key from public.agent_work_orders o
          where o.status = 'pending' and o.priority = v_priority and o.repository_key > lane.repository_key
          order by o.repository_key limit 1)
        from lane where lane.repository_key is not null
      ), busy as materialized (
        select o.repository_key, count(*) as running from public.agent_work_orders o
          where o.status = 'running' group by o.repository_key
      )
      select lane.repository_key into v_key
        from lane
        join public.agent_work_order_repositories r on r.repository_key = lane.repository_key
        left join busy on busy.repository_key = lane.repository_key
        where coalesce(r.max_concurrent, p_limit_per_repository) > coalesce(busy.running, 0)
        order by r.last_claim_token, r.repository_key limit 1;
      exit when v_key is not null;
    end loop;
    select * into v from public.agent_work_orders
      where status = 'pending' and priority = v_priority and repository_key = v_key
      order by created_at, order_no limit 1 for update;
    v.lease_token := nextval('public.agent_work_order_fence_seq');
    update public.agent_work_order_repositories set last_claim_token = v.lease_token where repository_key = v_key;
    v.last_seq := public.awo_tell_v1(v, v_now, 'order_claimed', json_build_object('worker_id', p_worker_id));
    v.status := 'running';
    v.worker_id := p_worker_id;
    v.claim_request_id := p_request_id;
    v.lease_expires_at := v_now + make_interval(secs => p_lease_seconds);
    v.started_at := coalesce(v.started_at, v_now);
    v := public.awo_save_v1(v, v_now);
  end if;
  return json_build_object('order', to_json(v), 'token', v.lease_token, 'lease_expires_at', v.lease_expires_at,
    'steps', (select coalesce(json_agg(to_json(s) order by s.attempt, s.step_order), '[]')
              from public.agent_work_order_steps s where s.agent_work_order_id = v.agent_work_order_id));
end $$;

-- Takes back claims whose lease has expired, and all those of workers known to be dead. The head's lock makes it one
-- at a time on all servers.
create or replace function public.awo_reap_v1(p_limit integer, p_dead_workers text[] default '{}') returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
  v_worker text;
  v_reaped jsonb := '[]';
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  for v in
    select * from public.agent_work_orders
    where status = 'running' and (lease_expires_at <= v_now or worker_id = any (p_dead_workers))
    order by lease_expires_at limit p_limit for update
  loop
    v_worker := v.worker_id;
    v := public.awo_unheld_v1(v);
    v.last_seq := public.awo_tell_v1(v, v_now, 'lease_lost', json_build_object('worker_id', v_worker));
    if v.cancel_requested_at is not null then
      perform public.awo_end_steps_v1(v.agent_work_order_id, v_now, 'cancelled', 'The order was cancelled.');
      v.status := 'cancelled';
      v.finished_at := v_now;
      v.last_seq := public.awo_tell_v1(v, v_now, 'order_finished',
        public.awo_ended_v1('cancelled', 'Cancelled; its server had gone silent.'));
    else
      perform public.awo_end_steps_v1(v.agent_work_order_id, v_now, 'failed',
        'The server that ran this step went silent.');
      if v.attempt >= v.max_attempts then
        v.status := 'failed';
        v.finished_at := v_now;
        v.failure_class := 'internal';
        v.error_message := format('The server that ran this order went silent; that was attempt %s.', v.attempt);
        v.next_action := 'Look in the server''s log for why it stops, then retry the order.';
        v.last_seq := public.awo_tell_v1(v, v_now, 'order_finished', public.awo_ended_v1('failed',
          format('Its server went silent in the last of %s attempts.', v.attempt),
          v.failure_class, v.error_message, v.next_action));
      else
        v.status := 'pending';
        v.attempt := v.attempt + 1;
      end if;
    end if;
    v := public.awo_save_v1(v, v_now);
    v_reaped := v_reaped || jsonb_build_object(
      'order_id', v.agent_work_order_id, 'worker_id', v_worker, 'status', v.status, 'rev', v.rev);
  end loop;
  return v_reaped;
end $$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '003_queue') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 3);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
