-- Agent Work Orders, part 2 of 6: what every transition is made of, and what people do to orders.
-- Safe to run again. Each function is one transaction, safe to repeat, and runs with its caller's rights.
-- Errors: SQLSTATE PTnnn with a word of ours as the message; never a row's contents.
begin;

-- The time: of the database, and nobody else's.
create or replace function public.awo_now_v1() returns timestamptz
language sql volatile set search_path = '' as $$ select clock_timestamp() $$;

-- The first lock of every transition. In any other order, cancels, claims and reaps lock each other out.
create or replace function public.awo_lock_v1() returns void language plpgsql set search_path = '' as $$
begin
  perform 1 from public.agent_work_order_change_head for update;
end $$;

create or replace function public.awo_next_rev_v1() returns bigint language sql volatile set search_path = '' as
$$ update public.agent_work_order_change_head set rev = rev + 1 returning rev $$;

-- The order's row, locked, or `not_found`.
create or replace function public.awo_order_v1(p_id text) returns public.agent_work_orders
language plpgsql set search_path = '' as $$
declare
  v public.agent_work_orders;
begin
  select * into v from public.agent_work_orders where agent_work_order_id = p_id for update;
  if not found then
    raise exception 'not_found' using errcode = 'PT404';
  end if;
  return v;
end $$;

-- The order's row, locked, if the token still holds it; else `lease_lost`. An expired lease still holds.
create or replace function public.awo_held_v1(p_id text, p_token bigint) returns public.agent_work_orders
language plpgsql set search_path = '' as $$
declare
  v public.agent_work_orders;
begin
  select * into v from public.agent_work_orders
    where agent_work_order_id = p_id and status = 'running' and lease_token = p_token for no key update;
  if not found then
    raise exception 'lease_lost' using errcode = 'PT409';
  end if;
  return v;
end $$;

-- An order that is not in a state for the verb.
create or replace function public.awo_refuse_v1(p_status text) returns void language plpgsql set search_path = '' as $$
begin
  raise exception 'wrong_state' using errcode = 'PT409', detail = p_status;
end $$;

-- Appends an event of the store's own; gives the journal's new end, for the row that `awo_save_v1` will write.
create or replace function public.awo_tell_v1(
  p_order public.agent_work_orders, p_now timestamptz, p_kind text, p_payload json
) returns bigint language plpgsql set search_path = '' as $$
begin
  insert into public.agent_work_order_events (agent_work_order_id, seq, at, kind, attempt, payload)
    values (p_order.agent_work_order_id, p_order.last_seq + 1, p_now, p_kind, p_order.attempt, p_payload::text);
  return p_order.last_seq + 1;
end $$;

-- Writes what a transition made of an order. Every state change gets the next `rev`.
create or replace function public.awo_save_v1(p public.agent_work_orders, p_now timestamptz)
returns public.agent_work_orders language plpgsql set search_path = '' as $$
declare
  v public.agent_work_orders;
begin
  update public.agent_work_orders o set
    git_branch_name = p.git_branch_name, base_branch = p.base_branch, base_commit = p.base_commit,
    agent_session_id = p.agent_session_id, status = p.status, waiting_reason = p.waiting_reason,
    waiting_until = p.waiting_until, current_phase = p.current_phase, next_step = p.next_step, attempt = p.attempt,
    max_attempts = p.max_attempts, github_pull_request_url = p.github_pull_request_url,
    git_commit_count = p.git_commit_count, git_files_changed = p.git_files_changed, cost_usd = p.cost_usd,
    input_tokens = p.input_tokens, output_tokens = p.output_tokens, failure_class = p.failure_class,
    error_message = p.error_message, next_action = p.next_action, worker_id = p.worker_id,
    claim_request_id = p.claim_request_id, lease_token = p.lease_token, lease_expires_at = p.lease_expires_at,
    settled_token = p.settled_token, settled_by = p.settled_by, cancel_requested_at = p.cancel_requested_at,
    asked_by = p.asked_by, last_seq = p.last_seq, started_at = p.started_at, finished_at = p.finished_at,
    rev = public.awo_next_rev_v1(), updated_at = p_now
  where o.order_no = p.order_no
  returning * into v;
  return v;
end $$;

-- What nobody holds.
create or replace function public.awo_unheld_v1(p public.agent_work_orders) returns public.agent_work_orders
language plpgsql set search_path = '' as $$
begin
  p.worker_id := null; p.claim_request_id := null; p.lease_token := null; p.lease_expires_at := null;
  return p;
end $$;

-- What an order that goes on no longer says.
create or replace function public.awo_untroubled_v1(p public.agent_work_orders) returns public.agent_work_orders
language plpgsql set search_path = '' as $$
begin
  p.waiting_reason := null; p.waiting_until := null; p.failure_class := null;
  p.error_message := null; p.next_action := null;
  return p;
end $$;

-- No step runs on when its order does not.
create or replace function public.awo_end_steps_v1(p_id text, p_now timestamptz, p_status text, p_why text)
returns void language plpgsql set search_path = '' as $$
begin
  update public.agent_work_order_steps set
    status = p_status, success = false, error_message = p_why, finished_at = p_now,
    duration_seconds = extract(epoch from p_now - started_at)
  where agent_work_order_id = p_id and status = 'running';
end $$;

create or replace function public.awo_ended_v1(
  p_status text, p_summary text, p_failure_class text default null, p_error_message text default null,
  p_next_action text default null
) returns json language sql immutable set search_path = '' as $$
  select json_build_object('status', p_status, 'summary', p_summary, 'failure_class', p_failure_class,
                           'error_message', p_error_message, 'next_action', p_next_action)
