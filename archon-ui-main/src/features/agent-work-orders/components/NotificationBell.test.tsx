import { screen, waitFor } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { approvedJournal } from "@/test/journals";
import { API, network } from "@/test/network";
import { open } from "@/test/page";
import { NotificationBell } from "./NotificationBell";

const shown: [title: string, tag: string | undefined][] = [];
const asked = vi.fn<() => Promise<NotificationPermission>>();

class PretendNotification {
  static permission: NotificationPermission = "default";
  static requestPermission = async () => {
    PretendNotification.permission = await asked();
    return PretendNotification.permission;
  };
  constructor(title: string, options?: NotificationOptions) {
    shown.push([title, options?.tag]);
  }
  close() {}
}

beforeEach(() => {
  vi.stubGlobal("Notification", PretendNotification);
  PretendNotification.permission = "default";
  shown.length = 0;
});
afterEach(() => vi.unstubAllGlobals());

const told = (status: string) =>
  `id: ${status === "running" ? 1 : 2}\nevent: order_changed\ndata: ${JSON.stringify({ ...approvedJournal.order, status, waiting_reason: null })}\n\n`;

// The page's one stream outlives a test.
let tell: (text: string) => void = () => undefined;

/** The bell, and what the server tells it. */
function bell() {
  network.use(
    http.get(`${API}/events/stream`, () => {
      const body = new ReadableStream<Uint8Array>({
        start: (stream) => {
          tell = (text) => stream.enqueue(new TextEncoder().encode(text));
        },
      });
      return new HttpResponse(body, { headers: { "Content-Type": "text/event-stream" } });
    }),
  );
  return open(<NotificationBell />, "/");
}

const NAME = "Notify me when an order needs me or is done";

test("nobody is asked before the bell is pressed, and a refusal leaves it off", async () => {
  asked.mockResolvedValue("denied");
  const { user } = bell();
  const button = screen.getByRole("button", { name: NAME });
  expect(asked).not.toHaveBeenCalled();
  expect(button.getAttribute("aria-pressed")).toBe("false");
  await user.click(button);
  expect(await screen.findByText(/The browser does not allow it/)).toBeTruthy();
  expect(button.getAttribute("aria-pressed")).toBe("false");
});

test("once allowed, an order that is done is told once, under its own name", async () => {
  asked.mockResolvedValue("granted");
  const { user } = bell();
  const button = screen.getByRole("button", { name: NAME });
  await user.click(button);
  await waitFor(() => expect(button.getAttribute("aria-pressed")).toBe("true"));
  tell(told("running"));
  tell(told("completed"));
  tell(told("completed"));
  await waitFor(() => expect(shown).toHaveLength(1));
  expect(shown[0]?.[0]).toMatch(/ is done$/);
  expect(shown[0]?.[1]).toBe(approvedJournal.order.agent_work_order_id);
  await user.click(button);
  expect(button.getAttribute("aria-pressed")).toBe("false");
});
