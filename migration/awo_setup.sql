-- Agent Work Orders, the whole schema: paste it into Supabase's SQL editor and run it. Safe to run again.
-- Made by scripts/join_migrations.sh from the parts in awo-*/; change those.

-- Agent Work Orders, part 1 of 6: the tables, and nobody but the service role may use them.
-- Safe to run again. Names, words and rules are those of the embedded store: one contract holds for both.
begin;

do $$ begin
  if to_regclass('public.agent_work_orders') is not null and not exists (
    select from pg_attribute where attrelid = to_regclass('public.agent_work_orders') and attname = 'settled_token'
  ) then
    raise exception 'An older table agent_work_orders stands in the way.'
      using hint = 'Rename or drop it and its steps and artifacts, then run this file again.';
  end if;
end $$;

-- The order of state changes: one row, locked first by every transition, so that `rev` has the order of the commits.
create table if not exists public.agent_work_order_change_head (
  one boolean primary key default true,
  rev bigint not null default 0,
  schema_version integer not null default 0,
  constraint there_is_one_head check (one)
) with (fillfactor = 10);
insert into public.agent_work_order_change_head default values on conflict do nothing;

-- Fencing tokens: each claim gets a higher one than all before it.
create sequence if not exists public.agent_work_order_fence_seq;

-- Limit and fairness: whoever got a claim least recently (the lowest token) comes first.
create table if not exists public.agent_work_order_repositories (
  repository_key text collate "C" primary key,
  repository_url text not null,
  max_concurrent integer,
  last_claim_token bigint not null default 0,
  created_at timestamptz not null,
  constraint a_limit_is_0_to_1000 check (max_concurrent between 0 and 1000)
) with (fillfactor = 70);