$$;

-- p_order: the columns that a request decides. `created`: the order is the one that this very call filed.
create or replace function public.awo_enqueue_v1(p_order jsonb) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  select * into v from public.agent_work_orders where idempotency_key = p_order ->> 'idempotency_key';
  if not found then
    perform public.awo_lock_v1();
    select * into v from public.agent_work_orders where idempotency_key = p_order ->> 'idempotency_key';
    if not found then
      v_now := public.awo_now_v1();
      v := jsonb_populate_record(null::public.agent_work_orders, p_order);
      insert into public.agent_work_order_repositories (repository_key, repository_url, created_at)
        values (v.repository_key, v.repository_url, v_now) on conflict (repository_key) do nothing;
      insert into public.agent_work_orders (
        agent_work_order_id, idempotency_key, request_fingerprint, repository_key, repository_url, sandbox_identifier,
        sandbox_type, base_branch, working_subdir, workflow_type, selected_commands, user_request,
        github_issue_number, max_attempts, priority, model, timeout_seconds, max_cost_usd, run_after,
        status, last_seq, rev, created_at, updated_at
      ) values (
        v.agent_work_order_id, v.idempotency_key, v.request_fingerprint, v.repository_key, v.repository_url,
        v.sandbox_identifier, v.sandbox_type, v.base_branch, v.working_subdir, v.workflow_type, v.selected_commands,
        v.user_request, v.github_issue_number, v.max_attempts, v.priority, v.model, v.timeout_seconds, v.max_cost_usd,
        v.run_after, case when v.run_after > v_now then 'scheduled' else 'pending' end, 1,
        public.awo_next_rev_v1(), v_now, v_now
      ) returning * into v;
      insert into public.agent_work_order_events (agent_work_order_id, seq, at, kind, attempt, payload)
        values (v.agent_work_order_id, 1, v_now, 'order_enqueued', v.attempt, json_build_object(
          'repository_url', v.repository_url, 'workflow_type', v.workflow_type, 'steps', v.selected_commands)::text);
    end if;
  end if;
  if v.request_fingerprint is distinct from p_order ->> 'request_fingerprint' then
    raise exception 'idempotency_conflict' using errcode = 'PT409';
  end if;
  return json_build_object('order', to_json(v), 'created',
    v.agent_work_order_id = p_order ->> 'agent_work_order_id');
end $$;

create or replace function public.awo_resume_v1(p_id text, p_reason text, p_request_id text) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  v := public.awo_order_v1(p_id);
  if v.asked_by = p_request_id then
    return to_json(v);
  end if;
  if v.status <> 'waiting' then
    perform public.awo_refuse_v1(v.status);
  end if;
  v.last_seq := public.awo_tell_v1(v, v_now, 'order_resumed', json_build_object('reason', p_reason));
  v := public.awo_untroubled_v1(v);
  v.status := 'pending';
  v.asked_by := p_request_id;
  return to_json(public.awo_save_v1(v, v_now));
end $$;

-- A new attempt, at the next step or at `p_from_step`.
create or replace function public.awo_retry_v1(p_id text, p_from_step integer, p_request_id text) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  v := public.awo_order_v1(p_id);
  if v.asked_by = p_request_id then
    return to_json(v);
  end if;
  if v.status not in ('failed', 'cancelled') then
    perform public.awo_refuse_v1(v.status);
  end if;
  if p_from_step is not null and p_from_step not between 1 and cardinality(v.selected_commands) then
    raise exception 'invalid_from_step' using errcode = 'PT422', detail = cardinality(v.selected_commands)::text;
  end if;
  v.attempt := v.attempt + 1;
  v.max_attempts := greatest(v.max_attempts, v.attempt + 1); -- one crash must not be the end of it
  v.next_step := coalesce(p_from_step, v.next_step);
  v.finished_at := null;
  v.cancel_requested_at := null;
  v.last_seq := public.awo_tell_v1(v, v_now, 'order_resumed', json_build_object('reason', 'retry'));
  v := public.awo_untroubled_v1(v);
  v.status := 'pending';
  v.asked_by := p_request_id;
  return to_json(public.awo_save_v1(v, v_now));
end $$;

-- Ends what nobody holds; of a running order it only notes when it was asked.
create or replace function public.awo_cancel_v1(p_id text) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  v := public.awo_order_v1(p_id);
  if v.status = 'cancelled' or (v.status = 'running' and v.cancel_requested_at is not null) then
    return to_json(v);
  end if;
  if v.status in ('completed', 'failed') then
    perform public.awo_refuse_v1(v.status);
  end if;
  v.cancel_requested_at := v_now;
  if v.status <> 'running' then
    v.last_seq := public.awo_tell_v1(v, v_now, 'cancel_requested', '{}');
    v.last_seq := public.awo_tell_v1(v, v_now, 'order_finished',
      public.awo_ended_v1('cancelled', format('Cancelled while it was %s.', v.status)));
    v := public.awo_untroubled_v1(v);
    v.status := 'cancelled';
    v.finished_at := v_now;
  end if;
  return to_json(public.awo_save_v1(v, v_now));
end $$;

create or replace function public.awo_delete_v1(p_id text) returns void
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
begin
  perform public.awo_lock_v1();
  v := public.awo_order_v1(p_id);
  if v.status not in ('completed', 'failed', 'cancelled') then
    perform public.awo_refuse_v1(v.status);
  end if;
  delete from public.agent_work_orders where order_no = v.order_no;
end $$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '002_filing') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 2);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
