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
