import { screen, waitFor } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { beforeEach, expect, test, vi } from "vitest";
import { approvedJournal } from "@/test/journals";
import { API, network, refusal } from "@/test/network";
import { open } from "@/test/page";
import { liveOrders } from "../services/liveOrders";
import { useServiceStatus } from "./useServiceStatus";

let asked = 0;

function Shown() {
  const { status, live } = useServiceStatus();
  return <p>{`${live ? "live" : "asking"}, busy ${status.data?.worker.busy}`}</p>;
}

beforeEach(() => {
  asked = 0;
  network.use(
    http.get(`${API}/health`, () => HttpResponse.json({ status: "healthy", checks: [] })),
    http.get(`${API}/status`, () => {
      asked += 1;
      return HttpResponse.json({ worker: { worker_id: "w", slots: 9, busy: asked, confinement: "" }, leases: [] });
    }),
  );
});

test("without a live stream the status is asked for every ten seconds", async () => {
  network.use(http.get(`${API}/events/stream`, () => refusal(503, "No stream.")));
  vi.useFakeTimers({ shouldAdvanceTime: true });
  try {
    open(<Shown />, "/");
    expect(await screen.findByText("asking, busy 1")).toBeTruthy();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(asked).toBe(1);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(await screen.findByText("asking, busy 2")).toBeTruthy();
  } finally {
    vi.useRealTimers();
  }
});

test("an order that changes has it asked for at once", async () => {
  const frame = `id: 7\nevent: order_changed\ndata: ${JSON.stringify(approvedJournal.order)}\n\n`;
  let say: (() => void) | undefined;
  network.use(
    http.get(
      `${API}/events/stream`,
      () =>
        new HttpResponse(
          new ReadableStream({
            start: (stream) => {
              say = () => stream.enqueue(new TextEncoder().encode(frame));
            },
          }),
          { headers: { "Content-Type": "text/event-stream" } },
        ),
    ),
  );
  open(<Shown />, "/");
  await screen.findByText(/busy 1/);
  liveOrders.retry();
  await waitFor(() => expect(say).toBeDefined());
  say?.();
  expect(await screen.findByText("live, busy 2", {}, { timeout: 4_000 })).toBeTruthy();
});
