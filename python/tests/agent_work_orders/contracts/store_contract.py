"""The store's contract. Every backend of `ports.Store` passes all of it; `test_<backend>_store.py` runs it over one.

Filing
 1. `enqueue` files an order: `pending`, or `scheduled` while its `run_after` lies ahead; attempt 1; its commands are
    the names of the steps that the request plans; event 1 is `order_enqueued`. What was filed is what is read.
 2. The same idempotency key with an equal request gives the same order, as it is by now, and `created` is False.
 3. The same key with another request raises IdempotencyConflict and changes nothing.
 4. However many use one key at once, one order comes of it, and one of them is told that it created it.

The queue
 5. `claim` takes the best priority (0 first); among equals the repository that was served least recently; in it the
    oldest order.
 6. A repository never has more running orders than its own limit, or where it has none than the limit of the call; 0
    pauses it. A full repository does not hold up the others.
 7. A claim makes the order `running` with its worker, a lease from now on, and a token higher than all before it; the
    first one sets `started_at`; it writes `order_claimed`. The Claim holds the order as it then is, and all its
    steps.
 8. The same worker with the same request id gets the very claim it holds; once it gave that up, a new one.
 9. What is due goes on by itself: `claim` first makes scheduled and waiting orders `pending` whose time has come, the
    longest due first (a large number of them over several calls); a waiting one writes `order_resumed`.
10. However many workers, servers and processes claim at once: no order goes to two, no token is given twice, and no
    limit is passed.

Leases
11. `renew` lets the lease end a lease from now and says whether somebody asked to cancel. Expiry alone revokes
    nothing: a late renewal holds as long as nobody took the order.
12. Every call that presents a claim raises LostLease once its token is stale, and changes nothing.
13. `reap` takes orders back whose lease has expired, the longest expired first, at most `limit`, and those of dead
    workers whatever their lease. It writes `lease_lost`; the order is `pending` again, as its next attempt, in its
    old place of the queue.
14. Where that was the last attempt the order is `failed`, class `internal`, with a next action; where somebody had
    asked to cancel it, it is `cancelled`; both write `order_finished`.
15. No step is `running` unless its order is: reaped steps have failed; released, waiting and cancelled ones are
    `cancelled`; those of an order that ends otherwise have failed.
16. The attempt is 1 at first, and one more after a reap and after a retry; not after a release, a wait or a
    resumption.

The journal
17. `append` adds events from `first_seq` on, without gaps: what is already there is dropped, a gap raises SequenceGap
    with the journal's end. It returns the new end, which is the order's `last_seq`.
18. An event has the store's time, the order's attempt, and its kind, step and payload as they were offered. Appending
    and renewing are no state changes: `rev` and `updated_at` stay.
19. Text that some store cannot hold (NUL, lone surrogates) is kept with U+FFFD in those places.

A run
20. `record` changes what is given and nothing else; the same again changes nothing.
21. `start_step` opens the step of this attempt and is the order's `current_phase`. Started again within the attempt
    it is a fresh run whose earlier cost stays; another attempt has rows of its own.
22. `finish_step` writes the step's end and adds its cost and tokens to the order, once: the first result stands.
    Completed and skipped steps move `next_step` behind them, others do not; a session id is taken over where given.
23. `put_artifact` holds one row for each id of an order, the newest, in the order of their first writing.

Ends
24. `finish` ends the order as its outcome says and writes `order_finished`; nobody holds it any more. The same result
    again gives the same order; another one raises LostLease; an outcome that is no end raises WrongState.
25. `wait` parks the order with reason, time, message and next action, and writes `order_waiting`. The same call again
    gives the order as it is.
26. `release` gives the claim back: `pending`, in its old place. Again, it changes nothing.
27. An order that somebody asked to cancel neither waits nor goes back into the queue: `wait` and `release` end it as
    `cancelled`, and write `order_finished`.
28. `cancel` ends what nobody holds at once, and writes `cancel_requested` and `order_finished`; of a running order it
    only notes when it was asked; a cancelled one stays as it is; completed and failed ones raise WrongState.
29. `resume` makes a waiting order `pending`, with nothing left of its trouble, and writes `order_resumed`; any other
    raises WrongState.
30. `retry` makes a failed or cancelled order `pending` as a new attempt that may crash at least once, with nothing
    left of its end, and writes `order_resumed`; it goes on at its next step, or at `from_step` (1 to the number of
    its steps, else InvalidInput); any other order raises WrongState.
31. `delete` removes an order that has ended, with all that belongs to it, and frees its idempotency key; any other
    raises WrongState.
32. An order that does not exist: `get`, `cancel`, `resume`, `retry` and `delete` raise NotFound; its steps, events
    and artifacts are empty.

Reading
33. `list_orders` gives the newest first, and page by page every order once, also while others are filed.
34. It filters by statuses, by repository and by a piece of text in the request, the id, the repository's address or
    the branch, whatever the case of A to Z and with no special characters; together they narrow.
35. `events` gives the journal forwards after a seq, or backwards before one but ascending, of all kinds or some.
36. Every state change gives its order a higher `rev` than all before it. `changes` gives the orders that changed
    after a `rev`, ascending, each once with its newest state; whoever follows it misses none. A deleted order is not
    in it.
37. `counts` tells the orders of each status, the oldest pending one, and who holds what until when.
38. `check` passes while the state can be used.

Waiting
39. `wait_for_work`, `wait_for_events`, `wait_for_change` and `wait_for_cancel` return at once if it is there, else
    when this server brings it about, else after `at_most`.
40. What comes between a look and the wait is not missed.

Faults
41. A writer that is killed leaves whole calls only: what it was told is done is there, and nothing is half there.
42. Everything at once, from several servers, ends without an error and with every clause in force.

Moves
43. An export holds an order with all that hangs on it, as of one instant. Its digest is the same in every store.
44. An import makes the order as it was exported, with a new `rev`, or nothing at all: not over another state of it, not
    beside another order of its idempotency key, and not what is torn or what the store does not know. The same again
    changes nothing.
45. Surroundings carry repositories with limit and place in the line, the audit, and the last token: no token of one
    store is given by the other. The same again changes nothing.
46. The census counts everything that there is to move.
47. `archive` puts an order that has ended away: out of all lists but that of the archived ones, and nobody retries it.
    `unarchive` brings it back. Both again change nothing.

Repositories
48. `save_repository` keeps what an operator says of a repository, as a whole, with who said it and when; `repository`
    and `repositories` give it to every server. What orders merely named is known, and not configured.
49. It is saved only against the version that was read (0: not configured yet; None: whatever is there), else it
    raises SettingsChanged and changes nothing. Of many at once, one wins.
50. `forget_repository` takes away all that was configured, and no order. No version comes twice. What is not
    configured raises NotFound. `repositories` come by key, page by page.
51. `note_verification` keeps how a verification went, with the time; it changes neither version nor options.
52. A repository's own limit holds from the next claim on, and raising it wakes who waits for work on this server.

The conversation
53. `approval_gates` are kept as they were filed. `ask` parks the order until a person has answered and writes
    `order_waiting` with the question; that event's seq is the question's identity. The same call again gives the
    order as it is. An order that somebody asked to cancel asks nobody: it is cancelled.
54. The first `answer` to a question counts, however many come at once: approved, the order goes on where it was; sent
    back, from the question's step; rejected, it has failed, class `policy`. It writes `approval_answered`, and a
    comment is kept with the messages. A later one raises AlreadyAnswered, with who answered what and when.
55. What was never asked raises InvalidInput; what is no longer open raises WrongState. Both change nothing.
56. `send_message` to an order that nobody holds writes `message_received`, and resumes one that waits for a reply.
57. Of a running order it changes nothing but tells its holder: by `renew`, and by waking `wait_for_cancel`. `hear`
    gives what is not delivered yet, oldest first, and tells what is new, in the journal's place that the holder names;
    the same again tells nothing twice. `deliver` marks; what is marked is not heard again.
58. To an order that has ended it begins a new attempt, at its `follow_up_step` or where the order had stopped before.
59. `finish` as completed or failed with a message that was not delivered begins a new attempt instead, once for each
    message: none is lost that is sent while an order finishes. A cancelled order stays cancelled.
60. The same key gives the same message; with other words it raises IdempotencyConflict. Nothing is said to an order
    that is archived or does not exist; what was said goes when the order is deleted.

Economy
61. `write` does what `start_step`, `record`, `put_artifact`, `append` and `finish_step` do, one after the other, all
    or nothing, and renews the lease as `renew` does. A batch of events only is no state change.
62. A batch whose first event is there was written before: nothing of it is done again, whatever goes with the events.
    A gap raises SequenceGap and changes nothing.

Clean-up
63. `take_duty` gives a duty to one worker at a time, for a lease from now; the same worker gets it again, others when
    its lease has run out. One duty says nothing of another.
64. `remark` adds events to the journals of orders that have ended, all of them or none, each payload once; it is no
    change of state. For any other order it gives False and writes nothing.
65. `find` gives those of many orders that exist.

At a glance
66. A claim says `was_last` only where no order was left pending.
67. `detail` gives what `get`, `steps` and `approvals` give, and raises NotFound as `get` does.
"""

from .store_conversation import Conversation
from .store_crowds import Crowds
from .store_economy import Economy
from .store_ends import Ends
from .store_filing import Filing
from .store_journals import Journals
from .store_leases import Leases
from .store_moves import Moves
from .store_queueing import Queueing
from .store_reading import Reading
from .store_repositories import Repositories
from .store_retention import Retention
from .store_running import Running
from .store_waiting import Waiting


class StoreContract(
    Filing,
    Queueing,
    Leases,
    Journals,
    Running,
    Ends,
    Reading,
    Waiting,
    Crowds,
    Moves,
    Repositories,
    Conversation,
    Economy,
    Retention,
):
    """All clauses. A subclass in a test module brings the fixture `world`: a `store_world.World` of its backend."""
