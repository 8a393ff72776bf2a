import { useState } from "react";
import { AgentWorkOrdersSettings } from "../../settings/components/AgentWorkOrdersSettings";
import { Card } from "../host";
import { Frame } from "./Frame";

/** The section on Archon's settings page: closed, and asking the server for nothing, until somebody opens it. */
export default function Settings() {
  const [opened, setOpened] = useState(false);
  return (
    <Frame>
      <Card as="section" className="my-6">
        <details onToggle={(event) => setOpened((before) => before || event.currentTarget.open)}>
          <summary className="font-semibold text-base">Agent Work Orders</summary>
          <div className="pt-4">{opened && <AgentWorkOrdersSettings />}</div>
        </details>
      </Card>
    </Frame>
  );
}
