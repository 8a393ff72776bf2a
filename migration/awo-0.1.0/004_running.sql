-- Agent Work Orders, part 4 of 6: what the holder of a claim may write.
-- Safe to run again. Every write of a holder presents its token; a stale one is `lease_lost` and changes nothing.
-- Renewing and appending lock their order alone; whatever changes its state locks the head first.
begin;

create or replace function public.awo_renew_v1(p_id text, p_token bigint, p_lease_seconds double precision)
returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
begin
  v := public.awo_held_v1(p_id, p_token);
  v.lease_expires_at := public.awo_now_v1() + make_interval(secs => p_lease_seconds);
  update public.agent_work_orders set lease_expires_at = v.lease_expires_at where order_no = v.order_no;
  return json_build_object('lease_expires_at', v.lease_expires_at,
                           'cancel_requested', v.cancel_requested_at is not null);
end $$;

-- `p_first_seq` is the writer's own count: what is there already is dropped, a gap is an error.
create or replace function public.awo_append_v1(p_id text, p_token bigint, p_first_seq bigint, p_events jsonb)
returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
  v_last bigint := p_first_seq + jsonb_array_length(p_events) - 1;
begin
  v := public.awo_held_v1(p_id, p_token);
  if p_first_seq > v.last_seq + 1 then
    raise exception 'sequence_gap' using errcode = 'PT409', detail = v.last_seq::text;
  end if;
  v_now := public.awo_now_v1();
  if v_last > v.last_seq then
    insert into public.agent_work_order_events (agent_work_order_id, seq, at, kind, step_order, attempt, payload)
      select p_id, p_first_seq + e.place - 1, v_now, e.event ->> 0, (e.event ->> 1)::integer, v.attempt, e.event ->> 2
      from jsonb_array_elements(p_events) with ordinality as e (event, place)
      where p_first_seq + e.place - 1 > v.last_seq;
    update public.agent_work_orders set last_seq = v_last where order_no = v.order_no;
  end if;
  return json_build_object('last_seq', greatest(v.last_seq, v_last), 'had', v.last_seq, 'at', v_now,
                           'attempt', v.attempt);
end $$;

-- What a run learned about its order: gives the new `rev`, or null where nothing is new.
create or replace function public.awo_record_v1(p_id text, p_token bigint, p_changes jsonb) returns bigint
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_changed public.agent_work_orders;
begin
  perform public.awo_lock_v1();
  v := public.awo_held_v1(p_id, p_token);
  v_changed := jsonb_populate_record(v, (
    select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each(p_changes) as c
    where c.key in ('current_phase', 'git_branch_name', 'base_branch', 'base_commit', 'agent_session_id',
                    'github_pull_request_url', 'git_commit_count', 'git_files_changed')));
  if v_changed is not distinct from v then
    return null;
  end if;
  v := public.awo_save_v1(v_changed, public.awo_now_v1());
  return v.rev;
end $$;

-- Started again within the attempt (after a wait or a release): a fresh run, but what it cost so far stays.
create or replace function public.awo_start_step_v1(
  p_id text, p_token bigint, p_step_order integer, p_step_name text, p_agent_name text
) returns bigint language plpgsql set search_path = '' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  v := public.awo_held_v1(p_id, p_token);
  insert into public.agent_work_order_steps as s
      (agent_work_order_id, attempt, step_order, step_name, agent_name, status, started_at, created_at)
    values (p_id, v.attempt, p_step_order, p_step_name, p_agent_name, 'running', v_now, v_now)
    on conflict (agent_work_order_id, attempt, step_order) do update set
      step_name = excluded.step_name, agent_name = excluded.agent_name, status = 'running', success = null,
      output = null, error_message = null, duration_seconds = null, finished_at = null,
      started_at = case s.status when 'running' then s.started_at else excluded.started_at end;
  v.current_phase := p_step_name;
  v := public.awo_save_v1(v, v_now);
  return v.rev;
end $$;

-- Adds the step's cost to the order, once: the first result stands, and a repetition gives null.
create or replace function public.awo_finish_step_v1(p_id text, p_token bigint, p_result jsonb) returns bigint
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  r public.agent_work_order_steps;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  v := public.awo_held_v1(p_id, p_token);
  r := jsonb_populate_record(null::public.agent_work_order_steps, p_result);
  insert into public.agent_work_order_steps as s
      (agent_work_order_id, attempt, step_order, step_name, agent_name, status, success, output, error_message,
       duration_seconds, session_id, cost_usd, input_tokens, output_tokens, started_at, finished_at, created_at)
    values (p_id, v.attempt, r.step_order, r.step_name, r.agent_name, r.status, r.status in ('completed', 'skipped'),
            r.output, r.error_message, r.duration_seconds, r.session_id, r.cost_usd, r.input_tokens, r.output_tokens,
            v_now - make_interval(secs => r.duration_seconds), v_now, v_now)
    on conflict (agent_work_order_id, attempt, step_order) do update set
      status = excluded.status, success = excluded.success, output = excluded.output,
      error_message = excluded.error_message, duration_seconds = excluded.duration_seconds,
      session_id = coalesce(excluded.session_id, s.session_id), cost_usd = s.cost_usd + excluded.cost_usd,
      input_tokens = s.input_tokens + excluded.input_tokens,
      output_tokens = s.output_tokens + excluded.output_tokens, finished_at = excluded.finished_at
    where s.status = 'running';
  if not found then
    return null;
  end if;
  v.cost_usd := v.cost_usd + r.cost_usd;
  v.input_tokens := v.input_tokens + r.input_tokens;
  v.output_tokens := v.output_tokens + r.output_tokens;
  v.agent_session_id := coalesce(nullif(r.session_id, ''), v.agent_session_id);
  if r.status in ('completed', 'skipped') then
    v.next_step := r.step_order + 1;
  end if;
  v := public.awo_save_v1(v, v_now);
  return v.rev;
