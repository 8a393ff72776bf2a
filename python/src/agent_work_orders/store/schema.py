"""The tables of the embedded store, as an ordered list of migrations that is only ever added to. Knows no query.

Times are microseconds since 1970 in UTC. Orders, steps and artifacts are named by `agent_work_order_id` everywhere;
`order_no` only breaks ties in the queue. A table's column that is also a field of the domain has the field's name.
"""

_FIRST = (
    # The order of state changes and the fencing tokens: one row each, taken inside every transition.
    """
    create table agent_work_order_counters (
        name text primary key,
        value integer not null
    ) without rowid
    """,
    "insert into agent_work_order_counters (name, value) values ('rev', 0), ('fence', 0)",
    # Limit and fairness: whoever got a claim least recently (the lowest token) comes first.
    """
    create table agent_work_order_repositories (
        repository_key text primary key,
        repository_url text not null,
        max_concurrent integer check (max_concurrent between 0 and 1000),
        last_claim_token integer not null default 0,
        created_at integer not null
    ) without rowid
    """,
    """
    create table agent_work_orders (
        order_no integer primary key,
        agent_work_order_id text not null unique,
        idempotency_key text not null unique,
        request_fingerprint text not null,
        repository_key text not null references agent_work_order_repositories (repository_key),
        repository_url text not null,
        sandbox_identifier text not null,
        sandbox_type text not null,
        git_branch_name text,
        base_branch text,
        base_commit text,
        working_subdir text,
        agent_session_id text,
        workflow_type text not null,
        selected_commands text not null check (json_valid(selected_commands)),
        user_request text not null,
        github_issue_number integer,
        status text not null default 'pending' check (
            status in ('scheduled', 'pending', 'running', 'waiting', 'completed', 'failed', 'cancelled')
        ),
        waiting_reason text check (
            waiting_reason in ('approval', 'reply', 'usage_limit', 'budget', 'disk', 'checks')
        ),
        waiting_until integer,
        current_phase text,
        next_step integer not null default 1 check (next_step >= 1),
        attempt integer not null default 1 check (attempt >= 1),
        max_attempts integer not null check (max_attempts >= 1),
        priority integer not null check (priority between 0 and 9),
        model text,
        timeout_seconds integer,
        max_cost_usd real,
        github_pull_request_url text,
        git_commit_count integer not null default 0,
        git_files_changed integer not null default 0,
        cost_usd real not null default 0,
        input_tokens integer not null default 0,
        output_tokens integer not null default 0,
        failure_class text,
        error_message text,
        next_action text,
        worker_id text,
        claim_request_id text,
        lease_token integer unique,
        lease_expires_at integer,
        settled_token integer,
        settled_by text check (settled_by in ('finish', 'wait', 'release')),
        cancel_requested_at integer,
        last_seq integer not null default 0,
        rev integer not null unique,
        run_after integer,
        created_at integer not null,
        started_at integer,
        finished_at integer,
        updated_at integer not null,
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
    )
    """,
    # What the queue reads: small, because each holds one status only.
    """
    create index agent_work_orders_pending on agent_work_orders (priority, repository_key, created_at, order_no)
        where status = 'pending'
    """,
    "create index agent_work_orders_running on agent_work_orders (repository_key) where status = 'running'",
    "create index agent_work_orders_scheduled on agent_work_orders (run_after) where status = 'scheduled'",
    "create index agent_work_orders_waiting on agent_work_orders (waiting_until) where status = 'waiting'",
    # What people read, newest first.
    "create index agent_work_orders_newest on agent_work_orders (created_at desc, agent_work_order_id desc)",
    """
    create index agent_work_orders_by_status
        on agent_work_orders (status, created_at desc, agent_work_order_id desc)
    """,
    """
    create index agent_work_orders_by_repository
        on agent_work_orders (repository_key, status, created_at desc, agent_work_order_id desc)
    """,
    """
    create table agent_work_order_steps (
        id integer primary key,
        agent_work_order_id text not null references agent_work_orders (agent_work_order_id) on delete cascade,
        attempt integer not null,
        step_order integer not null check (step_order >= 1),
        step_name text not null,
        agent_name text not null,
        status text not null check (status in ('running', 'completed', 'skipped', 'failed', 'cancelled')),
        success integer check (success in (0, 1)),
        output text,
        error_message text,
        duration_seconds real,
        session_id text,
        cost_usd real not null default 0,
        input_tokens integer not null default 0,
        output_tokens integer not null default 0,
        started_at integer not null,
        finished_at integer,
        created_at integer not null,
        unique (agent_work_order_id, attempt, step_order),
        constraint running_if_and_only_if_open check (
            (status = 'running') = (finished_at is null) and (status = 'running') = (success is null)
        )
    )
    """,
    """
    create table agent_work_order_events (
        agent_work_order_id text not null references agent_work_orders (agent_work_order_id) on delete cascade,
        seq integer not null check (seq >= 1),
        at integer not null,
        kind text not null,
        step_order integer,
        attempt integer not null,
        payload text not null,
        primary key (agent_work_order_id, seq)
    ) without rowid
    """,
    # `content` is null where `path` says which file of the order's folder holds it.
    """
    create table agent_work_order_artifacts (
        id integer primary key,
        agent_work_order_id text not null references agent_work_orders (agent_work_order_id) on delete cascade,
        artifact_id text not null,
        artifact_type text not null,
        step_name text,
        attempt integer not null,
        path text not null,
        media_type text not null,
        size_bytes integer not null,
        content text,
        created_at integer not null,
        unique (agent_work_order_id, artifact_id)
    )
    """,
)

