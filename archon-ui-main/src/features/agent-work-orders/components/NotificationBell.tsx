import { Bell, BellOff } from "lucide-react";
import { useEffect, useRef } from "react";
import { useLiveCache, useNeedsYou } from "../hooks/useWorkOrders";
import { Button, useCommands, useStored, useToast } from "../host";
import { liveHub } from "../services/live/hub";
import { liveOrders } from "../services/liveOrders";
import type { WorkOrder } from "../types";
import { headline, needsPerson, repositoryName } from "../utils/words";

const known = () => typeof Notification !== "undefined";

/** Switches browser notifications on and off, and keeps the whole page live. Never asks by itself. */
export function NotificationBell() {
  useLiveCache();
  const [wanted, setWanted] = useStored("local", "awo-notifications", false);
  const { showToast } = useToast();
  const on = wanted && known() && Notification.permission === "granted";
  useTitleCount();

  // Whether an order has ended or asks is news only if it did not before.
  const seen = useRef(new Map<string, string>());
  useEffect(
    () =>
      liveOrders.onChange((order) => {
        const before = seen.current.get(order.agent_work_order_id);
        const now = `${order.status} ${order.attempt} ${order.waiting_reason ?? ""}`;
        seen.current.set(order.agent_work_order_id, now);
        if (on && before !== now && liveHub.isLeader) notify(order);
      }),
    [on],
  );

  const toggle = async () => {
    if (on) return setWanted(false);
    if (!known()) return showToast("This browser cannot show notifications.", "warning");
    const answer = await Notification.requestPermission();
    setWanted(answer === "granted");
    if (answer === "granted") showToast("You will be told when an order needs you, fails or is done.", "success");
    else showToast("The browser does not allow it; change that in the site's settings.", "warning");
  };

  useCommands([
    { id: "notify", group: "You", label: on ? "Switch notifications off" : "Switch notifications on", run: toggle },
  ]);

  const Icon = on ? Bell : BellOff;
  return (
    <Button
      variant="ghost"
      size="icon"
      aria-pressed={on}
      aria-label="Notify me when an order needs me or is done"
      title={on ? "Notifications are on" : "Notify me when an order needs me or is done"}
      onClick={toggle}
    >
      <Icon size={18} aria-hidden />
    </Button>
  );
}

/** "(2) …" in the browser's tab while orders wait for a person. */
function useTitleCount() {
  const waiting = useNeedsYou().data?.length ?? 0;
  useEffect(() => {
    const mark = () => {
      const plain = document.title.replace(/^\(\d+\) /, "");
      const wanted = waiting > 0 ? `(${waiting}) ${plain}` : plain;
      if (document.title !== wanted) document.title = wanted;
    };
    mark();
    const observer = new MutationObserver(mark);
    const title = document.querySelector("title");
    if (title) observer.observe(title, { childList: true });
    return () => observer.disconnect();
  }, [waiting]);
}

/** One notification per order; a newer one takes the place of the older. */
function notify(order: WorkOrder) {
  const what = needsPerson(order)
    ? "needs you"
    : order.status === "failed"
      ? "failed"
      : order.status === "completed"
        ? "is done"
        : null;
  const here = location.pathname.endsWith(order.agent_work_order_id) && !document.hidden;
  if (!what || here) return;
  const shown = new Notification(`${repositoryName(order.repository_url)} ${what}`, {
    body: headline(order.user_request).slice(0, 120),
    tag: order.agent_work_order_id,
  });
  shown.onclick = () => {
    window.focus();
    location.assign(`/agent-work-orders/${order.agent_work_order_id}`);
    shown.close();
  };
}
