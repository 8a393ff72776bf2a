import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";

export const API = "*/api/awo";

/** A stream that says nothing and stays open until the reader leaves. */
const quietStream = () =>
  new HttpResponse(new ReadableStream({ start: () => undefined }), {
    headers: { "Content-Type": "text/event-stream" },
  });

/** What the server says to an error. */
export const refusal = (
  status: number,
  error: string,
  more: { fields?: { field: string; problem: string }[]; code?: string; answer?: unknown } = {},
) =>
  HttpResponse.json(
    {
      detail: { error, code: more.code ?? "refused", next_action: "Do this next.", fields: more.fields ?? [] },
      ...(more.answer ? { answer: more.answer } : {}),
    },
    { status },
  );

/** The fake network of every test: an idle server. A request that no handler knows fails the test. */
export const network = setupServer(
  http.get(`${API}/events/stream`, quietStream),
  http.get(`${API}/work-orders/:id/events/stream`, quietStream),
  http.get(`${API}/work-orders`, () => HttpResponse.json({ work_orders: [], next_cursor: null })),
  http.get(`${API}/repositories`, () => HttpResponse.json({ repositories: [], next_cursor: null })),
  http.get(`${API}/status`, () =>
    HttpResponse.json({
      worker: { worker_id: "w", slots: 2, busy: 0, confinement: "bubblewrap" },
      queue: {},
      oldest_pending_at: null,
      leases: [],
      disk: null,
      rehearsal: null,
    }),
  ),
  http.get(`${API}/workflows`, () =>
    HttpResponse.json({
      workflows: [
        {
          name: "agent_workflow_plan",
          explanation: "Plan and do.",
          is_default: true,
          steps: [
            { name: "planning", agent_name: "claude", explanation: "Plans.", needs: [] },
            { name: "execute", agent_name: "claude", explanation: "Does.", needs: [] },
            { name: "commit", agent_name: "archon", explanation: "Commits.", needs: ["execute"] },
          ],
        },
        { name: "plan_only", explanation: "Plan.", is_default: false, steps: [] },
      ],
    }),
  ),
);