_AUDIT = (
    # Who changed which setting; `old_value` and `new_value` are null for secrets.
    """
    create table agent_work_order_settings_audit (
        entry_id integer primary key autoincrement,
        at integer not null,
        changed_by text not null,
        setting text not null,
        action text not null check (action in ('changed', 'reset', 'secret_saved', 'secret_removed')),
        old_value text,
        new_value text,
        constraint no_value_of_a_secret check (
            action in ('changed', 'reset') or (old_value is null and new_value is null)
        )
    )
    """,
    "create index agent_work_order_settings_audit_by_setting on agent_work_order_settings_audit (setting, entry_id)",
)

_ARCHIVE = (
    # An order that is put away is in no list; its files are in an archive.
    """
    alter table agent_work_orders add column archived_at integer
        constraint put_away_only_at_the_end check (archived_at is null or finished_at is not null)
    """,
    """
    create index agent_work_orders_archived on agent_work_orders (created_at desc, agent_work_order_id desc)
        where archived_at is not null
    """,
)

_REGISTRY = (
    # What operators say of repositories; an order's row for one that nobody configured stays as it was.
    "alter table agent_work_order_repositories add column configured_at integer",
    "alter table agent_work_order_repositories add column display_name text",
    """
    alter table agent_work_order_repositories add column options text not null default '{}'
        check (json_valid(options))
    """,
    "alter table agent_work_order_repositories add column version integer not null default 0",
    "alter table agent_work_order_repositories add column changed_by text",
    """
    alter table agent_work_order_repositories add column verification text
        check (verification is null or json_valid(verification))
    """,
    "alter table agent_work_order_repositories add column last_verified_at integer",
    "alter table agent_work_order_repositories add column updated_at integer",
)

_CONVERSATION = (
    """
    alter table agent_work_orders add column approval_gates text not null default '[]'
        check (json_valid(approval_gates))
    """,
    # What an order asked, by the event that asked, and who answered what. What is approved is `subject` alone.
    """
    create table agent_work_order_approvals (
        agent_work_order_id text not null references agent_work_orders (agent_work_order_id) on delete cascade,
        seq integer not null,
        attempt integer not null,
        gate text not null,
        step_name text not null,
        subject text not null,
        back_to integer not null check (back_to >= 1),
        summary text not null,
        asked_at integer not null,
        answer text check (answer in ('approved', 'rejected', 'sent_back')),
        comment text,
        answered_by text,
        answered_at integer,
        primary key (agent_work_order_id, seq),
        constraint answered_by_somebody_at_some_time check (
            (answer is null) = (answered_by is null) and (answer is null) = (answered_at is null)
        )
    ) without rowid
    """,
    # `seq` is null until the journal tells of it, `delivered_at` until a turn of the agent that had it has ended;
    # `followed_up_at`: when an order that had ended, or was about to, went on because of it.
    """
    create table agent_work_order_messages (
        id integer primary key,
        agent_work_order_id text not null references agent_work_orders (agent_work_order_id) on delete cascade,
        message_id text not null,
        idempotency_key text not null,
        kind text not null check (kind in ('message', 'comment')),
        author text not null,
        sent_by text not null,
        text text not null,
        seq integer,
        sent_at integer not null,
        delivered_at integer,
        followed_up_at integer,
        unique (agent_work_order_id, message_id),
        unique (agent_work_order_id, idempotency_key)
    )
    """,
)

_DUTIES = (
    # What one server at a time sees to, by lease. Belongs to the servers and not to the orders: it is never moved.
    """
    create table awo_duties (
        duty text primary key,
        worker_id text not null,
        expires_at integer not null
    ) without rowid
    """,
)

# The file's `user_version` is how many of these it has seen.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _AUDIT, _ARCHIVE, _REGISTRY, _CONVERSATION, _DUTIES)
