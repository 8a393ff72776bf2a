import { screen, waitFor } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import { signIn } from "@/features/agent-work-orders/services/session";
import { API, network, refusal } from "@/test/network";
import { open } from "@/test/page";
import { YouMenu } from "./YouMenu";

const menu = () => screen.findByRole("button", { name: "You and your colours" });

test("who never signed in has nothing to sign out of", async () => {
  const { user } = open(<YouMenu />, "/");
  await user.click(await menu());
  expect(await screen.findByRole("menuitem", { name: /Say who you are/ })).toBeTruthy();
  expect(screen.queryByRole("menuitem", { name: "Sign out" })).toBeNull();
});

test("signing out takes the cookie back, and a refusal says that one is still signed in", async () => {
  const asked: string[] = [];
  network.use(
    http.post(`${API}/session`, ({ request }) => {
      asked.push(request.headers.get("Authorization") ?? "");
      return new HttpResponse(null, { status: 204 });
    }),
    http.delete(`${API}/session`, () => refusal(503, "The server is busy.")),
  );
  await signIn("a-token");
  expect(asked).toEqual(["Bearer a-token"]);
  expect(JSON.stringify({ ...localStorage, ...sessionStorage })).not.toContain("a-token");

  const { user } = open(<YouMenu />, "/");
  await user.click(await menu());
  await user.click(await screen.findByRole("menuitem", { name: "Sign out" }));
  expect(await screen.findByText(/You are still signed in. The server is busy./)).toBeTruthy();

  network.use(
    http.delete(`${API}/session`, () => {
      asked.push("out");
      return new HttpResponse(null, { status: 204 });
    }),
  );
  await user.click(await menu());
  await user.click(await screen.findByRole("menuitem", { name: "Sign out" }));
  await waitFor(() => expect(asked).toEqual(["Bearer a-token", "out"]));
  await waitFor(() => expect(localStorage.getItem("awo-signed-in")).toBeNull());
});
