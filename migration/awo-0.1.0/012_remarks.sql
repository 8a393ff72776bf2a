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
