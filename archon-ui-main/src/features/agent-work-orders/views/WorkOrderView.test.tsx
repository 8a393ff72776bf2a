import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { beforeEach, describe, expect, test } from "vitest";
import { approvedJournal, failedJournal } from "@/test/journals";
import { API, network, refusal } from "@/test/network";
import { open } from "@/test/page";
import type { JournalEvent, WorkOrderDetail } from "../types";
import WorkOrderView from "./WorkOrderView";

const { order, events } = approvedJournal;
const ID = order.agent_work_order_id;

/** The server as it was when the journal had come to `last`. */
function serve(detail: WorkOrderDetail, journal: JournalEvent[]) {
  network.use(
    http.get(`${API}/work-orders/:id`, () => HttpResponse.json(detail)),
    http.get(`${API}/work-orders/:id/events`, ({ request }) => {
      const { searchParams } = new URL(request.url);
      const kinds = searchParams.getAll("kind");
      const before = Number(searchParams.get("before_seq") ?? Number.POSITIVE_INFINITY);
      const after = Number(searchParams.get("after_seq") ?? 0);
      const limit = Number(searchParams.get("limit"));
      const chosen = journal.filter(
        (event) => event.seq < before && event.seq > after && (kinds.length === 0 || kinds.includes(event.kind)),
      );
      const page = searchParams.has("before_seq") ? chosen.slice(-limit) : chosen.slice(0, limit);
      return HttpResponse.json({ events: page, last_seq: journal.at(-1)?.seq ?? 0 });
    }),
    http.get(`${API}/work-orders/:id/messages`, () => HttpResponse.json({ messages: [] })),
    http.get(`${API}/work-orders/:id/artifacts`, () => HttpResponse.json({ artifacts: [] })),
  );
}

const show = (id = ID, search = "") =>
  open(<WorkOrderView />, `/agent-work-orders/${id}${search}`, "/agent-work-orders/:id");

const asking = (): [WorkOrderDetail, JournalEvent[]] => {
  const at = events.findLastIndex((event) => event.kind === "order_waiting");
  const detail = { ...order, status: "waiting", waiting_reason: "approval", finished_at: null } as WorkOrderDetail;
  return [detail, events.slice(0, at + 1)];
};

