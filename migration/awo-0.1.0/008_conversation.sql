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