-- `settled_token` and `settled_by`: how the last claim ended; `asked_by`: the last request of a person that moved the
-- order. By these a repeated call is known for what it is.
create table if not exists public.agent_work_orders (
  order_no bigint generated always as identity primary key,
  agent_work_order_id text collate "C" not null unique,
  idempotency_key text not null unique,
  request_fingerprint text not null,
  repository_key text collate "C" not null references public.agent_work_order_repositories (repository_key),
  repository_url text not null,
  sandbox_identifier text not null,
  sandbox_type text not null,
  git_branch_name text,
  base_branch text,
  base_commit text,
  working_subdir text,
  agent_session_id text,
  workflow_type text not null,
  selected_commands text[] not null,
  user_request text not null,
  github_issue_number bigint,
  status text not null default 'pending',
  waiting_reason text,
  waiting_until timestamptz,
  current_phase text,
  next_step integer not null default 1,
  attempt integer not null default 1,
  max_attempts integer not null,
  priority smallint not null,
  model text,
  timeout_seconds integer,
  max_cost_usd double precision,
  github_pull_request_url text,
  git_commit_count integer not null default 0,
  git_files_changed integer not null default 0,
  cost_usd double precision not null default 0,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  failure_class text,
  error_message text,
  next_action text,
  worker_id text,
  claim_request_id text,
  lease_token bigint unique,
  lease_expires_at timestamptz,
  settled_token bigint,
  settled_by text,
  cancel_requested_at timestamptz,
  asked_by text,
  last_seq bigint not null default 0,
  rev bigint not null unique,
  run_after timestamptz,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz,
  updated_at timestamptz not null,
  constraint a_known_status check (
    status in ('scheduled', 'pending', 'running', 'waiting', 'completed', 'failed', 'cancelled')
  ),
  constraint a_known_waiting_reason check (
    waiting_reason in ('approval', 'reply', 'usage_limit', 'budget', 'disk', 'checks')
  ),
  constraint a_known_settlement check (settled_by in ('finish', 'wait', 'release')),
  constraint counts_from_one check (next_step >= 1 and attempt >= 1 and max_attempts >= 1),
  constraint a_priority_is_0_to_9 check (priority between 0 and 9),
  constraint held_if_and_only_if_running check (
    (status = 'running') = (lease_token is not null)
    and (lease_token is null) = (worker_id is null)
    and (lease_token is null) = (claim_request_id is null)
    and (lease_token is null) = (lease_expires_at is null)
  ),
  constraint finished_if_and_only_if_terminal check (
    (status in ('completed', 'failed', 'cancelled')) = (finished_at is not null)
  ),
  constraint a_reason_if_and_only_if_waiting check ((status = 'waiting') = (waiting_reason is not null)),
  constraint a_class_if_and_only_if_failed check ((status = 'failed') = (failure_class is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- What the queue reads: small, because each holds one status only.
create index if not exists agent_work_orders_pending
  on public.agent_work_orders (priority, repository_key, created_at, order_no) where status = 'pending';
create index if not exists agent_work_orders_running on public.agent_work_orders (repository_key) where status = 'running';
create index if not exists agent_work_orders_scheduled on public.agent_work_orders (run_after) where status = 'scheduled';
create index if not exists agent_work_orders_waiting on public.agent_work_orders (waiting_until) where status = 'waiting';
-- What people read, newest first: walked backwards.
create index if not exists agent_work_orders_newest on public.agent_work_orders (created_at, agent_work_order_id);
create index if not exists agent_work_orders_by_status
  on public.agent_work_orders (status, created_at, agent_work_order_id);
create index if not exists agent_work_orders_by_repository
  on public.agent_work_orders (repository_key, status, created_at, agent_work_order_id);

create table if not exists public.agent_work_order_steps (
  id bigint generated always as identity primary key,
  agent_work_order_id text collate "C" not null
    references public.agent_work_orders (agent_work_order_id) on delete cascade,
  attempt integer not null,
  step_order integer not null,
  step_name text not null,
  agent_name text not null,
  status text not null,
  success boolean,
  output text,
  error_message text,
  duration_seconds double precision,
  session_id text,
  cost_usd double precision not null default 0,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  started_at timestamptz not null,
  finished_at timestamptz,
  created_at timestamptz not null,
  unique (agent_work_order_id, attempt, step_order),
  constraint a_known_step_status check (status in ('running', 'completed', 'skipped', 'failed', 'cancelled')),
  constraint steps_count_from_one check (step_order >= 1),
  constraint running_if_and_only_if_open check (
    (status = 'running') = (finished_at is null) and (status = 'running') = (success is null)
  )
);

-- `payload` is the writer's own JSON text, kept to the letter.
create table if not exists public.agent_work_order_events (
  agent_work_order_id text collate "C" not null
    references public.agent_work_orders (agent_work_order_id) on delete cascade,
  seq bigint not null,
  at timestamptz not null,
  kind text not null,
  step_order integer,
  attempt integer not null,
  payload text not null,
  primary key (agent_work_order_id, seq),
  constraint events_count_from_one check (seq >= 1)
);

-- `content` is null where `path` says which file of the order's folder holds it.
create table if not exists public.agent_work_order_artifacts (
  id bigint generated always as identity primary key,
  agent_work_order_id text collate "C" not null
    references public.agent_work_orders (agent_work_order_id) on delete cascade,
  artifact_id text not null,
  artifact_type text not null,
  step_name text,
  attempt integer not null,
  path text not null,
  media_type text not null,
  size_bytes bigint not null,
  content text,
  created_at timestamptz not null,
  unique (agent_work_order_id, artifact_id)
);

-- Who changed which setting. A repeated call has the same `request_id`. Of secrets, no value is kept.
create table if not exists public.agent_work_order_settings_audit (
  entry_id bigint generated always as identity primary key,
  request_id text not null unique,
  at timestamptz not null,
  changed_by text not null,
  setting text not null,
  action text not null,
  old_value text,
  new_value text,
  constraint a_known_action check (action in ('changed', 'reset', 'secret_saved', 'secret_removed')),
  constraint no_value_of_a_secret check (action in ('changed', 'reset') or (old_value is null and new_value is null))
);
create index if not exists agent_work_order_settings_audit_by_setting
  on public.agent_work_order_settings_audit (setting, entry_id);

-- Closes everything of ours to all but the service role. Supabase grants new objects to `anon` and `authenticated` by
-- default, by name: taking it from `public` alone would leave them open. Every part ends with a call of this.
create or replace function public.awo_close_v1() returns void language plpgsql set search_path = '' as $$
declare
  v_name text;
  v_policy record;
begin
  for v_name in
    select c.relname from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname like 'agent\_work\_order%'
  loop
    execute format('alter table public.%I enable row level security', v_name);
    execute format('revoke all on table public.%I from public, anon, authenticated', v_name);
    execute format('grant select, insert, update, delete on table public.%I to service_role', v_name);
  end loop;
  for v_policy in
    select tablename, policyname from pg_catalog.pg_policies
    where schemaname = 'public' and tablename like 'agent\_work\_order%'
  loop
    execute format('drop policy %I on public.%I', v_policy.policyname, v_policy.tablename);
  end loop;
  for v_name in
    select c.relname from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'S' and c.relname like 'agent\_work\_order%'
  loop
    execute format('revoke all on sequence public.%I from public, anon, authenticated', v_name);
    execute format('grant usage, select on sequence public.%I to service_role', v_name);
  end loop;
  for v_name in
    select p.oid::regprocedure::text from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname like 'awo\_%'
  loop
    execute 'revoke all on function ' || v_name || ' from public, anon, authenticated';
    execute 'grant execute on function ' || v_name || ' to service_role';
  end loop;
end $$;

-- How far the schema is: the number of the last part.
create or replace function public.awo_schema_version_v1() returns integer
language sql stable set search_path = '' as $$ select schema_version from public.agent_work_order_change_head $$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '001_tables') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 1);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;

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

-- Agent Work Orders, part 8: what an order asks a person, and what people write to it.
-- Safe to run again. An order that somebody holds has one writer of its journal, its holder: what people write to it
-- waits untold (`seq` is null) until the holder hears of it.
begin;

alter table public.agent_work_orders add column if not exists approval_gates text[] not null default '{}';

-- What an order asked, by the event that asked, and who answered what. What is approved is `subject` alone.
-- A repeated answer is known by its `request_id`.
create table if not exists public.agent_work_order_approvals (
  agent_work_order_id text collate "C" not null
    references public.agent_work_orders (agent_work_order_id) on delete cascade,
  seq bigint not null,
  attempt integer not null,
  gate text not null,
  step_name text not null,
  subject text not null,
  back_to integer not null,
  summary text not null,
  asked_at timestamptz not null,
  answer text,
  comment text,
  answered_by text,
  answered_at timestamptz,
  request_id text,
  primary key (agent_work_order_id, seq),
  constraint a_known_answer check (answer in ('approved', 'rejected', 'sent_back')),
  constraint answered_by_somebody_at_some_time check (
    (answer is null) = (answered_by is null) and (answer is null) = (answered_at is null)
  )
);

-- `seq` is null until the journal tells of it, `delivered_at` until a turn of the agent that had it has ended;
-- `followed_up_at`: when an order that had ended, or was about to, went on because of it.
create table if not exists public.agent_work_order_messages (
  id bigint generated always as identity primary key,
  agent_work_order_id text collate "C" not null
    references public.agent_work_orders (agent_work_order_id) on delete cascade,
  message_id text not null,
  idempotency_key text not null,
  kind text not null,
  author text not null,
  sent_by text not null,
  text text not null,
  seq bigint,
  sent_at timestamptz not null,
  delivered_at timestamptz,
  followed_up_at timestamptz,
  unique (agent_work_order_id, message_id),
  unique (agent_work_order_id, idempotency_key),
  constraint a_known_kind check (kind in ('message', 'comment'))
);

-- As awo_enqueue_v1, with the gates of the order.
create or replace function public.awo_enqueue_v2(p_order jsonb) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v_found json := public.awo_enqueue_v1(p_order);
  v_gates text[] := array(select jsonb_array_elements_text(p_order -> 'approval_gates'));
  v public.agent_work_orders;
begin
  if v_gates = '{}' or not (v_found ->> 'created')::boolean then
    return v_found;
  end if;
  update public.agent_work_orders set approval_gates = v_gates
    where agent_work_order_id = p_order ->> 'agent_work_order_id' returning * into v;
  return json_build_object('order', to_json(v), 'created', true);
end $$;

-- A text as the journal has it: whole, or its beginning and where the rest is.
create or replace function public.awo_told_v1(p_text text) returns text
language sql immutable set search_path = '' as $$
  select case when octet_length(p_text) <= 15000 then p_text
    else left(p_text, 2400) || chr(10) || '… the whole stands among the order''s messages …' end
$$;

-- Events for messages that have none yet; gives the order's row as `awo_save_v1` will write it.
create or replace function public.awo_tell_messages_v1(p public.agent_work_orders, p_now timestamptz)
returns public.agent_work_orders language plpgsql set search_path = '' as $$
declare
  m public.agent_work_order_messages;
begin
  for m in
    select * from public.agent_work_order_messages
    where agent_work_order_id = p.agent_work_order_id and seq is null order by id
  loop
    p.last_seq := public.awo_tell_v1(p, p_now, 'message_received', json_build_object(
      'message_id', m.message_id, 'author', m.author, 'text', public.awo_told_v1(m.text)));
    update public.agent_work_order_messages set seq = p.last_seq where id = m.id;
  end loop;
  return p;
end $$;

-- Whether there is a message that no turn of the agent had and that no attempt was begun for.
create or replace function public.awo_unheard_v1(p_id text) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from public.agent_work_order_messages
    where agent_work_order_id = p_id and kind = 'message' and delivered_at is null and followed_up_at is null)
