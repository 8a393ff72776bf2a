-- Agent Work Orders: takes part 8 back (questions and messages). Run the parts' scripts from the last to the first.
begin;

do $$ declare v_name text; begin
  for v_name in select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in (
      'awo_enqueue_v2', 'awo_told_v1', 'awo_tell_messages_v1', 'awo_unheard_v1', 'awo_follow_up_v1', 'awo_ask_v1',
      'awo_answer_v1', 'awo_send_message_v1', 'awo_hear_v1', 'awo_deliver_v1', 'awo_renew_v2', 'awo_finish_v2',
      'awo_approvals_v1', 'awo_messages_v1'
    )
  loop
    execute 'drop function ' || v_name || ' cascade';
  end loop;
  drop table if exists public.agent_work_order_messages, public.agent_work_order_approvals;
  alter table public.agent_work_orders drop column if exists approval_gates;
  update public.agent_work_order_change_head set schema_version = 7;
  if to_regclass('public.archon_migrations') is not null then
    delete from public.archon_migrations where version = 'awo-0.1.0' and migration_name = '008_conversation';
  end if;
end $$;

notify pgrst, 'reload schema';
commit;