describe("the page of a work order", () => {
  beforeEach(() => serve(order, events));

  test("says where it stands, what it cost and what came of it", async () => {
    show();
    const header = await screen.findByRole("banner");
    expect(within(header).getByText("completed")).toBeTruthy();
    expect(await screen.findByRole("link", { name: /#1/ })).toBeTruthy();
    const steps = screen.getByRole("region", { name: "Steps" });
    await waitFor(() => expect(within(steps).getAllByText(/, completed/)).toHaveLength(order.selected_commands.length));
  });

  test("shows the evidence that the server gathered", async () => {
    const { user } = show();
    await user.click(await screen.findByRole("tab", { name: "Evidence" }));
    expect((await screen.findAllByText("passed")).length).toBeGreaterThan(0);
    expect(screen.getByTestId("address").textContent).toContain("part=evidence");
  });

  test("is opened at its part by a link", async () => {
    show(ID, "?part=conversation");
    expect(await screen.findByLabelText("Message to the agent")).toBeTruthy();
    expect(screen.getByRole("button", { name: "Start a follow-up on this branch" })).toBeTruthy();
  });

  test("keeps the words of a message that was refused", async () => {
    network.use(http.post(`${API}/work-orders/:id/messages`, () => refusal(503, "The database is away.")));
    const { user } = show(ID, "?part=conversation");
    const box = await screen.findByLabelText<HTMLTextAreaElement>("Message to the agent");
    await user.type(box, "Use tabs.");
    await user.keyboard("{Control>}{Enter}{/Control}");
    expect(await screen.findByText("The database is away.")).toBeTruthy();
    expect(box.value).toBe("Use tabs.");
  });

  test("asks for its last four characters before it is deleted", async () => {
    let deleted = false;
    network.use(
      http.delete(`${API}/work-orders/:id`, () => {
        deleted = true;
        return new HttpResponse(null, { status: 204 });
      }),
    );
    const { user } = show();
    await user.click(await screen.findByRole("button", { name: "More" }));
    await user.click(await screen.findByRole("menuitem", { name: "Delete…" }));
    const button = await screen.findByRole("button", { name: "Delete for good" });
    expect(button).toHaveProperty("disabled", true);
    await user.type(screen.getByLabelText(/last four/), ID.slice(-4));
    await user.click(button);
    await waitFor(() => expect(deleted).toBe(true));
    expect(await screen.findByText("another page")).toBeTruthy();
  });

  test("that is not there says so", async () => {
    network.use(http.get(`${API}/work-orders/:id`, () => refusal(404, "There is no such work order.")));
    show();
    expect(await screen.findByText("There is no such work order")).toBeTruthy();
  });
});

test("a failure stands on top, with its class, its cause and what to do", async () => {
  serve(failedJournal.order, failedJournal.events);
  const { user } = show(failedJournal.order.agent_work_order_id);
  const card = await screen.findByRole("alert");
  expect(card.textContent).toContain("The repository was not found");
  expect(card.textContent).toContain("Check the address");
  expect(within(card).getByText("git")).toBeTruthy();
  expect(screen.getAllByRole("button", { name: "Retry…" })).toHaveLength(1);
  let from: unknown;
  network.use(
    http.post(`${API}/work-orders/:id/retry`, async ({ request }) => {
      from = await request.json();
      return HttpResponse.json({ ...failedJournal.order, status: "pending", attempt: 2 });
    }),
  );
  await user.click(within(card).getByRole("button", { name: "Retry…" }));
  await user.click(await screen.findByRole("button", { name: /Retry from create-branch/ }));
  await waitFor(() => expect(from).toEqual({ from_step: 1 }));
});

describe("a question", () => {
  test("is answered with the number of the event that asked", async () => {
    const [detail, journal] = asking();
    serve(detail, journal);
    let told: unknown;
    network.use(
      http.post(`${API}/work-orders/:id/approve`, async ({ request }) => {
        told = await request.json();
        return HttpResponse.json({ ...detail, status: "pending", waiting_reason: null }, { status: 202 });
      }),
    );
    const { user } = show();
    await user.type(await screen.findByLabelText("A word with your answer"), "Good.");
    await user.click(screen.getByRole("button", { name: "Approve" }));
    await waitFor(() => expect(told).toEqual({ seq: journal.at(-1)?.seq, comment: "Good." }));
    await waitFor(() => expect(screen.queryByRole("region", { name: "A question for you" })).toBeNull());
  });

  test("that somebody else has answered says who, and keeps the words", async () => {
    const [detail, journal] = asking();
    serve(detail, journal);
    const answer = { answer: "approved", answered_by: "Ana", answered_at: new Date().toISOString(), comment: null };
    network.use(http.post(`${API}/work-orders/:id/reject`, () => refusal(409, "It was answered before.", { answer })));
    const { user } = show();
    await user.type(await screen.findByLabelText("A word with your answer"), "Not like this.");
    await user.click(screen.getByRole("button", { name: "Reject and end it" }));
    expect(await screen.findByText("Ana approved it before you.")).toBeTruthy();
    expect(sessionStorage.getItem(`awo-message:${ID}`)).toContain("Not like this.");
  });

  test("is sent back only with words", async () => {
    const [detail, journal] = asking();
    serve(detail, journal);
    let told: unknown;
    network.use(
      http.post(`${API}/work-orders/:id/reject`, async ({ request }) => {
        told = await request.json();
        return HttpResponse.json({ ...detail, status: "pending", waiting_reason: null }, { status: 202 });
      }),
    );
    const { user } = show();
    expect(await screen.findByRole("button", { name: "Send back" })).toHaveProperty("disabled", true);
    await user.type(screen.getByLabelText("A word with your answer"), "Two steps will do.");
    await user.click(screen.getByRole("button", { name: "Send back" }));
    await waitFor(() => expect(told).toMatchObject({ comment: "Two steps will do.", again: true }));
  });
});