$$;

-- An order that had ended, or was about to, as a new attempt because of what somebody wrote.
create or replace function public.awo_follow_up_v1(
  p public.agent_work_orders, p_now timestamptz, p_follow_up_step integer
) returns public.agent_work_orders language plpgsql set search_path = '' as $$
declare
  v public.agent_work_orders := public.awo_untroubled_v1(p);
begin
  update public.agent_work_order_messages set followed_up_at = p_now
    where agent_work_order_id = v.agent_work_order_id and kind = 'message'
      and delivered_at is null and followed_up_at is null;
  v.attempt := v.attempt + 1;
  v.max_attempts := greatest(v.max_attempts, v.attempt + 1);
  v.next_step := least(v.next_step, p_follow_up_step);
  v.finished_at := null;
  v.cancel_requested_at := null;
  v.last_seq := public.awo_tell_v1(v, p_now, 'order_resumed', json_build_object('reason', 'message'));
  v.status := 'pending';
  return v;
end $$;

-- Parks the order until somebody has answered. p_asking: question, subject, back_to, message, next_action.
create or replace function public.awo_ask_v1(p_id text, p_token bigint, p_asking jsonb) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
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
  v := public.awo_give_up_v1(public.awo_held_v1(p_id, p_token), v_now, 'wait',
    p_asking ->> 'message', p_asking ->> 'message');
  if v.status = 'pending' then
    v := public.awo_tell_messages_v1(v, v_now);
    v.last_seq := public.awo_tell_v1(v, v_now, 'order_waiting', json_build_object(
      'reason', 'approval', 'until', null, 'message', p_asking ->> 'message',
      'next_action', p_asking ->> 'next_action', 'question', p_asking -> 'question'));
    insert into public.agent_work_order_approvals
        (agent_work_order_id, seq, attempt, gate, step_name, subject, back_to, summary, asked_at)
      values (p_id, v.last_seq, v.attempt, p_asking #>> '{question,gate}', p_asking #>> '{question,step_name}',
              p_asking ->> 'subject', (p_asking ->> 'back_to')::integer, p_asking #>> '{question,summary}', v_now);
    v.status := 'waiting';
    v.waiting_reason := 'approval';
    v.error_message := p_asking ->> 'message';
    v.next_action := p_asking ->> 'next_action';
  end if;
  return to_json(public.awo_save_v1(v, v_now));
end $$;

-- The first answer counts. p_answer: seq, verdict, by, author, comment, message_id.
create or replace function public.awo_answer_v1(p_id text, p_answer jsonb, p_request_id text) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  a public.agent_work_order_approvals;
  v_now timestamptz;
  v_verdict text := p_answer ->> 'verdict';
  v_by text := p_answer ->> 'by';
  v_comment text := p_answer ->> 'comment';
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  v := public.awo_order_v1(p_id);
  select * into a from public.agent_work_order_approvals
    where agent_work_order_id = p_id and seq = (p_answer ->> 'seq')::bigint;
  if not found then
    raise exception 'unknown_question' using errcode = 'PT422';
  end if;
  if a.request_id = p_request_id then
    return to_json(v);
  end if;
  if a.answer is not null then
    raise exception 'already_answered' using errcode = 'PT409', detail = (to_jsonb(a) - 'request_id')::text;
  end if;
  if v.waiting_reason is distinct from 'approval' or a.seq <> (
    select max(seq) from public.agent_work_order_approvals where agent_work_order_id = p_id
  ) then
    raise exception 'no_longer_asked' using errcode = 'PT409', detail = v.status;
  end if;
  update public.agent_work_order_approvals
    set answer = v_verdict, comment = v_comment, answered_by = v_by, answered_at = v_now, request_id = p_request_id
    where agent_work_order_id = p_id and seq = a.seq;
  v.last_seq := public.awo_tell_v1(v, v_now, 'approval_answered', json_build_object(
    'asked_seq', a.seq, 'gate', a.gate, 'answer', v_verdict, 'by', v_by, 'comment', public.awo_told_v1(v_comment)));
  if v_comment is not null then
    insert into public.agent_work_order_messages
        (agent_work_order_id, message_id, idempotency_key, kind, author, sent_by, text, seq, sent_at)
      values (p_id, p_answer ->> 'message_id', p_answer ->> 'message_id',
              case v_verdict when 'sent_back' then 'message' else 'comment' end,
              p_answer ->> 'author', v_by, v_comment, v.last_seq, v_now);
  end if;
  v := public.awo_untroubled_v1(v);
  if v_verdict = 'rejected' then
    v.status := 'failed';
    v.finished_at := v_now;
    v.failure_class := 'policy';
    v.error_message := format('%s rejected it at the gate %s; nothing more was done.', v_by, a.gate);
    v.next_action := 'Send a message to have it done otherwise, or retry the order to be asked again.';
    v.last_seq := public.awo_tell_v1(v, v_now, 'order_finished', public.awo_ended_v1('failed',
      format('Rejected at the gate %s.', a.gate), v.failure_class, v.error_message, v.next_action));
  else
    v.status := 'pending';
    v.last_seq := public.awo_tell_v1(v, v_now, 'order_resumed', json_build_object('reason', v_verdict));
    if v_verdict = 'sent_back' then
      v.next_step := least(v.next_step, a.back_to);
    end if;
  end if;
  return to_json(public.awo_save_v1(v, v_now));
end $$;

-- p_message: message_id, idempotency_key, author, by, text. An order that has ended goes on with it.
create or replace function public.awo_send_message_v1(p_id text, p_message jsonb, p_follow_up_step integer)
returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  m public.agent_work_order_messages;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  v := public.awo_order_v1(p_id);
  select * into m from public.agent_work_order_messages
    where agent_work_order_id = p_id and idempotency_key = p_message ->> 'idempotency_key';
  if found then
    if (m.author, m.text) is distinct from (p_message ->> 'author', p_message ->> 'text') then
      raise exception 'idempotency_conflict' using errcode = 'PT409';
    end if;
    return json_build_object('order', to_json(v), 'message', to_json(m),
      'created', m.message_id = p_message ->> 'message_id');
  end if;
  -- Put away (part 10): nobody takes it up before it is back.
  if v.status in ('completed', 'failed', 'cancelled') and to_jsonb(v) ->> 'archived_at' is not null then
    perform public.awo_refuse_v1('archived');
  end if;
  insert into public.agent_work_order_messages
      (agent_work_order_id, message_id, idempotency_key, kind, author, sent_by, text, sent_at)
    values (p_id, p_message ->> 'message_id', p_message ->> 'idempotency_key', 'message', p_message ->> 'author',
            p_message ->> 'by', p_message ->> 'text', v_now)
    returning * into m;
  if v.status <> 'running' then
    v := public.awo_tell_messages_v1(v, v_now);
    if v.status in ('completed', 'failed', 'cancelled') then
      v := public.awo_follow_up_v1(v, v_now, p_follow_up_step);
    elsif v.waiting_reason = 'reply' then
      v.last_seq := public.awo_tell_v1(v, v_now, 'order_resumed', json_build_object('reason', 'reply'));
      v := public.awo_untroubled_v1(v);
      v.status := 'pending';
    end if;
    v := public.awo_save_v1(v, v_now);
    select * into m from public.agent_work_order_messages where id = m.id;
  end if;
  return json_build_object('order', to_json(v), 'message', to_json(m), 'created', true);
end $$;

-- What the agent was not given yet. Asked again with the same `p_first_seq` it tells nothing twice.
create or replace function public.awo_hear_v1(p_id text, p_token bigint, p_first_seq bigint) returns json
language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders := public.awo_held_v1(p_id, p_token);
  v_had bigint := v.last_seq;
begin
  if p_first_seq > v.last_seq + 1 then
    raise exception 'sequence_gap' using errcode = 'PT409', detail = v.last_seq::text;
  end if;
  v := public.awo_tell_messages_v1(v, public.awo_now_v1());
  if v.last_seq > v_had then
    update public.agent_work_orders set last_seq = v.last_seq where order_no = v.order_no;
  end if;
  return json_build_object('last_seq', v.last_seq, 'messages', (
    select coalesce(json_agg(to_json(m) order by m.id), '[]') from public.agent_work_order_messages m
    where m.agent_work_order_id = p_id and m.delivered_at is null));
end $$;

create or replace function public.awo_deliver_v1(p_id text, p_token bigint, p_message_ids text[]) returns void
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
begin
  perform public.awo_held_v1(p_id, p_token);
  update public.agent_work_order_messages set delivered_at = public.awo_now_v1()
    where agent_work_order_id = p_id and message_id = any (p_message_ids) and delivered_at is null;
end $$;

-- As awo_renew_v1; also whether somebody wrote what the holder has not heard yet.
create or replace function public.awo_renew_v2(p_id text, p_token bigint, p_lease_seconds double precision)
returns jsonb language sql volatile set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
  select public.awo_renew_v1(p_id, p_token, p_lease_seconds)::jsonb || jsonb_build_object('messages', exists (
    select from public.agent_work_order_messages where agent_work_order_id = p_id and seq is null))
$$;

-- As awo_finish_v1, unless somebody wrote what no turn of the agent had: then the order goes on, as its next attempt.
-- Once for each message: one that cannot be carried out does not keep its order alive for ever.
create or replace function public.awo_finish_v2(
  p_id text, p_token bigint, p_status text, p_summary text, p_failure_class text default null,
  p_error_message text default null, p_next_action text default null, p_follow_up_step integer default null
) returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_now timestamptz;
begin
  perform public.awo_lock_v1();
  v_now := public.awo_now_v1();
  select * into v from public.agent_work_orders
    where agent_work_order_id = p_id and settled_token = p_token and settled_by = 'finish' and finished_at is null;
  if found then
    return to_json(v);
  end if;
  select * into v from public.agent_work_orders
    where agent_work_order_id = p_id and status = 'running' and lease_token = p_token for no key update;
  if not found or p_status = 'cancelled' then
    return public.awo_finish_v1(p_id, p_token, p_status, p_summary, p_failure_class, p_error_message, p_next_action);
  end if;
  v := public.awo_tell_messages_v1(v, v_now);
  if v.cancel_requested_at is not null or not public.awo_unheard_v1(p_id) then
    update public.agent_work_orders set last_seq = v.last_seq where order_no = v.order_no;
    return public.awo_finish_v1(p_id, p_token, p_status, p_summary, p_failure_class, p_error_message, p_next_action);
  end if;
  perform public.awo_end_steps_v1(p_id, v_now, 'failed', 'The order goes on with a message.');
  v := public.awo_follow_up_v1(public.awo_unheld_v1(v), v_now, coalesce(p_follow_up_step, v.next_step));
  v.settled_token := p_token;
  v.settled_by := 'finish';
  return to_json(public.awo_save_v1(v, v_now));
end $$;

create or replace function public.awo_approvals_v1(p_id text) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select coalesce(json_agg(to_json(a) order by a.seq), '[]')
  from public.agent_work_order_approvals a where a.agent_work_order_id = p_id
$$;

create or replace function public.awo_messages_v1(p_id text) returns json
language sql stable set search_path = '' set timezone = 'UTC' as $$
  select coalesce(json_agg(to_json(m) order by m.id), '[]')
  from public.agent_work_order_messages m where m.agent_work_order_id = p_id
$$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '008_conversation') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 8);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;

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