end $$;

create or replace function public.awo_put_artifact_v1(p_id text, p_token bigint, p_artifact jsonb) returns void
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  a public.agent_work_order_artifacts;
begin
  v := public.awo_held_v1(p_id, p_token);
  a := jsonb_populate_record(null::public.agent_work_order_artifacts, p_artifact);
  insert into public.agent_work_order_artifacts
      (agent_work_order_id, artifact_id, artifact_type, step_name, attempt, path, media_type, size_bytes, created_at)
    values (p_id, a.artifact_id, a.artifact_type, a.step_name, a.attempt, a.path, a.media_type, a.size_bytes,
            coalesce(a.created_at, public.awo_now_v1()))
    on conflict (agent_work_order_id, artifact_id) do update set
      artifact_type = excluded.artifact_type, step_name = excluded.step_name, attempt = excluded.attempt,
      path = excluded.path, media_type = excluded.media_type, size_bytes = excluded.size_bytes;
end $$;

-- A repetition gives the order as it is by now; another result for the same claim is `lease_lost`.
create or replace function public.awo_finish_v1(
  p_id text, p_token bigint, p_status text, p_summary text, p_failure_class text default null,
  p_error_message text default null, p_next_action text default null
) returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  select * into v from public.agent_work_orders
    where agent_work_order_id = p_id and settled_token = p_token and settled_by = 'finish';
  if found then
    if (v.status, v.failure_class, v.error_message, v.next_action)
        is distinct from (p_status, p_failure_class, p_error_message, p_next_action) then
      raise exception 'lease_lost' using errcode = 'PT409';
    end if;
    return to_json(v);
  end if;
  v := public.awo_held_v1(p_id, p_token);
  perform public.awo_end_steps_v1(p_id, v_now, case p_status when 'cancelled' then 'cancelled' else 'failed' end,
    format('The order ended as %s while this step ran.', p_status));
  v.last_seq := public.awo_tell_v1(v, v_now, 'order_finished',
    public.awo_ended_v1(p_status, p_summary, p_failure_class, p_error_message, p_next_action));
  v := public.awo_unheld_v1(v);
  v.status := p_status;
  v.failure_class := p_failure_class;
  v.error_message := p_error_message;
  v.next_action := p_next_action;
  v.finished_at := v_now;
  v.settled_token := p_token;
  v.settled_by := 'finish';
  return to_json(public.awo_save_v1(v, v_now));
end $$;

-- `wait` and `release` of an order that somebody asked to cancel end it as cancelled.
create or replace function public.awo_give_up_v1(
  p_order public.agent_work_orders, p_now timestamptz, p_verb text, p_why text, p_why_cancelled text
) returns public.agent_work_orders language plpgsql set search_path = '' as $$
declare
  v public.agent_work_orders := public.awo_unheld_v1(p_order);
begin
  v.settled_token := p_order.lease_token;
  v.settled_by := p_verb;
  if v.cancel_requested_at is not null then
    perform public.awo_end_steps_v1(v.agent_work_order_id, p_now, 'cancelled', p_why_cancelled);
    v.last_seq := public.awo_tell_v1(v, p_now, 'order_finished',
      public.awo_ended_v1('cancelled', 'Cancelled; nothing of it runs any more.'));
    v.status := 'cancelled';
    v.finished_at := p_now;
  else
    perform public.awo_end_steps_v1(v.agent_work_order_id, p_now, 'cancelled', p_why);
    v.status := 'pending';
  end if;
  return v;
end $$;

create or replace function public.awo_wait_v1(
  p_id text, p_token bigint, p_reason text, p_until timestamptz, p_message text, p_next_action text
) returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  select * into v from public.agent_work_orders
    where agent_work_order_id = p_id and settled_token = p_token and settled_by = 'wait';
  if found then
    return to_json(v);
  end if;
  v := public.awo_give_up_v1(public.awo_held_v1(p_id, p_token), v_now, 'wait', p_message, p_message);
  if v.status = 'pending' then
    v.last_seq := public.awo_tell_v1(v, v_now, 'order_waiting', json_build_object(
      'reason', p_reason, 'until', p_until, 'message', p_message, 'next_action', p_next_action));
    v.status := 'waiting';
    v.waiting_reason := p_reason;
    v.waiting_until := p_until;
    v.error_message := p_message;
    v.next_action := p_next_action;
  end if;
  return to_json(public.awo_save_v1(v, v_now));
end $$;

-- The claim goes back unharmed: pending again, the same attempt, in its old place of the queue.
create or replace function public.awo_release_v1(p_id text, p_token bigint) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  select * into v from public.agent_work_orders
    where agent_work_order_id = p_id and settled_token = p_token and settled_by = 'release';
  if found then
    return to_json(v);
  end if;
  v := public.awo_give_up_v1(public.awo_held_v1(p_id, p_token), v_now, 'release',
    'The step was interrupted; it will run again.', 'The order was cancelled.');
  return to_json(public.awo_save_v1(v, v_now));
end $$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '004_running') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 4);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
