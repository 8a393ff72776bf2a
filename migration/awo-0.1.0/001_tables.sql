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