-- Agent Work Orders, part 11: what a run has to write down in one moment goes in one request.
-- Safe to run again. Nothing here knows a rule of its own: it calls the verbs of part 4, one after the other.
begin;

-- Locks the head first wherever one of the verbs would. A batch whose first event is there was written before: by that,
-- and by nothing else, a repeated one is known; it renews the lease and changes nothing.
create or replace function public.awo_write_v1(
  p_id text, p_token bigint, p_lease_seconds double precision, p_first_seq bigint, p_started jsonb, p_changes jsonb,
  p_artifacts jsonb, p_events jsonb, p_finished jsonb
) returns json language plpgsql set search_path = '' set timezone = 'UTC' set lock_timeout = '3s' as $$
declare
  v public.agent_work_orders;
  v_rev bigint;
  v_artifact jsonb;
  v_appended json;
begin
  if coalesce(p_started, p_changes, p_finished) is not null then
    perform public.awo_lock_v1();
  end if;
  v := public.awo_held_v1(p_id, p_token);
  if jsonb_array_length(p_events) = 0 or p_first_seq > v.last_seq then
    if p_started is not null then
      v_rev := public.awo_start_step_v1(p_id, p_token, (p_started ->> 'step_order')::integer,
                                        p_started ->> 'step_name', p_started ->> 'agent_name');
    end if;
    if p_changes is not null then
      v_rev := coalesce(public.awo_record_v1(p_id, p_token, p_changes), v_rev);
    end if;
    for v_artifact in select * from jsonb_array_elements(p_artifacts) loop
      perform public.awo_put_artifact_v1(p_id, p_token, v_artifact);
    end loop;
    if jsonb_array_length(p_events) > 0 then
      v_appended := public.awo_append_v1(p_id, p_token, p_first_seq, p_events);
    end if;
    if p_finished is not null then
      v_rev := coalesce(public.awo_finish_step_v1(p_id, p_token, p_finished), v_rev);
    end if;
  end if;
  return json_build_object('rev', v_rev, 'appended', v_appended, 'last_seq', v.last_seq,
                           'renewed', public.awo_renew_v2(p_id, p_token, p_lease_seconds));
end $$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '011_economy') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 11);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;

-- Agent Work Orders, part 12: what clean-up has to tell of many orders goes in one request. Safe to run again.
begin;

-- Events of orders that have ended: [{"id": …, "kind": …, "payload": …}]. For any other order false, and nothing is
-- written. The same again is there once.
create or replace function public.awo_remark_v2(p_remarks jsonb) returns json
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
declare
  v_remark jsonb;
  v_said boolean[] := '{}';
begin
  perform public.awo_lock_v1();
  for v_remark in select * from jsonb_array_elements(p_remarks) loop
    v_said := v_said || public.awo_remark_v1(v_remark ->> 'id', v_remark ->> 'kind', v_remark ->> 'payload');
  end loop;
  return to_json(v_said);
end $$;

do $$ begin
  if to_regclass('public.archon_migrations') is not null then
    insert into public.archon_migrations (version, migration_name)
      values ('awo-0.1.0', '012_remarks') on conflict (version, migration_name) do nothing;
  end if;
end $$;
update public.agent_work_order_change_head set schema_version = greatest(schema_version, 12);
select public.awo_close_v1();
notify pgrst, 'reload schema';
commit;
