import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test, vi } from "vitest";
import { type Command, useCommands } from "@/features/shared/hooks/useCommands";
import { approvedJournal } from "@/test/journals";
import { API, network } from "@/test/network";
import { open } from "@/test/page";
import { Palette } from "./Palette";

// jsdom has neither; cmdk scrolls to what is chosen.
Element.prototype.scrollIntoView = () => undefined;

function Offering({ commands }: { commands: Command[] }) {
  useCommands(commands);
  return (
    <>
      <button type="button">somewhere</button>
      <Palette />
    </>
  );
}

test("Ctrl K opens it, letters find a page, Enter goes there", async () => {
  const { user } = open(<Offering commands={[]} />, "/");
  await user.keyboard("{Control>}k{/Control}");
  const dialog = await screen.findByRole("dialog", { name: "Find anything" });
  await user.keyboard("repos");
  expect(
    within(dialog)
      .getAllByRole("option")
      .map((one) => one.textContent),
  ).toEqual(["Repositoriesg r"]);
  await user.keyboard("{Enter}");
  await waitFor(() => expect(screen.getByTestId("address").textContent).toBe("/agent-work-orders/repositories"));
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("what the page offers stands first and is done once the focus is back where it was", async () => {
  const run = vi.fn(() => expect(document.activeElement?.textContent).toBe("somewhere"));
  const { user } = open(<Offering commands={[{ id: "x", group: "This page", label: "Do it…", run }]} />, "/");
  screen.getByText("somewhere").focus();
  await user.keyboard("{Meta>}k{/Meta}");
  await screen.findByRole("dialog");
  expect(screen.getAllByRole("option")[0]?.textContent).toBe("Do it…");
  await user.keyboard("{Enter}");
  await waitFor(() => expect(run).toHaveBeenCalledOnce());
});

test("an order is found by its words, and by its identifier", async () => {
  const asked: string[] = [];
  const order = {
    ...approvedJournal.order,
    agent_work_order_id: "wo-00000000000000aa",
    user_request: "Mend the parser",
  };
  network.use(
    http.get(`${API}/work-orders`, ({ request }) => {
      const q = new URL(request.url).searchParams.get("q") ?? "";
      asked.push(q);
      return HttpResponse.json({ work_orders: q === "parser" ? [order] : [], next_cursor: null });
    }),
    http.get(`${API}/work-orders/${order.agent_work_order_id}`, () => HttpResponse.json({ ...order, steps: [] })),
  );
  const { user } = open(<Offering commands={[]} />, "/");
  await user.click(screen.getByRole("button", { name: "Find anything" }));
  await screen.findByRole("dialog");
  await user.keyboard("parser");
  expect(await screen.findByRole("option", { name: /Mend the parser/ })).toBeTruthy();
  await user.clear(screen.getByRole("combobox"));
  await user.keyboard("unicorn");
  expect(await screen.findByText("Nothing has “unicorn” in its name.")).toBeTruthy();
  await user.clear(screen.getByRole("combobox"));
  await user.keyboard("wo-00000000000000aa");
  await user.click(await screen.findByRole("option", { name: /Mend the parser/ }));
  await waitFor(() => expect(screen.getByTestId("address").textContent).toBe("/agent-work-orders/wo-00000000000000aa"));
  expect(asked).toContain("unicorn");
});
